# Program: aiocache
# Needs: pip aiocache==0.12.3 redis==8.1.0
# Exercises: values with times, serializers, namespaces, cached functions, a stampede, optimistic locks
#
"""The cache, its decorators, locks and plugins."""
import asyncio
import os

import aiocache
import redis
from aiocache.lock import OptimisticLock, OptimisticLockError, RedLock
from aiocache.plugins import HitMissRatioPlugin
from aiocache.serializers import JsonSerializer, PickleSerializer, StringSerializer

import servers
from checks import done, raises_async, same, until_async

URL = os.environ["REDIS_URL"]
PORT = int(os.environ["PORT"])


def cache_at(port=PORT, **options):
    return aiocache.RedisCache(endpoint="127.0.0.1", port=port, **options)


async def values(cache, r):
    same((await cache.set("a", {"n": [1, None]}), await cache.get("a"), await cache.exists("a")), (True, {"n": [1, None]}, True))
    same((await cache.get("none"), await cache.get("none", default=7), await cache.exists("none")), (None, 7, False))
    same((await cache.add("b", 1), await cache.get("b")), (True, 1))
    await raises_async(ValueError, lambda: cache.add("b", 2))
    same((await cache.multi_set([("x", 1), ("y", "two")]), await cache.multi_get(["x", "none", "y"])), (True, [1, None, "two"]))
    same((await cache.increment("count"), await cache.increment("count", 4), await cache.increment("count", -2)), (1, 5, 3))
    await raises_async(TypeError, lambda: cache.increment("a"))
    same((await cache.delete("x"), await cache.delete("x")), (1, 0))
    # Times: in seconds, in fractions of them, of many at once, changed and taken away.
    await cache.set("brief", 1, ttl=0.03)
    await cache.multi_set([("brief:1", 1), ("brief:2", 2)], ttl=0.03)

    async def over():
        return await cache.multi_get(["brief", "brief:1", "brief:2"]) == [None] * 3

    await until_async("they expire", over)
    await cache.set("long", 1, ttl=100)
    key = cache.build_key("long")
    same((0 < r.ttl(key) <= 100, await cache.expire("long", 1000), 100 < r.ttl(key) <= 1000), (True, True, True))
    same((bool(await cache.expire("long", 0)), r.ttl(key)), (True, -1))


async def namespaces(r):
    """Two that share a database, with serializers of their own."""
    async with cache_at(namespace="one", serializer=PickleSerializer()) as one, cache_at(namespace="two", serializer=StringSerializer()) as two:
        same((await one.set("key", {1, 2}), await two.set("key", 3)), (True, True))
        same((await one.get("key"), await two.get("key")), ({1, 2}, "3"))
        same(sorted(r.keys()), [b"one:key", b"two:key"])
        same((await one.clear(namespace="one"), await one.get("key"), await two.get("key")), (True, None, "3"))
        same(await two.raw("keys", "two:*"), ["two:key"])


async def decorators(r):
    calls = []
    where = dict(cache=aiocache.Cache.REDIS, endpoint="127.0.0.1", port=PORT)

    @aiocache.cached(ttl=100, namespace="f", key_builder=lambda f, n: f"double:{n}", serializer=JsonSerializer(), **where)
    async def double(n):
        calls.append(n)
        return 2 * n

    same([await double(n) for n in (1, 2, 1, 2, 1)], [2, 4, 2, 4, 2])
    same((calls, r.get("f:double:1"), 0 < r.ttl("f:double:1") <= 100), ([1, 2], b"2", True))
    same((await double.cache.delete("double:1"), await double(1), len(calls)), (1, 2, 3))

    @aiocache.multi_cached("ids", namespace="users", **where)
    async def users(ids):
        calls.append(ids)
        return {id: f"user {id}" for id in ids}

    del calls[:]
    same(await users(ids=["1", "2"]), {"1": "user 1", "2": "user 2"})
    same(await users(ids=["1", "2", "3"]), {"1": "user 1", "2": "user 2", "3": "user 3"})
    same(calls, [["1", "2"], ["3"]])

    # Many who come while one works wait for it.
    working = asyncio.Event()

    @aiocache.cached_stampede(lease=10, key="report", **where)
    async def report():
        calls.append("report")
        await working.wait()
        return "done"

    del calls[:]
    first = asyncio.create_task(report())

    async def works():
        return calls

    await until_async("one works", works)
    same(0 < r.ttl("report-lock") <= 10, True)
    others = [asyncio.create_task(report()) for _ in range(9)]
    misses = r.info("stats")["keyspace_misses"]

    async def ask():
        return r.info("stats")["keyspace_misses"] >= misses + 9

    await until_async("the others have asked", ask)
    working.set()
    same((await asyncio.gather(first, *others), calls, r.exists("report-lock")), (["done"] * 10, ["report"], 0))
    for function in (double, users, report):
        await function.cache.close()


async def locks(cache, r):
    order = []

    async def rival():
        async with RedLock(cache, "key", lease=10):
            order.append("rival")

    async with RedLock(cache, "key", lease=10):
        waiting = asyncio.create_task(rival())
        same(0 < r.ttl("key-lock") <= 10, True)
        order.append("owner")
    await waiting
    same((order, r.exists("key-lock")), (["owner", "rival"], 0))
    # Another one's lock is not released.
    r.set("other-lock", "another's")
    async with RedLock(cache, "other", lease=0.01):
        pass
    same(r.get("other-lock"), b"another's")

    await cache.set("seat", "free")
    async with OptimisticLock(cache, "seat") as lock:
        same((await lock.cas("mine", ttl=100), await cache.get("seat"), 0 < r.ttl("seat") <= 100), (True, "mine", True))
    async with OptimisticLock(cache, "seat") as lock:
        await cache.set("seat", "another's")
        await raises_async(OptimisticLockError, lambda: lock.cas("mine"))
    same(await cache.get("seat"), "another's")


async def restart():
    """Errors while the server is away, and none afterwards."""
    with servers.another("--requirepass", "secret") as server:
        async with cache_at(server.port, password="secret", db=3, pool_max_size=2, timeout=15) as cache:
            same((await cache.set("a", 1), await cache.get("a")), (True, 1))
            server.stop()
            await raises_async(redis.ConnectionError, lambda: cache.get("a"))
            server.start()
            same((await cache.get("a"), await cache.set("a", 2), await cache.get("a")), (None, True, 2))
        async with cache_at(server.port, password="wrong") as cache:
            await raises_async(redis.AuthenticationError, lambda: cache.get("a"))


async def main():
    r = redis.Redis.from_url(URL)
    plugin = HitMissRatioPlugin()
    async with aiocache.Cache.from_url(f"{URL}/0") as cache:
        cache.plugins = [plugin]
        await values(cache, r)
        same(cache.hit_miss_ratio["total"] >= cache.hit_miss_ratio["hits"] > 0, True)
        same((await cache.clear(), r.dbsize()), (True, 0))
        await namespaces(r)
        r.flushall()
        await decorators(r)
        await locks(cache, r)
    await restart()
    done()


asyncio.run(main())
