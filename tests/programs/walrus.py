# Program: walrus
# Needs: pip walrus==0.9.8 redis==8.1.0
# Exercises: containers, models and their queries, full-text search, autocomplete, locks, rate limits, caches, consumer groups
#
"""Each of its parts, which are scripts, sorted sets and streams underneath."""
import datetime
import os
import threading

import walrus

import servers
from checks import done, raises, same, until

PORT = int(os.environ["PORT"])


def containers(db):
    hash = db.Hash("hash")
    hash.update(a=1, b=2, c=3)
    same((hash["a"], hash["a", "nope", "c"], "b" in hash, len(hash)), (b"1", [b"1", None, b"3"], True, 3))
    del hash["b"]
    same((hash.as_dict(decode=True), hash.incr("a", 4), hash.incr_float("c", 0.5), dict(hash.search("c*"))), ({"a": "1", "c": "3"}, 5, 3.5, {b"c": b"3.5"}))
    hash.expire(100)
    same(0 < db.ttl("hash") <= 100, True)
    hash.expire()
    same(db.ttl("hash"), -1)

    list = db.List("list")
    list.extend("abcd")
    list.prepend("z")
    same((list[0], list[-1], list[1:3], len(list)), (b"z", b"d", [b"a", b"b"], 5))
    list.insert_before("0", "a")
    list[0] = "y"
    same(list.as_list(decode=True), ["y", "0", "a", "b", "c", "d"])
    # A slice is what stays, as walrus has it.
    del list[3:]
    same((list.as_list(decode=True), list.popleft(), list.popright(), list.bpopleft(1)), (["b", "c", "d"], b"b", b"d", b"c"))
    same(list.bpopleft(0.01), None)

    first, second = db.Set("first"), db.Set("second")
    first.add(*"abc")
    second.add(*"bcd")
    same((first | second, first & second, first - second), ({b"a", b"b", b"c", b"d"}, {b"b", b"c"}, {b"a"}))
    same((first.unionstore("both", second).as_set(decode=True), "a" in first, first.sort(ordering="DESC", limit=2)), (set("abcd"), True, [b"c", b"b"]))

    scores = db.ZSet("scores")
    scores.add({"bob": 3, "ann": 1, "carl": 2.5})
    same((scores[:2], scores["bob":], [tuple(pair) for pair in scores[:, True]]), ([b"ann", b"carl"], [b"bob"], [(b"ann", 1.0), (b"carl", 2.5), (b"bob", 3.0)]))
    same((scores.incr("ann", 9), scores.rank("ann"), scores.count(2, 5), scores.range_by_score(2, 5)), (10.0, 2, 2, [b"carl", b"bob"]))
    other = db.ZSet("other")
    other.add({"ann": 5, "dora": 1})
    same([tuple(pair) for pair in scores.unionstore("all", other)[:, True]], [(b"dora", 1.0), (b"carl", 2.5), (b"bob", 3.0), (b"ann", 15.0)])
    same([tuple(pair) for pair in scores.popmin()], [(b"carl", 2.5)])
    same(tuple(scores.bpopmax(1)), (b"ann", 10.0))

    array = db.Array("array")
    array.extend("abc")
    array.append("d")
    same((array[0], array[-1], array.pop(1), len(array)), (b"a", b"d", b"b", 3))
    array[1] = "x"
    del array[0]
    same(array.as_list(decode=True), ["x", "d"])

    visitors = db.HyperLogLog("visitors")
    visitors.add(*map(str, range(200)))
    same(190 < len(visitors) < 210, True)
    bits = db.bit_field("bits")
    same((bits.set("u8", 0, 200).incrby("u8", 0, 100, "SAT").get("u4", 0).execute(), bits[0:8], bits.bit_count()), ([0, 255, 15], 255, 8))
    seen = db.bloom_filter("seen", size=1024)
    seen.add("one")
    same((seen.contains("one"), "two" in seen), (True, False))
    counter = db.counter("counter")
    counter += 5
    same((counter.value(), counter.decr(2), counter.value()), (5, 3, 3))
    db.set("fenced", "1:a")
    same((db.cas("fenced", "1:", "2:b"), db.cas("fenced", "1:", "3:c"), db.get("fenced")), (1, 0, b"2:b"))

    # What is done in a transaction is seen when it ends, or not at all.
    with db.atomic() as transaction:
        transaction.pipe.set("t", 1)
        same(db.exists("t"), 0)
    with db.atomic() as transaction:
        transaction.pipe.set("t", 2)
        transaction.clear()
    same(db.get("t"), b"1")


