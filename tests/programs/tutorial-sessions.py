# Program: Tutorial: sessions
# Needs: pip redis==8.1.0
# Exercises: sessions as hashes with EXPIRE, carts, keyspace notifications of expiry, tokens, presence
#
"""Who is logged in, for how long, and what is done when that ends."""
import os
import secrets
import time

import redis
from checks import done, raises, same, until
from listings import Process, listing

URL = os.environ["REDIS_URL"]
r = redis.Redis.from_url(URL, decode_responses=True)
TTL = 1800

listing("cleaner.py", """
    import sys

    import redis

    r = redis.Redis.from_url(sys.argv[1], decode_responses=True)
    r.config_set("notify-keyspace-events", "Ex")
    pubsub = r.pubsub()
    pubsub.subscribe("__keyevent@0__:expired")
    for message in pubsub.listen():
        if message["type"] == "subscribe":
            print("listens to", message["channel"])
            continue
        key = message["data"]
        if key.startswith("session:"):
            user = r.hgetall(f"shadow:{key}").get("user")
            r.srem("online", user)
            r.delete(f"shadow:{key}")
            print("ended", user)
""")


def log_in(user, **fields):
    token = secrets.token_urlsafe(32)
    with r.pipeline(transaction=True) as pipe:
        pipe.hset(f"session:{token}", mapping={"user": user, "created": int(time.time()), **fields})
        pipe.expire(f"session:{token}", TTL)
        pipe.hset(f"shadow:session:{token}", "user", user)
        pipe.sadd("online", user)
        pipe.sadd(f"sessions-of:{user}", token)
        pipe.execute()
    return token


def load(token):
    """What is in it, and another half an hour for it."""
    with r.pipeline(transaction=True) as pipe:
        pipe.hgetall(f"session:{token}")
        pipe.expire(f"session:{token}", TTL)
        session, exists = pipe.execute()
    return session if exists else None


def sessions():
    token = log_in("ada", theme="dark")
    same({**load(token), "created": "now"}, {"user": "ada", "theme": "dark", "created": "now"})
    same(TTL - 10 < r.ttl(f"session:{token}") <= TTL, True)
    r.expire(f"session:{token}", 30)
    same((load(token)["user"], TTL - 10 < r.ttl(f"session:{token}") <= TTL), ("ada", True))
    # A field that is written leaves the time as it is; SET without KEEPTTL would not.
    r.expire(f"session:{token}", 100)
    same((r.hset(f"session:{token}", "theme", "light"), r.ttl(f"session:{token}") <= 100), (0, True))
    same(r.hincrby(f"session:{token}", "views", 1), 1)
    same(r.hmget(f"session:{token}", "theme", "views", "nothing"), ["light", "1", None])
    same((r.hsetnx(f"session:{token}", "theme", "x"), r.hdel(f"session:{token}", "views"), r.hexists(f"session:{token}", "views")), (0, 1, False))
    same((load("made-up"), r.exists("session:made-up")), (None, 0))
    same(r.delete(f"session:{token}"), 1)
    same(load(token), None)
    # A session as one string, as frameworks store it.
    r.set("session:text", '{"user": "ben"}', ex=100)
    r.set("session:text", '{"user": "ben", "cart": 1}', keepttl=True)
    same(90 < r.ttl("session:text") <= 100, True)
    same((r.getex("session:text", ex=1000), r.ttl("session:text") > 900), ('{"user": "ben", "cart": 1}', True))
    same((r.getdel("session:text"), r.exists("session:text")), ('{"user": "ben", "cart": 1}', 0))


def everywhere():
    """All sessions of one user end when the password changes."""
    tokens = [log_in("cy") for _ in range(3)]
    same(r.scard("sessions-of:cy"), 3)
    with r.pipeline() as pipe:
        pipe.unlink(*[f"session:{token}" for token in r.smembers("sessions-of:cy")], "sessions-of:cy")
        same(pipe.execute(), [4])
    same([load(token) for token in tokens], [None] * 3)


