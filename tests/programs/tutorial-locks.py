# Program: Tutorial: locks
# Needs: pip redis==8.1.0
# Exercises: SET NX EX with a Lua release, renewal, fencing tokens, semaphores, WATCH
#
"""Processes that must not be in one place at the same time, and the lost
update that shows what happens without a lock."""
import os
import sys
import threading
import uuid

import redis
from checks import done, raises, same, until
from listings import Process, listing

r = redis.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)

# The lock of the listing: what releases it looks first whether it is still its own.
listing("lock.py", """
    import os
    import time
    import uuid
    from contextlib import contextmanager

    import redis

    r = redis.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)

    RELEASE = '''
    if redis.call("GET", KEYS[1]) == ARGV[1] then
        return redis.call("DEL", KEYS[1])
    end
    return 0
    '''
    EXTEND = '''
    if redis.call("GET", KEYS[1]) == ARGV[1] then
        return redis.call("PEXPIRE", KEYS[1], ARGV[2])
    end
    return 0
    '''


    def acquire(name, ttl=10, wait=30):
        token = str(uuid.uuid4())
        deadline = time.monotonic() + wait
        while time.monotonic() < deadline:
            if r.set(f"lock:{name}", token, nx=True, ex=ttl):
                return token
            time.sleep(0.001)
        return None


    def release(name, token):
        return r.eval(RELEASE, 1, f"lock:{name}", token) == 1


    extend_script = r.register_script(EXTEND)


    def extend(name, token, milliseconds):
        return extend_script(keys=[f"lock:{name}"], args=[token, milliseconds]) == 1


    @contextmanager
    def lock(name, **options):
        token = acquire(name, **options)
        if token is None:
            raise TimeoutError(name)
        try:
            yield token
        finally:
            release(name, token)
""")
listing("counter.py", """
    import sys
    from lock import lock, r

    for _ in range(int(sys.argv[1])):
        with lock("counter"):
            assert r.incr("inside") == 1
            value = int(r.get("counter") or 0)
            r.set("counter", value + 1)
            r.decr("inside")
    print("counted")
""")
sys.path.insert(0, "")
from lock import extend, release

# One that never comes to its release.
listing("hang.py", """
    import time
    from lock import acquire

    print(acquire("job", ttl=30))
    time.sleep(60)
""")


def of_processes():
    counters = [Process("counter.py", "30") for _ in range(3)]
    same([counter.result() for counter in counters], ["counted\n"] * 3)
    same((r.get("counter"), r.get("inside"), r.exists("lock:counter")), ("90", "0", 0))


def of_one_that_dies():
    with Process("hang.py") as hanging:
        until("it has the lock", lambda: r.get("lock:job"))
        token = r.get("lock:job")
        hanging.until_shows(token)
        hanging.kill()
        same(r.set("lock:job", "next", nx=True, ex=10), None)
        same(0 < r.ttl("lock:job") <= 30, True)
        # Instead of half a minute.
        r.pexpire("lock:job", 20)
        until("the lock's time is over", lambda: r.set("lock:job", "next", nx=True, ex=10))
        # Who came late must not take away what is another's by now.
        same((release("job", token), r.get("lock:job")), (False, "next"))
        same((extend("job", token, 60_000), r.ttl("lock:job") <= 10), (False, True))
        same((extend("job", "next", 60_000), r.ttl("lock:job") > 50), (True, True))
        same((release("job", "next"), r.get("lock:job")), (True, None))
        same(release("job", "next"), False)


def by_redis_py():
    """The lock that the client brings, which renews itself while a thread says so."""
    mine, yours = (r.lock("report", timeout=30, blocking_timeout=0.05) for _ in range(2))
    with mine:
        same(yours.acquire(), False)
        same(mine.extend(60, replace_ttl=True), True)
        same(r.pttl("report") > 30_000, True)
    same(yours.acquire(), True)
    raises(redis.exceptions.LockError, mine.release)
    yours.release()


def with_tokens():
    """A number that only grows lets the storage refuse those who were too slow."""
    save = r.register_script("""
        local last = tonumber(redis.call('HGET', KEYS[1], 'token') or '0')
        if tonumber(ARGV[1]) < last then return 0 end
        redis.call('HSET', KEYS[1], 'token', ARGV[1], 'text', ARGV[2])
        return 1
    """)
    slow, fast = r.incr("fence"), r.incr("fence")
    same(save(keys=["document"], args=[fast, "by the fast"]), 1)
    same(save(keys=["document"], args=[slow, "by the slow"]), 0)
    same(r.hgetall("document"), {"token": "2", "text": "by the fast"})


def semaphore():
    """Three at a time: a sorted set of holders, in the order of their coming."""
    enter = r.register_script("""
        redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[2] - ARGV[3])
        if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[4]) then return 0 end
        redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
        return 1
    """)
    at = lambda now: [enter(keys=["printers"], args=[uuid.uuid4().hex, now, 10, 3]) for _ in range(4)]
    same(at(1000), [1, 1, 1, 0])
    same(at(1005), [0, 0, 0, 0])
    same(at(1010), [1, 1, 1, 0])
    same(r.zcard("printers"), 3)


def optimistic():
    """WATCH instead of a lock: whoever comes second begins again."""
    r.mset({"stock:7": 30, "sold:7": 0})

    def buy():
        client = redis.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)
        with client.pipeline() as pipe:
            while True:
                try:
                    pipe.watch("stock:7")
                    stock = int(pipe.get("stock:7"))
                    if stock == 0:
                        return pipe.unwatch()
                    pipe.multi()
                    pipe.set("stock:7", stock - 1)
                    pipe.incr("sold:7")
                    pipe.execute()
                except redis.WatchError:
                    continue

    buyers = [threading.Thread(target=buy) for _ in range(4)]
    for buyer in buyers:
        buyer.start()
    for buyer in buyers:
        buyer.join()
    same(r.mget("stock:7", "sold:7"), ["0", "30"])
    # The same, with the loop that the client brings.
    def sell_back(pipe):
        sold = int(pipe.get("sold:7"))
        pipe.multi()
        pipe.set("sold:7", sold - 1)
        pipe.incr("stock:7")

    same(r.transaction(sell_back, "sold:7"), [True, 1])
    with r.pipeline() as pipe:
        pipe.watch("sold:7")
        r.set("sold:7", 0)
        pipe.multi()
        pipe.incr("sold:7")
        raises(redis.WatchError, pipe.execute)
    same(r.get("sold:7"), "0")


for part in (of_processes, of_one_that_dies, by_redis_py, with_tokens, semaphore, optimistic):
    part()
done()