def models(db):
    class Author(walrus.Model):
        __database__ = db
        name = walrus.TextField(primary_key=True)
        born = walrus.IntegerField(index=True, default=0)
        active = walrus.BooleanField(index=True, default=False)
        tags = walrus.SetField()

    class Note(walrus.Model):
        __database__ = db
        id = walrus.AutoIncrementField()
        author = walrus.TextField(index=True)
        content = walrus.TextField(fts=True, stemmer=True)
        written = walrus.DateTimeField(index=True)

    for n, (name, born) in enumerate([("ann", 1970), ("bob", 1980), ("carl", 1990), ("dora", 1980)]):
        author = Author.create(name=name, born=born, active=n % 2 == 0)
        author.tags.add(name, "all")
    names = lambda query, **options: [author.name for author in Author.query(query, **options)]
    same(names(Author.born >= 1980, order_by=Author.name.desc()), ["dora", "carl", "bob"])
    same(names((Author.born == 1980) | (Author.active == True), order_by=Author.name), ["ann", "bob", "carl", "dora"])
    same(names((Author.born < 1990) & (Author.name != "ann"), order_by=Author.born), ["bob", "dora"])
    same((Author.count(), Author.load("bob").born, Author.get(Author.born == 1990).name, Author.load("ann").tags.as_set(decode=True)), (4, 1980, "carl", {"ann", "all"}))
    raises(ValueError, lambda: Author.get(Author.born == 1980))
    raises(KeyError, lambda: Author.load("nobody"))
    bob = Author.load("bob")
    bob.incr(Author.born, 5)
    same(names(Author.born == 1985), ["bob"])
    bob.delete()
    same((Author.count(), names(Author.born == 1985), db.keys("*bob*")), (3, [], []))

    day = datetime.datetime(2026, 1, 1)
    for n, words in enumerate(["walking in the rain", "the rains of winter", "a walk to the shop"]):
        Note.create(author="ann", content=words, written=day + datetime.timedelta(days=n))
    found = lambda query: [note.id for note in Note.query(query, order_by=Note.id)]
    same((found(Note.content.match("rain")), found(Note.content.search("walk OR winter")), found(Note.content.match("rain winter"))), ([1, 2], [1, 2, 3], [2]))
    same((found(Note.written >= day + datetime.timedelta(days=1)), found((Note.author == "ann") & Note.content.match("walks"))), ([2, 3], [1, 3]))
    Note.query_delete(Note.written.between(day + datetime.timedelta(days=1), day + datetime.timedelta(days=1)))
    same((Note.count(), found(Note.content.match("rain"))), (2, [1]))