def carts():
    r.hset("cart:ada", mapping={"book:1": 1, "book:2": 3})
    same((r.hincrby("cart:ada", "book:1", 2), r.hincrby("cart:ada", "book:2", -3)), (3, 0))
    same((r.hdel("cart:ada", "book:2"), r.hgetall("cart:ada"), r.hlen("cart:ada")), (1, {"book:1": "3"}, 1))
    # What a guest had comes with the user.
    r.hset("cart:guest", mapping={"book:1": 1, "book:9": 1})
    for book, count in r.hscan_iter("cart:guest"):
        r.hincrby("cart:ada", book, count)
    same((r.delete("cart:guest"), r.hgetall("cart:ada")), (1, {"book:1": "4", "book:9": "1"}))
    r.rename("cart:ada", "order:1")
    same((r.exists("cart:ada"), r.persist("order:1")), (0, False))


def expiry():
    """What has to be done when a session ends is told by the server."""
    tokens = [log_in(user) for user in ("dee", "eve", "fay")]
    with Process("cleaner.py", URL) as cleaner:
        cleaner.until_shows("listens to __keyevent@0__:expired")
        same(r.config_get("notify-keyspace-events"), {"notify-keyspace-events": "xE"})
        same(r.smismember("online", ["dee", "eve", "fay"]), [1, 1, 1])
        r.pexpire(f"session:{tokens[0]}", 30)
        cleaner.until_shows("ended dee")
        # Nobody has asked for it in the meantime; the others are there still.
        r.delete(f"session:{tokens[1]}")
        r.expire(f"session:{tokens[2]}", 30)
        r.expire(f"session:{tokens[2]}", 1000)
        last = log_in("gus")
        r.pexpire(f"session:{last}", 10)
        cleaner.until_shows("ended gus")
        same(cleaner.shows().splitlines()[1:], ["ended dee", "ended gus"])
    same(r.smismember("online", ["dee", "eve", "fay", "gus"]), [0, 1, 1, 0])
    # All events of one key.
    r.config_set("notify-keyspace-events", "KEA")
    with r.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.psubscribe("__keyspace@0__:watched")
        until("it is subscribed", lambda: pubsub.get_message(timeout=0.1) is None and r.pubsub_numpat() == 1)
        r.set("watched", 1, ex=60)
        r.incr("watched")
        r.pexpire("watched", 20)
        events = []
        until("it expires", lambda: (m := pubsub.get_message(timeout=1)) and events.append(m["data"]) or "expired" in events)
        same(events, ["set", "expire", "incrby", "expire", "expired"])
    r.config_set("notify-keyspace-events", "")
    raises(redis.ResponseError, lambda: r.config_set("notify-keyspace-events", "?"))


def tokens():
    """One-time codes: right once, wrong three times at most."""
    check = r.register_script("""
        local code = redis.call('GET', KEYS[1])
        if not code then return 'expired' end
        if code == ARGV[1] then redis.call('DEL', KEYS[1], KEYS[2]) return 'right' end
        if redis.call('INCR', KEYS[2]) >= 3 then redis.call('DEL', KEYS[1], KEYS[2]) return 'locked' end
        redis.call('EXPIRE', KEYS[2], 300)
        return 'wrong'
    """)
    enter = lambda code: check(keys=["code:ada", "code:ada:tries"], args=[code])
    r.setex("code:ada", 300, "123456")
    same([enter(code) for code in ("000000", "123456", "123456")], ["wrong", "right", "expired"])
    r.setex("code:ada", 300, "654321")
    same([enter("0"), enter("0"), enter("0"), enter("654321")], ["wrong", "wrong", "locked", "expired"])
    # Tokens that were revoked, for as long as they would have been valid.
    same((r.set("revoked:jti-1", 1, exat=4_102_444_800), r.exists("revoked:jti-1", "revoked:jti-2")), (True, 1))
    same(r.expiretime("revoked:jti-1"), 4_102_444_800)


def presence():
    now = 1_700_000_000
    r.zadd("seen", {"ada": now - 400, "ben": now - 10, "cy": now})
    same(r.zrangebyscore("seen", now - 300, "+inf"), ["ben", "cy"])
    same((r.zremrangebyscore("seen", "-inf", now - 300), r.zcard("seen")), (1, 2))


for part in (sessions, everywhere, carts, expiry, tokens, presence):
    part()
done()
