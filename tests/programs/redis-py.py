# Program: redis-py
# Needs: pip redis==8.1.0
# Exercises: sync and asyncio, RESP2 and RESP3: pipelines, locks, subscribers in threads, streams with groups, scans, client-side caching (when it has been told that a server before 7.4 will do), pools, passwords, a server that restarts
#
"""What redis-py does beyond sending commands; redis-py-6.py runs it with an
older version. Some replies have another shape in each version or protocol."""
import asyncio
import os
import threading

import redis
import redis.asyncio
from redis.backoff import ConstantBackoff, NoBackoff
from redis.cache import CacheConfig
from redis.cluster import RedisCluster
from redis.connection import CacheProxyConnection
from redis.lock import Lock
from redis.retry import Retry
from redis.sentinel import Sentinel

import servers
from checks import done, raises, raises_async, same, until, until_async

PORT = int(os.environ["PORT"])
DOUBLE = "return redis.call('INCRBY', KEYS[1], redis.call('GET', KEYS[1]) * (ARGV[1] or 1))"


def connect(protocol, port=PORT, **options):
    return redis.Redis(port=port, protocol=protocol, decode_responses=True, socket_timeout=15, **options)


def connect_async(protocol, port=PORT, **options):
    return redis.asyncio.Redis(port=port, protocol=protocol, decode_responses=True, socket_timeout=15, **options)


def entries(reply):
    """What XREAD answered, which has another shape in each protocol: pairs of
    an entry's id and its fields, by the name of the stream."""
    if isinstance(reply, dict):
        return {name: [entry for entries in lists for entry in entries] for name, lists in reply.items()}
    return dict(reply or [])