def searches(db):
    index = db.Index("documents", stemmer=True, metaphone=True)
    for key, content in {"one": "Huey sleeps in the sun", "two": "Zaizee is sleeping in the shade", "three": "Mickey barks at shadows"}.items():
        index.add(key, content, kind="pet", length=len(content))
    keys = lambda query: sorted(key for key, _ in index.search_items(query))
    same((keys("sleep"), keys("sleep sun"), keys("sleep AND (sun OR shade)"), keys("mikey")), (["one", "two"], ["one"], ["one", "two"], ["three"]))
    same(index.search("barking"), [{"content": "Mickey barks at shadows", "kind": "pet", "length": "23"}])
    index.replace("three", "Mickey sleeps")
    index.remove("one")
    same((keys("sleeping"), keys("bark"), raises(KeyError, lambda: index.remove("one")).args), (["three", "two"], [], ('Document with key "one" not found.',)))

    words = db.autocomplete()
    for id, title in enumerate(["testing blue skies", "testing skies tomorrow", "toast", "the test of time"]):
        words.store(id, title, data={"title": title}, obj_type="note" if id % 2 else "page")
    titles = lambda phrase, **options: [found["title"] for found in words.search(phrase, **options)]
    same((titles("tes"), titles("t", limit=2)), (["the test of time", "testing blue skies", "testing skies tomorrow"], ["testing blue skies", "toast"]))
    same((titles("test sk"), titles("nothing"), titles("tes", boosts={"page": 50})[0]), (["testing skies tomorrow", "testing blue skies"], [], "testing blue skies"))
    words.remove(0, "page")
    same((titles("test skies"), words.exists(0, "page"), sorted(words.list_titles())), (["testing skies tomorrow"], False, ["testing skies tomorrow", "the test of time", "toast"]))
    words.flush()
    same(db.keys("autocomplete:*"), [])

    graph = db.graph("people")
    graph.store_many([("ann", "knows", "bob"), ("bob", "knows", "carl"), ("ann", "likes", "carl"), ("carl", "likes", "ann")])
    who = graph.v.who
    same(graph.search((who, "knows", "bob"), (who, "likes", "carl")), {"who": {"ann"}})
    same([found["o"] for found in graph.query(s="ann", p="likes")], ["carl"])


def locks(db, rival_db):
    lock, rival = db.lock("lock", ttl=10_000), rival_db.lock("lock", ttl=10_000)
    same((lock.acquire(), rival.acquire(block=False), rival.release(), 0 < db.pttl(lock.key) <= 10_000), (True, False, False, True))
    order = []

    def wait():
        with rival:
            order.append("rival")

    waiter = threading.Thread(target=wait)
    waiter.start()
    until("the rival waits", lambda: db.info("clients")["blocked_clients"] == 1)
    order.append("owner")
    same(lock.release(), True)
    waiter.join()
    same((order, db.exists(lock.key)), (["owner", "rival"], 0))
    brief = db.lock("brief", ttl=20)
    same(brief.acquire(), True)
    until("the lock times out", lambda: rival_db.lock("brief").acquire(block=False))
    raises(RuntimeError, lambda: brief.__exit__(None, None, None))

    for limit in (db.rate_limit("calls", limit=3, per=100), db.rate_limit_lua("calls:lua", limit=3, per=100)):
        same([limit.limit("ann") for _ in range(5)], [False] * 3 + [True] * 2)
        same(limit.limit("bob"), False)

        @limit.rate_limited(lambda name: name)
        def call(name):
            return f"called by {name}"

        same([call("carl") for _ in range(3)], ["called by carl"] * 3)
        raises(walrus.RateLimitException, lambda: call("carl"))
    passing = db.rate_limit("brief calls", limit=1, per=0.05)
    same(passing.limit("ann"), False)
    until("the limit passes", lambda: not passing.limit("ann"))


def caches(db):
    cache, calls = db.cache("cache", default_timeout=100), []
    same((cache.set("a", {"n": 1}), cache.get("a"), 0 < db.ttl("cache:a") <= 100, cache.get("none", 7)), (True, {"n": 1}, True, 7))
    cache.set_many({"b": 2, "c": 3})
    same((cache.get_many(["a", "b", "none"]), sorted(cache.keys())), ({"a": {"n": 1}, "b": 2}, ["cache:a", "cache:b", "cache:c"]))

    @cache.cached(timeout=50, metrics=True)
    def double(n):
        calls.append(n)
        return 2 * n

    same(([double(n) for n in (1, 2, 1)], calls, double.bust(1), double(1), calls), ([2, 4, 2], [1, 2, 1], True, 2, [1, 2, 1]))
    same((double.metrics["hits"], double.metrics["misses"]), (1, 3))

    @cache.cache_async()
    def later(n):
        return n + 1

    same((later(1)(), later(1)()), (2, 2))
    same((cache.delete("a"), cache.get("a"), cache.flush() > 0, list(cache.keys())), (1, None, True, []))


