# Program: limits
# Needs: pip limits==5.8.0 redis==8.1.0 coredis==5.7.0
# Exercises: fixed, moving and sliding windows, from many threads at once; with asyncio, on redis-py and on coredis
#
"""Each window to its limit and after a reset, where the scripts of limits are
gone, and where the server was away."""
import asyncio
import os
import threading
import time

import redis
from limits import RateLimitItemPerSecond, RateLimitItemPerYear, parse_many
from limits import strategies
from limits.aio import strategies as aio_strategies
from limits.errors import StorageError
from limits.storage import storage_from_string

import servers
from checks import done, raises, raises_async, same, until, until_async

URL = os.environ["REDIS_URL"]
STRATEGIES = ("FixedWindowRateLimiter", "MovingWindowRateLimiter", "SlidingWindowCounterRateLimiter")
# No year ends while this runs, as an hour might.
YEARLY = RateLimitItemPerYear(5)
BRIEFLY = RateLimitItemPerSecond(2)


def windows(name):
    r, storage = redis.Redis.from_url(URL), storage_from_string(URL)
    r.flushall()
    limiter, key = getattr(strategies, name)(storage), "user"
    same((storage.check(), limiter.test(YEARLY, key)), (True, True))
    same([limiter.hit(YEARLY, key) for _ in range(7)], [True] * 5 + [False] * 2)
    same((limiter.test(YEARLY, key), limiter.get_window_stats(YEARLY, key).remaining), (False, 0))
    same((limiter.hit(YEARLY, "another"), limiter.get_window_stats(YEARLY, "another").remaining), (True, 4))
    same((limiter.hit(YEARLY, "costly", cost=4), limiter.hit(YEARLY, "costly", cost=2)), (True, False))
    # A fixed window counts what it refuses.
    same(limiter.hit(YEARLY, "costly"), name != "FixedWindowRateLimiter")
    same(0 < limiter.get_window_stats(YEARLY, key).reset_time - time.time() <= 2 * YEARLY.get_expiry(), True)
    limiter.clear(YEARLY, key)
    same(limiter.hit(YEARLY, key), True)
    # Several limits, as an application gives them, and scripts that are gone.
    r.script_flush()
    month, year = parse_many("10/month; 3 per year")
    same([limiter.hit(month, "both") and limiter.hit(year, "both") for _ in range(4)], [True] * 3 + [False])
    # Of many who come at once no more get in than may.
    got_in, hundred = [], RateLimitItemPerYear(100)

    def come():
        door = getattr(strategies, name)(storage_from_string(URL))
        got_in.extend(door.hit(hundred, "many") for _ in range(40))

    threads = [threading.Thread(target=come) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    same((len(got_in), sum(got_in)), (160, 100))
    same(storage.reset() >= 3, True)
    same(r.keys("LIMITS*"), [])
    r.close()


async def windows_async(name, implementation):
    storage = storage_from_string(f"async+{URL}", implementation=implementation)
    limiter, key = getattr(aio_strategies, name)(storage), "user"
    same((await storage.check(), await limiter.test(YEARLY, key)), (True, True))
    same([await limiter.hit(YEARLY, key) for _ in range(7)], [True] * 5 + [False] * 2)
    same((await limiter.test(YEARLY, key), (await limiter.get_window_stats(YEARLY, key)).remaining), (False, 0))
    await limiter.clear(YEARLY, key)
    same(sum(await asyncio.gather(*(limiter.hit(YEARLY, key) for _ in range(20)))), 5)
    same(await storage.reset() >= 1, True)


async def passing():
    """Windows that pass, of all of them at once."""
    async def sees(limiter, key):
        same(await limiter.hit(BRIEFLY, key, cost=2), True)
        await until_async("the window passes", lambda: limiter.hit(BRIEFLY, key))

    limiters = {}
    for implementation in ("redispy", "coredis"):
        storage = storage_from_string(f"async+{URL}", implementation=implementation)
        limiters |= {f"{implementation} {name}": getattr(aio_strategies, name)(storage) for name in STRATEGIES}
    waiting = asyncio.gather(*(sees(limiter, key) for key, limiter in limiters.items()))
    storage = storage_from_string(URL)
    limiters = {name: getattr(strategies, name)(storage) for name in STRATEGIES}
    same([limiter.hit(BRIEFLY, key, cost=2) for key, limiter in limiters.items()], [True] * 3)
    await waiting
    for key, limiter in limiters.items():
        until("the window passes", lambda: limiter.hit(BRIEFLY, key))


def restart(name):
    """Nobody is let in, and nobody locked out, by a server that is away."""
    with servers.another() as server:
        limiter = getattr(strategies, name)(storage_from_string(server.url, wrap_exceptions=True))
        same([limiter.hit(YEARLY, "user") for _ in range(6)], [True] * 5 + [False])
        server.stop()
        raises(StorageError, lambda: limiter.hit(YEARLY, "user"))
        server.start()
        same([limiter.hit(YEARLY, "user") for _ in range(6)], [True] * 5 + [False])


for name in STRATEGIES:
    windows(name)
    for implementation in ("redispy", "coredis"):
        asyncio.run(windows_async(name, implementation))
    restart(name)
asyncio.run(passing())
done()
