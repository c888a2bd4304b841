# Program: Tutorial: rate limits
# Needs: pip redis==8.1.0
# Exercises: fixed window, sliding log in a sorted set, sliding counter, token bucket and leaky bucket in Lua, clients at once
#
"""Every way to limit how often somebody may call that tutorials show. Where
the time is an argument, a made-up clock says it."""
import os
import threading
import time

import redis
from checks import done, same, until

URL = os.environ["REDIS_URL"]
r = redis.Redis.from_url(URL, decode_responses=True)


def fixed_window():
    def allowed(user, limit=5, window=60):
        key = f"rate:{user}:{1_700_000_000 // window}"
        with r.pipeline(transaction=True) as pipe:
            pipe.incr(key)
            pipe.expire(key, window, nx=True)
            count, _ = pipe.execute()
        return count <= limit, max(limit - count, 0)

    same([allowed("ada") for _ in range(7)], [(True, 4), (True, 3), (True, 2), (True, 1), (True, 0), (False, 0), (False, 0)])
    same(allowed("ben"), (True, 4))
    same(50 < r.ttl(f"rate:ada:{1_700_000_000 // 60}") <= 60, True)
    # The oldest listing of all, and what is wrong with it mended by a script.
    limited = r.register_script("""
        local current = redis.call('INCR', KEYS[1])
        if current == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
        if current > tonumber(ARGV[1]) then return redis.call('PTTL', KEYS[1]) end
        return -1
    """)
    same([limited(keys=["rate:brief"], args=[2, 50]) == -1 for _ in range(2)], [True, True])
    until("the window is over", lambda: limited(keys=["rate:brief"], args=[2, 50]) == -1)
    same([limited(keys=["rate:long"], args=[1, 60_000]) for _ in range(2)][0], -1)
    same(0 < limited(keys=["rate:long"], args=[1, 60_000]) <= 60_000, True)


def sliding_log():
    def allowed(user, now, limit=3, window=10):
        key = f"log:{user}"
        with r.pipeline(transaction=True) as pipe:
            pipe.zremrangebyscore(key, 0, now - window)
            pipe.zcard(key)
            pipe.zadd(key, {f"{now}": now})
            pipe.expire(key, window)
            _, count, _, _ = pipe.execute()
        if count >= limit:
            r.zrem(key, f"{now}")
        return count < limit

    calls = [100, 101, 102, 103, 109.5, 110, 110.5, 111, 112.25]
    same([allowed("ada", now) for now in calls], [True, True, True, False, False, True, False, True, True])
    same(r.zrange("log:ada", 0, -1), ["110", "111", "112.25"])


def sliding_log_at_once():
    """Forty calls of eight clients within one script each: exactly ten come through."""
    script = """
        local time = redis.call('TIME')
        local now = time[1] * 1000 + math.floor(time[2] / 1000)
        redis.call('ZREMRANGEBYSCORE', KEYS[1], 0, now - ARGV[1])
        if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
        redis.call('ZADD', KEYS[1], now, now .. '-' .. redis.call('INCR', KEYS[1] .. ':counter'))
        redis.call('PEXPIRE', KEYS[1], ARGV[1])
        redis.call('PEXPIRE', KEYS[1] .. ':counter', ARGV[1])
        return 1
    """
    answers = []

    def call():
        client = redis.Redis.from_url(URL)
        allowed = client.register_script(script)
        answers.extend(allowed(keys=["log:all"], args=[60_000, 10]) for _ in range(5))

    callers = [threading.Thread(target=call) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    same((sum(answers), len(answers), r.zcard("log:all")), (10, 40, 10))


def sliding_counter():
    """Two windows, of which the last counts by how much of it is still in sight."""
    def allowed(now, limit=10, window=60):
        current, share = int(now // window), (now % window) / window
        last, count = (int(value or 0) for value in r.mget(f"count:{current - 1}", f"count:{current}"))
        if last * (1 - share) + count >= limit:
            return False
        with r.pipeline() as pipe:
            pipe.incr(f"count:{current}").expire(f"count:{current}", window * 2).execute()
        return True

    same(sum(allowed(600) for _ in range(15)), 10)
    same([sum(allowed(now) for _ in range(15)) for now in (660, 675, 690)], [0, 3, 2])


def token_bucket():
    take = r.register_script("""
        local capacity, rate, now, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
        local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
        local tokens, at = tonumber(bucket[1]) or capacity, tonumber(bucket[2]) or now
        tokens = math.min(capacity, tokens + math.max(0, now - at) * rate)
        local allowed = tokens >= wanted
        if allowed then tokens = tokens - wanted end
        redis.call('HSET', KEYS[1], 'tokens', tokens, 'at', now)
        redis.call('EXPIRE', KEYS[1], math.ceil(capacity / rate) * 2)
        return { allowed and 1 or 0, tostring(tokens) }
    """)
    at = lambda now, wanted=1: take(keys=["bucket:ada"], args=[5, 0.5, now, wanted])
    same([at(1000) for _ in range(6)], [[1, "4"], [1, "3"], [1, "2"], [1, "1"], [1, "0"], [0, "0"]])
    same([at(1001), at(1003), at(1003)], [[0, "0.5"], [1, "0.5"], [0, "0.5"]])
    same([at(1100, 3), at(1100, 3), at(1099)], [[1, "2"], [0, "2"], [1, "1"]])
    same(r.hgetall("bucket:ada"), {"tokens": "1", "at": "1099"})
    same(0 < r.ttl("bucket:ada") <= 20, True)


def leaky_bucket():
    """A list that a worker empties: what does not fit in is refused."""
    pour = r.register_script("""
        if redis.call('LLEN', KEYS[1]) >= tonumber(ARGV[2]) then return redis.error_reply('FULL') end
        return redis.call('RPUSH', KEYS[1], ARGV[1])
    """)
    same([pour(keys=["leaky"], args=[n, 3]) for n in range(3)], [1, 2, 3])
    try:
        pour(keys=["leaky"], args=[3, 3])
        raise AssertionError("it took four")
    except redis.ResponseError as error:
        same("FULL" in str(error), True)
    same((r.lpop("leaky"), pour(keys=["leaky"], args=[3, 3])), ("0", 3))


def concurrent_logins():
    """Failed attempts shut somebody out, for longer each time."""
    def fail(user):
        count = r.incr(f"failed:{user}")
        r.expire(f"failed:{user}", 900)
        if count >= 3:
            r.set(f"shut:{user}", 1, ex=2 ** count)
        return r.ttl(f"shut:{user}")

    same([fail("ada") for _ in range(2)], [-2, -2])
    same([6 < fail("ada") <= 8, 14 < fail("ada") <= 16], [True, True])
    same((r.delete("failed:ada", "shut:ada"), fail("ada")), (2, -2))
    same(r.get("failed:ada"), "1")


for part in (fixed_window, sliding_log, sliding_log_at_once, sliding_counter, token_bucket, leaky_bucket, concurrent_logins):
    part()
# The server's clock is the one that expiry goes by.
same(abs(r.time()[0] - time.time()) <= 2, True)
done()