def streams(db, other_db):
    group = db.consumer_group("team", ["orders", "mails"], consumer="ann")
    same(group.create(), {"orders": True, "mails": True})
    same(group.create(), {"orders": False, "mails": False})
    first, second = group.orders.add({"n": 1}, id="1-1"), group.orders.add({"n": 2}, id="2-1")
    mail = group.mails.add({"to": "x"}, id="1-2")
    same([(name, list(entries)) for name, entries in group.read()], [(b"orders", [(first, {b"n": b"1"}), (second, {b"n": b"2"})]), (b"mails", [(mail, {b"to": b"x"})])])
    bob = other_db.consumer_group("team", ["orders", "mails"], consumer="bob")
    same((list(bob.read() or []), bob.orders.read(block=10) or []), ([], []))
    same((group.orders.ack(first), [one["message_id"] for one in group.orders.pending()], group.mails.ack(mail)), (1, [second], 1))
    same((bob.orders.claim(second, min_idle_time=0), [one["consumer"] for one in group.orders.pending()]), ([(second, {b"n": b"2"})], [b"bob"]))
    same(group.orders.autoclaim("ann", 0)[1], [(second, {b"n": b"2"})])
    got = []
    waiting = threading.Thread(target=lambda: got.extend(bob.read(block=10_000)))
    waiting.start()
    until("bob waits", lambda: db.info("clients")["blocked_clients"] == 1)
    newest = db.Stream("mails").add({"to": "y"})
    waiting.join()
    same([(name, list(entries)) for name, entries in got], [(b"mails", [(newest, {b"to": b"y"})])])
    stream = db.Stream("orders")
    same((len(stream), stream[first], stream[:second], stream.trim(1, approximate=False)), (2, (first, {b"n": b"1"}), [(first, {b"n": b"1"}), (second, {b"n": b"2"})], 1))
    same(([(one["name"], one["pending"]) for one in group.orders.consumers_info()], group.destroy()), ([(b"ann", 1), (b"bob", 0)], {"orders": 1, "mails": 1}))

    series = db.time_series("readers", ["rain", "wind"])
    series.create()
    day = datetime.datetime(2026, 1, 1)
    for n in range(3):
        series.rain.add({"mm": n}, id=day + datetime.timedelta(hours=2 * n))
        series.wind.add({"kn": n}, id=day + datetime.timedelta(hours=2 * n + 1))
    same([(message.stream, message.timestamp.hour, message.data) for message in series.read(count=1)], [("rain", 0, {"mm": "0"}), ("wind", 1, {"kn": "0"})])
    same([(message.stream, message.timestamp.hour) for message in series.read()], [("rain", 2), ("wind", 3), ("rain", 4), ("wind", 5)])
    same([message.data for message in series.rain.range(day + datetime.timedelta(hours=1))], [{"mm": "1"}, {"mm": "2"}])
    same(([pending[0][0].hour for pending in series.wind.pending()], series.set_id(day)), ([1, 3, 5], {"rain": True, "wind": True}))


def listeners(db):
    got = []

    @db.listener(channels=["news"], patterns=["news:*"], is_async=True)
    def listen(type, channel, data, pattern=None):
        if type.endswith("message"):
            got.append((channel, data))
            if data == b"end":
                raise StopIteration

    thread = listen()
    until("it listens", lambda: db.pubsub_numsub("news") == [(b"news", 1)] and db.pubsub_numpat() == 1)
    same([db.publish(channel, data) for channel, data in (("news", "hi"), ("news:late", "ho"), ("news", "end"))], [1, 1, 1])
    thread.join()
    same(got, [(b"news", b"hi"), (b"news:late", b"ho"), (b"news", b"end")])


def restart():
    """A database that was there before the server came back loads its scripts again."""
    with servers.another() as server:
        db = walrus.Database(port=server.port)
        array, lock = db.Array("array"), db.lock("lock", ttl=10_000)
        array.extend("ab")
        same((array[1], lock.acquire()), (b"b", True))
        server.stop()
        server.start()
        array.extend("c")
        same((array.as_list(decode=True), lock.release(), lock.acquire(), lock.release()), (["c"], False, True, True))


db, other = walrus.Database(port=PORT), walrus.Database(port=PORT)
for part in (containers, models, searches, caches, listeners):
    db.flushall()
    part(db)
for part in (locks, streams):
    db.flushall()
    part(db, other)
restart()
done()