def in_threads(*calls):
    """Runs them at once, until all have ended; what they returned."""
    results = [None] * len(calls)

    def run(at):
        results[at] = calls[at]()

    threads = [threading.Thread(target=run, args=(at,)) for at in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def blocked(r):
    return r.info("clients")["blocked_clients"]


def values(r):
    same((r.set("a", "1"), r.get("a"), r.mset({"b": 2, "c": 3}), r.mget("a", "b", "nope")), (True, "1", True, ["1", "2", None]))
    same((r.incr("a"), r.incrbyfloat("a", 0.25), r.append("b", "x"), r.getrange("b", 0, -1)), (2, 2.25, 2, "2x"))
    same((r.set("nx", 1, nx=True), r.set("nx", 2, nx=True), r.set("nx", 3, get=True)), (True, None, "1"))
    same((r.set("session", "data", ex=100), 0 < r.ttl("session") <= 100, r.persist("session"), r.ttl("session")), (True, True, True, -1))
    r.set("short", "x", px=40)
    until("short expires", lambda: r.get("short") is None)
    same((r.ttl("short"), r.pttl("short"), r.exists("short")), (-2, -2, 0))
    same((r.rename("b", "bb"), r.copy("bb", "cc"), r.touch("bb", "cc"), r.unlink("bb", "cc"), r.getdel("c")), (True, True, 2, 2, "3"))
    same((r.object("encoding", "a"), r.object("refcount", "a"), r.type("a"), r.dbsize()), ("embstr", 1, "string", 3))
    same((r.client_setname("tester"), r.client_getname(), r.config_get("maxmemory-pol*")), (True, "tester", {"maxmemory-policy": "noeviction"}))
    same(str(raises(redis.ResponseError, lambda: r.lpush("a", 1))), "WRONGTYPE Operation against a key holding the wrong kind of value")
    same(str(raises(redis.ResponseError, lambda: r.execute_command("NOSUCH", "x"))), "unknown command 'NOSUCH', with args beginning with: 'x' ")

    same(r.hset("hash", mapping={"name": "x", "size": 1.5}), 2)
    same((r.hgetall("hash"), r.hmget("hash", "name", "none"), r.hincrbyfloat("hash", "size", 1)), ({"name": "x", "size": "1.5"}, ["x", None], 2.5))
    same((r.sadd("set", *"abc"), r.smembers("set"), r.smismember("set", ["a", "z"])), (3, {"a", "b", "c"}, [1, 0]))
    same(r.zadd("scores", {"one": 1, "two": 2.5, "three": 3}), 3)
    same([tuple(pair) for pair in r.zrange("scores", 0, -1, withscores=True)], [("one", 1.0), ("two", 2.5), ("three", 3.0)])
    same((r.zadd("scores", {"one": 4}, incr=True), r.zscore("scores", "one"), r.zmscore("scores", ["two", "nope"])), (5.0, 5.0, [2.5, None]))
    same((r.zrevrank("scores", "one"), r.zrangebyscore("scores", "(2.5", "+inf"), r.zcount("scores", 0, 3)), (0, ["three", "one"], 2))
    same((r.geoadd("places", (13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania")), r.geodist("places", "Palermo", "Catania", "km")), (2, 166.2742))
    same(r.geosearch("places", longitude=15, latitude=37, radius=200, unit="km", sort="ASC"), ["Catania", "Palermo"])
    same((r.pfadd("visitors", *range(100)), r.pfcount("visitors")), (1, 100))
    same(r.bitfield("bits").set("u8", 0, 200).incrby("u8", 0, 100, overflow="SAT").get("u4", 0).execute(), [0, 255, 15])
    same((r.sort("set", alpha=True, desc=True, start=0, num=2), r.dump("a") is not None, r.memory_usage("a") > 0), (["c", "b"], True, True))


def scans(r):
    """Each of many keys once, by all the iterators."""
    r.eval("for n = 0, 99999 do redis.call('SET', 'key:' .. n, n) end", 0)
    found = list(r.scan_iter(count=1000))
    same((len(found), len(set(found)), r.dbsize()), (100_000, 100_000, 100_000))
    same(len(set(r.scan_iter(match="key:99*", count=5000))), 1111)
    with r.pipeline(transaction=False) as pipe:
        for n in range(1000):
            pipe.hset("hash", n, n).sadd("set", n).zadd("scores", {n: n})
        same(sum(pipe.execute()), 3000)
    same(dict(r.hscan_iter("hash", count=50)), {str(n): str(n) for n in range(1000)})
    same((set(r.sscan_iter("set", count=50)), dict(r.zscan_iter("scores", count=50))), ({str(n) for n in range(1000)}, {str(n): float(n) for n in range(1000)}))
    same(list(r.scan_iter(match="s*", _type="zset", count=10_000)), ["scores"])


def pipelines(r):
    with r.pipeline() as pipe:
        same(pipe.set("t", 1).incr("t").get("t").execute(), [True, 2, "2"])
        # One that fails does not undo the others.
        error = raises(redis.ResponseError, pipe.incr("t").lpush("t", "x").incr("t").execute)
        same(str(error), "Command # 2 (LPUSH t x) of pipeline caused error: WRONGTYPE Operation against a key holding the wrong kind of value")
        same(r.get("t"), "4")
        results = pipe.get("t").lpush("t", "x").get("t").execute(raise_on_error=False)
        same((results[0], type(results[1]), results[2]), ("4", redis.ResponseError, "4"))
        # One that cannot be queued does.
        raises(redis.ResponseError, pipe.set("t", 5).execute_command("NOSUCH").execute)
        same(r.get("t"), "4")
        pipe.watch("t")
        r.set("t", 9)
        pipe.multi()
        pipe.set("t", 0)
        raises(redis.WatchError, pipe.execute)
        same(r.get("t"), "9")
    with r.pipeline(transaction=False) as pipe:
        for n in range(2000):
            pipe.rpush("numbers", n)
        same(pipe.execute(), list(range(1, 2001)))

    # Many that read, add one and write, over again when another one was first.
    def add():
        for _ in range(25):
            r.transaction(lambda pipe: (total := int(pipe.get("total") or 0), pipe.multi(), pipe.set("total", total + 1)), "total")

    in_threads(*[add] * 4)
    same(r.get("total"), "100")


def locks(r, other):
    """Acquire, extend, reacquire, contention, release by another, time-out."""
    r.script_flush()
    lock, rival = r.lock("lock", timeout=10), other.lock("lock", timeout=10)
    same(lock.acquire(), True)
    same((lock.locked(), lock.owned(), rival.locked(), rival.owned()), (True, True, True, False))
    same(rival.acquire(blocking=False), False)
    same(rival.acquire(blocking_timeout=0.05), False)
    raises(redis.exceptions.LockError, rival.release)
    same(lock.extend(5), True)
    same(10_000 < r.pttl("lock") <= 15_000, True)
    same(lock.extend(20, replace_ttl=True), True)
    same(15_000 < r.pttl("lock") <= 20_000, True)
    same(lock.reacquire(), True)
    same(r.pttl("lock") <= 10_000, True)
    # Another one's token: neither released nor extended.
    thief = Lock(other, "lock", timeout=10)
    thief.local.token = b"another"
    raises(redis.exceptions.LockNotOwnedError, thief.release)
    thief.local.token = b"another"
    raises(redis.exceptions.LockNotOwnedError, lambda: thief.extend(5))
    raises(redis.exceptions.LockNotOwnedError, thief.reacquire)
    same(lock.owned(), True)
    # Who waits gets it when it is released.
    order = []

    def wait():
        with other.lock("lock", timeout=10, sleep=0.01, thread_local=False):
            order.append("rival")

    waiter = threading.Thread(target=wait)
    waiter.start()
    order.append("owner")
    lock.release()
    waiter.join()
    same(order, ["owner", "rival"])
    same(r.exists("lock"), 0)
    # A lock that has timed out is nobody's.
    brief = r.lock("brief", timeout=0.02)
    same(brief.acquire(), True)
    until("the lock times out", lambda: not brief.locked())
    raises(redis.exceptions.LockNotOwnedError, brief.release)
    same(rival.acquire(), True)
    # The library loads its scripts again when they are gone.
    r.script_flush()
    rival.release()
    same(r.script_exists(lock.lua_release.sha), [True])
    # Many that add to one number, each under the lock.
    r.set("sum", 0)

    def add():
        for _ in range(10):
            with r.lock("sum:lock", timeout=10, sleep=0.001):
                r.set("sum", int(r.get("sum")) + 1)

    in_threads(*[add] * 4)
    same(r.get("sum"), "40")
    # A script of one's own, in a pipeline as well.
    double = r.register_script(DOUBLE)
    same(double(keys=["sum"]), 80)
    with r.pipeline() as pipe:
        double(keys=["sum"], args=[2], client=pipe)
        pipe.get("sum")
        same(pipe.execute(), [240, "240"])


def queues(r, worker):
    """Work that is waited for."""
    got = []
    waiting = threading.Thread(target=lambda: got.append(worker.blpop(["urgent", "tasks"], timeout=10)))
    waiting.start()
    until("the worker is blocked", lambda: blocked(r) == 1)
    same(r.lpush("tasks", "job"), 1)
    waiting.join()
    same([tuple(item) for item in got], [("tasks", "job")])
    same((r.rpush("tasks", *range(5)), r.lrange("tasks", 0, -1), r.blmove("tasks", "done", 1)), (5, [*"01234"], "0"))
    same((r.lmpop(2, "none", "tasks", direction="LEFT", count=2), r.lpos("tasks", "4"), r.brpop("nothing", 0.01)), (["tasks", ["1", "2"]], 1, None))
    r.zadd("timed", {"late": 9, "soon": 1})
    same((list(r.bzpopmin("timed", 1)), r.zpopmax("timed") != [], r.bzpopmin("timed", 0.01)), (["timed", "soon", 1.0], True, None))


def subscriptions(r, publisher):
    """Subscribers, by hand and in threads with handlers."""
    subscriber = r.pubsub()
    subscriber.subscribe("news")
    subscriber.psubscribe("n*")
    same([subscriber.get_message(timeout=5)["type"] for _ in range(2)], ["subscribe", "psubscribe"])
    same((publisher.publish("news", "hi"), publisher.pubsub_numsub("news"), publisher.pubsub_numpat(), publisher.pubsub_channels()), (2, [("news", 1)], 1, ["news"]))
    same(subscriber.get_message(timeout=5), {"type": "message", "pattern": None, "channel": "news", "data": "hi"})
    same(subscriber.get_message(timeout=5), {"type": "pmessage", "pattern": "n*", "channel": "news", "data": "hi"})
    subscriber.unsubscribe()
    subscriber.punsubscribe()
    same([subscriber.get_message(timeout=5)["data"] for _ in range(2)], [1, 0])
    subscriber.ssubscribe("shard")
    same(subscriber.get_sharded_message(timeout=5)["type"], "ssubscribe")
    same((publisher.spublish("shard", "here"), subscriber.get_sharded_message(timeout=5)["data"]), (1, "here"))
    subscriber.close()

    publisher.config_set("notify-keyspace-events", "KEA")
    got, threads = [[] for _ in range(4)], []
    for seen in got:
        subscriber = r.pubsub(ignore_subscribe_messages=True)
        keep = lambda message, seen=seen: seen.append((message["channel"], message["data"]))
        subscriber.subscribe(**{"work": keep})
        subscriber.psubscribe(**{"__key*__:watched": keep, "worker.*": keep})
        threads.append(subscriber.run_in_thread(sleep_time=0.02, daemon=True))
    until("all have subscribed", lambda: publisher.pubsub_numsub("work") == [("work", 4)] and publisher.pubsub_numpat() == 2)
    for n in range(250):
        same(publisher.publish("work", n), 4)
    publisher.publish("worker.1", "ends")
    publisher.set("watched", 1)
    publisher.expire("watched", 0)
    expected = [("work", str(n)) for n in range(250)] + [("worker.1", "ends")]
    expected += [("__keyspace@0__:watched", event) for event in ("set", "del")]
    until("all have got all", lambda: all(len(seen) == len(expected) for seen in got))
    same(got, [expected] * 4)
    # What was subscribed to comes back when the connections are cut.
    same(publisher.client_kill_filter(_type="pubsub"), 4)
    until("all have subscribed again", lambda: publisher.publish("work", "still there") == 4)
    until("all have got it", lambda: all(seen[-1] == ("work", "still there") for seen in got))
    for thread in threads:
        thread.stop()
        thread.join()
    until("no one is subscribed", lambda: publisher.pubsub_channels() == [])
    publisher.config_set("notify-keyspace-events", "")


def streams(r, worker):
    """A group of consumers, one of which dies with what it was given."""
    ids = [r.xadd("jobs", {"n": n}, id=f"{n}-1") for n in range(1, 7)]
    same((r.xlen("jobs"), r.xrange("jobs", count=1), r.xrevrange("jobs", count=1)), (6, [("1-1", {"n": "1"})], [("6-1", {"n": "6"})]))
    same(entries(r.xread({"jobs": "4-1"})), {"jobs": [("5-1", {"n": "5"}), ("6-1", {"n": "6"})]})
    same(r.xgroup_create("jobs", "team", id="0"), True)
    same(str(raises(redis.ResponseError, lambda: r.xgroup_create("jobs", "team"))), "BUSYGROUP Consumer Group name already exists")
    same(str(raises(redis.ResponseError, lambda: r.xreadgroup("none", "a", {"jobs": ">"}))).split()[0], "NOGROUP")
    read = lambda client, name, **options: [id for id, _ in entries(client.xreadgroup("team", name, {"jobs": ">"}, **options)).get("jobs", [])]
    same((read(r, "ann", count=2), read(worker, "bob", count=3), read(r, "ann")), (ids[:2], ids[2:5], ids[5:]))
    same((read(r, "ann"), read(r, "ann", block=10)), ([], []))
    same((r.xack("jobs", "team", *ids[:2], ids[5]), r.xack("jobs", "team", ids[0])), (3, 0))
    pending = r.xpending("jobs", "team")
    same((pending["pending"], pending["min"], pending["max"], pending["consumers"]), (3, ids[2], ids[4], [{"name": "bob", "pending": 3}]))
    same([(one["message_id"], one["consumer"], one["times_delivered"]) for one in r.xpending_range("jobs", "team", "-", "+", 10)], [(id, "bob", 1) for id in ids[2:5]])
    # What the dead one has left is taken over.
    same(r.xclaim("jobs", "team", "ann", 0, [ids[2]], justid=True), [ids[2]])
    same(r.xclaim("jobs", "team", "ann", 3_600_000, ids[3:5]), [])
    same(r.xdel("jobs", ids[4]), 1)
    cursor, claimed, deleted = r.xautoclaim("jobs", "team", "ann", 0, ids[3])
    same((cursor, claimed, deleted), ("0-0", [(ids[3], {"n": "4"})], [ids[4]]))
    same((r.xack("jobs", "team", *ids[2:4]), r.xpending("jobs", "team")["pending"]), (2, 0))
    # Who waits is given what comes.
    got = []
    waiting = threading.Thread(target=lambda: got.extend(read(worker, "bob", block=10_000)))
    waiting.start()
    until("bob waits", lambda: blocked(r) == 1)
    newest = r.xadd("jobs", {"n": 7})
    waiting.join()
    same(got, [newest])
    same([(one["name"], one["pending"]) for one in r.xinfo_consumers("jobs", "team")], [("ann", 0), ("bob", 1)])
    group, = r.xinfo_groups("jobs")
    same((group["name"], group["consumers"], group["last-delivered-id"], group["entries-read"], group["lag"]), ("team", 2, newest, 7, 0))
    stream = r.xinfo_stream("jobs")
    same((stream["length"], stream["first-entry"], stream["entries-added"], stream["groups"]), (6, ("1-1", {"n": "1"}), 7, 1))
    same((r.xtrim("jobs", maxlen=2, approximate=False), r.xgroup_delconsumer("jobs", "team", "bob"), r.xgroup_destroy("jobs", "team")), (4, 1, 1))


def caching(other):
    """What has been read stays with the client until somebody changes it."""
    # It wants Redis 7.4, and nothing of it that 7.0 has not.
    error = raises(redis.exceptions.ConnectionError, lambda: connect(3, cache_config=CacheConfig()).ping())
    same("client-side caching is supported by Redis 7.4 or later" in str(error), True)
    CacheProxyConnection.MIN_ALLOWED_VERSION = "7.0.0"
    r = connect(3, cache_config=CacheConfig(max_size=3))
    other.flushall()
    other.config_resetstat()
    calls = lambda command: other.info("commandstats").get(f"cmdstat_{command}", {}).get("calls", 0)
    other.set("a", 1)
    other.hset("hash", "field", 1)
    same([r.get("a") for _ in range(50)], ["1"] * 50)
    same([r.hgetall("hash") for _ in range(50)], [{"field": "1"}] * 50)
    same((calls("get"), calls("hgetall"), r.get_cache().size), (1, 1, 2))
    other.set("a", 2)
    until("a has changed", lambda: r.get("a") == "2")
    other.hincrby("hash", "field", 4)
    until("the hash has changed", lambda: r.hgetall("hash") == {"field": "5"})
    r.set("a", 3)
    until("its own change is seen", lambda: r.get("a") == "3")
    other.set("brief", 1, px=30)
    until("a key expires", lambda: r.get("brief") is None)
    other.mset({f"k{n}": n for n in range(5)})
    same(([r.get(f"k{n}") for n in range(5)], r.get_cache().size), ([*"01234"], 3))
    before = calls("get")
    same((r.get("k4"), r.get("k0"), calls("get") - before), ("4", "0", 1))
    other.flushall()
    until("all keys are gone", lambda: r.get("k4") is None)
    # A connection that is cut takes what it would have been told of with it.
    other.set("a", 4)
    same(r.get("a"), "4")
    other.client_kill_filter(skipme=True)
    other.set("a", 5)
    until("the new value is read", lambda: r.get("a") == "5")
    r.close()


def pools(protocol):
    pool = redis.ConnectionPool(port=PORT, protocol=protocol, max_connections=2)
    with redis.Redis(connection_pool=pool) as r:
        held = [pool.get_connection() for _ in range(2)]
        raises(redis.exceptions.ConnectionError, r.ping)
        pool.release(held.pop())
        same(r.ping(), True)
        pool.release(held.pop())
    pool.disconnect()
    pool = redis.BlockingConnectionPool(port=PORT, protocol=protocol, max_connections=3, timeout=15, client_name="pooled", retry=Retry(NoBackoff(), 1))
    with redis.Redis(connection_pool=pool) as r:
        same(in_threads(*[lambda: [r.incr("shared") for _ in range(50)][-1] > 0] * 8), [True] * 8)
        same(r.get("shared"), b"400")
        same(1 <= [client["name"] for client in r.client_list()].count("pooled") <= 3, True)
        # One that was cut is replaced.
        with redis.Redis(port=PORT) as other:
            other.client_kill_filter(skipme=True)
            same(r.get("shared"), b"400")
            until("the others have gone", lambda: len(other.client_list()) == 2)
    pool.disconnect()
    with redis.Redis(connection_pool=redis.ConnectionPool.from_url(f"redis://localhost:{PORT}/5?protocol={protocol}&client_name=by-url&health_check_interval=1", decode_responses=True)) as r:
        same((r.set("here", 1), r.client_getname(), r.client_info()["db"]), (True, "by-url", 5))
    with redis.Redis(port=PORT, db=4) as r:
        same((r.exists("here"), r.move("here", 5), str(raises(redis.ResponseError, lambda: r.select(99)))), (0, False, "DB index is out of range"))


class Patience(ConstantBackoff):
    """Counts how often any was asked how long to wait: each connection has a copy."""

    asked = 0

    def compute(self, failures):
        Patience.asked += 1
        return super().compute(failures)


def patient(retry):
    """What makes a client try again for long enough, also where it connects."""
    return {"retry": retry(Patience(0.01), 2000), "retry_on_error": [redis.exceptions.ConnectionError, ConnectionRefusedError]}


def restarts(protocol):
    """Commands, a worker that waits and a subscriber, over a restart."""
    with servers.another() as server:
        r, worker, subscribing = (connect(protocol, server.port, **patient(Retry)) for _ in range(3))
        hasty = connect(protocol, server.port, retry=Retry(NoBackoff(), 0))
        double, messages, got = r.register_script(DOUBLE), [], []
        same((r.set("a", 1), double(keys=["a"]), hasty.get("a")), (True, 2, "2"))
        subscriber = subscribing.pubsub()
        subscriber.subscribe(news=lambda message: messages.append(message["data"]))
        thread = subscriber.run_in_thread(sleep_time=0.02, daemon=True)
        waiting = threading.Thread(target=lambda: got.append(worker.blpop("tasks", 10)))
        waiting.start()
        until("both wait", lambda: blocked(r) == 1 and r.pubsub_numsub("news") == [("news", 1)])

        server.stop()
        raises(redis.exceptions.ConnectionError, lambda: hasty.get("a"))
        setting = threading.Thread(target=lambda: r.set("a", 7))
        before = Patience.asked
        setting.start()
        until("they have tried again", lambda: Patience.asked > before + 10)
        server.start()
        setting.join()
        same((r.get("a"), hasty.get("a"), double(keys=["a"])), ("7", "7", 14))
        until("the worker is back", lambda: blocked(r) == 1)
        same(r.rpush("tasks", "job"), 1)
        waiting.join()
        same([tuple(item) for item in got], [("tasks", "job")])
        until("the subscriber is back", lambda: hasty.publish("news", "hello") == 1)
        until("it has got the message", lambda: messages == ["hello"])
        with r.pipeline() as pipe:
            server.stop()
            server.start()
            same(pipe.set("b", 1).get("b").execute(), [True, "1"])
        thread.stop()
        thread.join()
        for client in (r, worker, subscribing, hasty):
            client.close()


def refusals(protocol):
    """Passwords, and what no lone server without a cluster is."""
    denied = redis.exceptions.AuthenticationError
    with servers.another("--requirepass", "p@ss/word") as server:
        for user in ("", "default"):
            with redis.Redis.from_url(f"redis://{user}:p%40ss%2Fword@localhost:{server.port}/1?protocol={protocol}") as r:
                same((r.set("a", 1), r.get("a"), r.client_info()["db"]), (True, b"1", 1))
        once = Retry(NoBackoff(), 0)
        for options in ({"password": "wrong"}, {"username": "nobody", "password": "p@ss/word"}):
            with connect(protocol, server.port, retry=once, **options) as r:
                same("invalid username-password pair" in str(raises(denied, r.ping)), True)
        with connect(2, server.port, retry=once) as r:
            same(str(raises(denied, r.ping)), "Authentication required.")
        with connect(2, server.port, password="p@ss/word") as r:
            same((r.config_set("requirepass", "another"), r.ping()), (True, True))
        with connect(protocol, server.port, password="another") as r:
            same(r.ping(), True)
    path = os.path.abspath("socket")
    with servers.another("--unixsocket", path):
        with redis.Redis.from_url(f"unix://{path}?db=2&protocol={protocol}") as r:
            same((r.set("a", 1), r.client_info()["db"], r.client_info()["addr"]), (True, 2, f"{path}:0"))

    sentinel = Sentinel([("127.0.0.1", PORT)], sentinel_kwargs={"protocol": protocol})
    error = raises(redis.ResponseError, lambda: sentinel.discover_master("mymaster"))
    same("unknown command 'SENTINEL'" in str(error), True)
    error = raises(redis.exceptions.RedisClusterException, lambda: RedisCluster(host="127.0.0.1", port=PORT, protocol=protocol))
    same("Cluster mode is not enabled on this node" in str(error), True)


def sync_program(protocol):
    r, other = connect(protocol), connect(protocol)
    for part in (values, scans, pipelines):
        r.flushall()
        part(r)
    for part in (locks, queues, subscriptions, streams):
        r.flushall()
        part(r, other)
    r.close()
    if protocol == 3:
        caching(other)
    other.close()
    pools(protocol)
    restarts(protocol)
    refusals(protocol)


async def pipelines_async(r, other):
    async with r.pipeline() as pipe:
        same(await pipe.set("t", 1).incr("t").get("t").execute(), [True, 2, "2"])
        await raises_async(redis.ResponseError, pipe.incr("t").lpush("t", "x").execute)
        await pipe.watch("t")
        await other.set("t", 9)
        pipe.multi()
        pipe.set("t", 0)
        await raises_async(redis.WatchError, pipe.execute)
        same(await r.get("t"), "9")
    async with r.pipeline(transaction=False) as pipe:
        for n in range(1000):
            pipe.set(f"key:{n}", n)
        same(await pipe.execute(), [True] * 1000)
    same(len({key async for key in r.scan_iter(match="key:*", count=100)}), 1000)

    async def add():
        async def one(pipe):
            total = int(await pipe.get("total") or 0)
            pipe.multi()
            pipe.set("total", total + 1)

        for _ in range(10):
            await r.transaction(one, "total")

    await asyncio.gather(*(add() for _ in range(4)))
    same(await r.get("total"), "40")


async def locks_async(r, other):
    lock, rival = r.lock("lock", timeout=10), other.lock("lock", timeout=10)
    same((await lock.acquire(), await rival.acquire(blocking_timeout=0.02), await lock.owned(), await rival.owned()), (True, False, True, False))
    same((await lock.extend(20, replace_ttl=True), 15_000 < await r.pttl("lock") <= 20_000, await lock.reacquire()), (True, True, True))
    await raises_async(redis.exceptions.LockError, rival.release)
    rival.local.token = b"another"
    await raises_async(redis.exceptions.LockNotOwnedError, lambda: rival.extend(5))
    await lock.release()
    same((await lock.locked(), await rival.acquire(), await rival.release()), (False, True, None))
    await r.set("sum", 0)

    async def add():
        for _ in range(5):
            async with r.lock("sum:lock", timeout=10, sleep=0.001):
                await r.set("sum", int(await r.get("sum")) + 1)

    await asyncio.gather(*(add() for _ in range(4)))
    same(await r.get("sum"), "20")
    same(await r.register_script(DOUBLE)(keys=["sum"], args=[2]), 60)


async def subscriptions_async(r, other):
    async def listen(subscriber):
        seen = []
        async for message in subscriber.listen():
            if message["type"] in ("message", "pmessage"):
                seen.append((message["channel"], message["data"]))
                if message["data"] == "end":
                    return seen

    subscribers = [r.pubsub() for _ in range(3)]
    for subscriber in subscribers:
        await subscriber.subscribe("work")
        await subscriber.psubscribe("other.*")
    tasks = [asyncio.create_task(listen(subscriber)) for subscriber in subscribers]

    async def subscribed():
        return await other.pubsub_numsub("work") == [("work", 3)] and await other.pubsub_numpat() == 1

    await until_async("all have subscribed", subscribed)
    same([await other.publish("work", n) for n in range(100)], [3] * 100)
    same((await other.publish("other.1", "x"), await other.publish("work", "end")), (3, 3))
    same(await asyncio.gather(*tasks), [[("work", str(n)) for n in range(100)] + [("other.1", "x"), ("work", "end")]] * 3)
    for subscriber in subscribers:
        await subscriber.unsubscribe()
        await subscriber.aclose()


async def work_async(r, other):
    """A queue and a stream's group, each with consumers that wait."""
    async def waiting(count):
        return (await r.info("clients"))["blocked_clients"] == count

    workers = [asyncio.create_task(other.blpop("tasks", 10)) for _ in range(3)]
    await until_async("the workers wait", lambda: waiting(3))
    same(await r.rpush("tasks", 1, 2, 3), 3)
    same(sorted(item for _, item in await asyncio.gather(*workers)), ["1", "2", "3"])
    # One that is given up gets nothing.
    given_up = asyncio.create_task(other.blpop("tasks", 10))
    await until_async("it waits", lambda: waiting(1))
    given_up.cancel()
    await raises_async(asyncio.CancelledError, lambda: given_up)
    await until_async("it has gone", lambda: waiting(0))
    same((await r.rpush("tasks", 4), await r.lpop("tasks")), (1, "4"))

    await r.xgroup_create("jobs", "team", mkstream=True)
    consumers = [asyncio.create_task(other.xreadgroup("team", name, {"jobs": ">"}, count=1, block=10_000)) for name in ("ann", "bob")]
    await until_async("the consumers wait", lambda: waiting(2))
    ids = [await r.xadd("jobs", {"n": n}) for n in range(2)]
    got = sorted(entries(reply)["jobs"][0] for reply in await asyncio.gather(*consumers))
    same([id for id, _ in got], ids)
    same((await r.xautoclaim("jobs", "team", "carl", 0, justid=True), await r.xack("jobs", "team", *ids)), (ids, 2))


async def restarts_async(protocol):
    with servers.another("--requirepass", "secret") as server:
        r, worker = (connect_async(protocol, server.port, password="secret", **patient(redis.asyncio.retry.Retry)) for _ in range(2))
        same((await r.set("a", 1), await worker.get("a")), (True, "1"))
        server.stop()
        setting = asyncio.create_task(r.set("a", 7))
        popping = asyncio.create_task(worker.blpop("tasks", 10))
        before = Patience.asked

        async def tried():
            return Patience.asked > before + 10

        await until_async("they have tried again", tried)
        # What waits for its answer does so on this thread.
        await asyncio.to_thread(server.start)
        same((await setting, await r.get("a"), await r.rpush("tasks", "job"), [*await popping]), (True, "7", 1, ["tasks", "job"]))
        await r.aclose()
        await worker.aclose()
        async with connect_async(protocol, server.port, password="wrong", retry=redis.asyncio.retry.Retry(NoBackoff(), 0)) as r:
            await raises_async(redis.exceptions.AuthenticationError, r.ping)


async def asyncio_program(protocol):
    r, other = connect_async(protocol), connect_async(protocol)
    for part in (pipelines_async, locks_async, subscriptions_async, work_async):
        await r.flushall()
        await part(r, other)
    await r.aclose()
    await other.aclose()
    pool = redis.asyncio.BlockingConnectionPool(port=PORT, protocol=protocol, max_connections=3, timeout=15, client_name="pooled")
    async with redis.asyncio.Redis.from_pool(pool) as r:
        same(max(await asyncio.gather(*(r.incr("shared") for _ in range(300)))), 300)
        same(1 <= [client["name"] for client in await r.client_list()].count("pooled") <= 3, True)
    await restarts_async(protocol)


if __name__ == "__main__":
    for protocol in (2, 3):
        sync_program(protocol)
        asyncio.run(asyncio_program(protocol))
    done()
