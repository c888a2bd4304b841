# Program: Tutorial: caching
# Needs: pip redis==8.1.0
# Exercises: cache-aside, write-through, write-behind, query caches with SETEX and compressed values, tags, stampedes, pipelines, hit rates from INFO
#
"""A shop whose database is slow: every way to put Redis in front of it that
tutorials show, and how they measure what it brings."""
import functools
import hashlib
import json
import os
import pickle
import random
import sqlite3
import threading
import time
import zlib

import redis
from checks import done, raises, same, until

r = redis.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)
raw = redis.Redis.from_url(os.environ["REDIS_URL"])

db = sqlite3.connect(":memory:", check_same_thread=False)
db.row_factory = sqlite3.Row
db.executescript("CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT, price INTEGER, category TEXT, about TEXT)")
db.executemany(
    "INSERT INTO products VALUES (?, ?, ?, ?, ?)",
    [(n, f"Product {n}", n * 100, ("tools", "toys")[n % 2], f"All about {n}. " * 50) for n in range(1, 101)],
)
queries = 0


def query(sql, *parameters):
    global queries
    queries += 1
    return [dict(row) for row in db.execute(sql, parameters)]


def queries_of(call):
    """What it answers, and how often it asked the database."""
    before = queries
    return call(), queries - before


def cache_aside():
    def get_product(number):
        key = f"product:{number}"
        cached = r.get(key)
        if cached is not None:
            return json.loads(cached)
        rows = query("SELECT * FROM products WHERE id = ?", number)
        product = rows[0] if rows else None
        # What is not there is remembered, too, if not for as long.
        r.setex(key, 300 if product else 30, json.dumps(product))
        return product

    def rename_product(number, name):
        query("UPDATE products SET name = ? WHERE id = ?", name, number)
        r.delete(f"product:{number}")

    first, asked = queries_of(lambda: get_product(7))
    same((first["name"], asked), ("Product 7", 1))
    same(queries_of(lambda: get_product(7)), (first, 0))
    same(290 < r.ttl("product:7") <= 300, True)
    rename_product(7, "Saw")
    same(r.exists("product:7"), 0)
    renamed, asked = queries_of(lambda: get_product(7))
    same((renamed["name"], asked), ("Saw", 1))
    same(queries_of(lambda: get_product(999)), (None, 1))
    same(queries_of(lambda: get_product(999)), (None, 0))
    same(0 < r.ttl("product:999") <= 30, True)
    # It is read again when its time is over.
    r.pexpire("product:7", 20)
    until("the product expires", lambda: not r.exists("product:7"))
    same(queries_of(lambda: get_product(7))[1], 1)


def write_through():
    def save_price(number, price):
        query("UPDATE products SET price = ? WHERE id = ?", price, number)
        with r.pipeline(transaction=True) as pipe:
            pipe.hset(f"price:{number}", mapping={"price": price, "currency": "EUR"})
            pipe.expire(f"price:{number}", 3600)
            return pipe.execute()

    same(save_price(8, 250), [2, True])
    same(save_price(8, 275), [0, True])
    same(r.hgetall("price:8"), {"price": "275", "currency": "EUR"})
    same(queries_of(lambda: r.hget("price:8", "price")), ("275", 0))
    same(query("SELECT price FROM products WHERE id = 8"), [{"price": 275}])


def write_behind():
    """What is written waits in a list, until somebody brings it to the database."""
    for number, price in ((1, 10), (2, 20), (1, 11)):
        with r.pipeline() as pipe:
            pipe.set(f"product:{number}:price", price)
            pipe.rpush("unsaved", json.dumps({"id": number, "price": price}))
            pipe.execute()
    same(r.mget("product:1:price", "product:2:price"), ["11", "20"])
    while waiting := r.lpop("unsaved", 2):
        for change in map(json.loads, waiting):
            query("UPDATE products SET price = ? WHERE id = ?", change["price"], change["id"])
    same(query("SELECT id, price FROM products WHERE id < 3"), [{"id": 1, "price": 11}, {"id": 2, "price": 20}])
    same((r.lpop("unsaved", 2), r.exists("unsaved")), (None, 0))


def query_cache():
    """The result of a query under the hash of its text and parameters, compressed."""

    def cached_query(sql, *parameters, ttl=60):
        key = b"query:" + hashlib.sha256(json.dumps([sql, parameters]).encode()).hexdigest().encode()
        if packed := raw.get(key):
            return json.loads(zlib.decompress(packed))
        rows = query(sql, *parameters)
        raw.setex(key, ttl, zlib.compress(json.dumps(rows).encode(), 9))
        return rows

    sql = "SELECT * FROM products WHERE category = ? ORDER BY id"
    rows, asked = queries_of(lambda: cached_query(sql, "toys"))
    same((len(rows), asked), (50, 1))
    same(queries_of(lambda: cached_query(sql, "toys")), (rows, 0))
    same(queries_of(lambda: cached_query(sql, "tools"))[1], 1)
    keys = sorted(raw.scan_iter(match="query:*"))
    same(len(keys), 2)
    plain = len(json.dumps(rows))
    same([raw.strlen(key) < plain / 10 for key in keys], [True, True])
    # All that a query has left is dropped when a table changes.
    same(raw.delete(*keys), 2)
    same(queries_of(lambda: cached_query(sql, "toys"))[1], 1)
    # Any bytes come back as they went in.
    every_byte = bytes(range(256)) * 40
    for packed in (every_byte, zlib.compress(every_byte), pickle.dumps({"bytes": every_byte})):
        raw.set("bytes", packed)
        same(raw.get("bytes"), packed)
    large = random.Random(1).randbytes(5_000_000)
    raw.setex("large", 60, large)
    same(raw.get("large") == large, True)


def decorator():
    def cached(ttl):
        def wrap(function):
            @functools.wraps(function)
            def wrapper(*args, **kwargs):
                key = f"cache:{function.__name__}:{pickle.dumps((args, sorted(kwargs.items()))).hex()}"
                if (packed := raw.get(key)) is not None:
                    return pickle.loads(packed)
                result = function(*args, **kwargs)
                # A little more for some, so that not all expire at once.
                raw.set(key, pickle.dumps(result), ex=ttl + random.randint(0, 10))
                return result

            wrapper.forget = lambda: [raw.unlink(key) for key in raw.scan_iter(f"cache:{function.__name__}:*", count=100)]
            return wrapper

        return wrap

    @cached(ttl=60)
    def dearer_than(price, category="toys"):
        return [row["id"] for row in query("SELECT id FROM products WHERE price > ? AND category = ?", price, category)]

    same(queries_of(lambda: dearer_than(9800)), ([99], 1))
    same(queries_of(lambda: dearer_than(9800)), ([99], 0))
    same(queries_of(lambda: dearer_than(9800, category="tools")), ([100], 1))
    same(all(60 <= raw.ttl(key) <= 70 for key in raw.scan_iter("cache:*")), True)
    same(dearer_than.forget(), [1, 1])
    same(queries_of(lambda: dearer_than(9800))[1], 1)


def tags():
    """A set for each tag says which keys go when what it stands for changes."""

    def remember(key, value, *names):
        with r.pipeline() as pipe:
            pipe.set(key, value, ex=300)
            for name in names:
                pipe.sadd(f"tag:{name}", key)
                pipe.expire(f"tag:{name}", 300)
            pipe.execute()

    def forget(name):
        with r.pipeline() as pipe:
            pipe.unlink(*r.smembers(f"tag:{name}"), f"tag:{name}")
            return pipe.execute()[0]

    remember("page:1", "one", "toys", "front")
    remember("page:2", "two", "toys")
    remember("page:3", "three", "tools")
    same(forget("toys"), 3)
    same(r.mget("page:1", "page:2", "page:3"), [None, None, "three"])
    # Or all keys carry a number, which is raised.
    version = r.incr("version:pages")
    r.set(f"pages:v{version}:1", "old")
    same(r.get(f"pages:v{r.incr('version:pages')}:1"), None)


def stampede():
    """Twenty readers of what has just expired: one reads the database, the others wait for it."""
    made = []

    def report():
        while True:
            if (cached := r.get("report")) is not None:
                return cached
            if r.set("report:lock", "me", nx=True, ex=10):
                try:
                    if (cached := r.get("report")) is None:
                        made.append(1)
                        time.sleep(0.05)
                        r.setex("report", 60, "the report")
                        cached = "the report"
                    return cached
                finally:
                    r.delete("report:lock")
            time.sleep(0.005)

    answers = []
    readers = [threading.Thread(target=lambda: answers.append(report())) for _ in range(20)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    same((answers, made), (["the report"] * 20, [1]))


def pipelines():
    with r.pipeline(transaction=False) as pipe:
        for n in range(10_000):
            pipe.set(f"bulk:{n}", n, ex=600)
        same(pipe.execute(), [True] * 10_000)
    same(r.mget([f"bulk:{n}" for n in range(10_000)]), [str(n) for n in range(10_000)])
    with r.pipeline(transaction=False) as pipe:
        pipe.get("bulk:1").incr("bulk:1").lpush("bulk:1", "x").get("nothing")
        results = pipe.execute(raise_on_error=False)
        same((results[:2], type(results[2]), results[3]), (["1", 2], redis.ResponseError, None))
    with r.pipeline() as pipe:
        pipe.lpush("bulk:1", "x")
        same("WRONGTYPE" in str(raises(redis.ResponseError, pipe.execute)), True)
    same(len(list(r.scan_iter("bulk:*", count=1000))), 10_000)
    same(r.unlink(*r.scan_iter("bulk:*", count=1000)), 10_000)


def hit_rate():
    """The share of reads that found something, as every guide to monitoring computes it."""
    r.config_resetstat()
    r.set("hot", 1, ex=60)
    for _ in range(9):
        r.get("hot")
    r.get("cold")
    r.mget("hot", "cold", "colder")
    r.exists("hot")
    r.hget("cold", "field")
    r.lrange("cold", 0, -1)
    stats = r.info("stats")
    hits, misses = stats["keyspace_hits"], stats["keyspace_misses"]
    same((hits, misses), (11, 5))
    same(f"{hits / (hits + misses):.2%}", "68.75%")
    same(stats["total_commands_processed"] >= 15, True)
    r.set("brief", 1, px=10)
    until("a key expires", lambda: r.info("stats")["expired_keys"] >= 1)
    same((stats["evicted_keys"], stats["rejected_connections"]), (0, 0))
    r.config_resetstat()
    same((r.info("stats")["keyspace_hits"], r.info("stats")["keyspace_misses"]), (0, 0))
    calls = r.info("commandstats")
    same("cmdstat_config|resetstat" in calls, True)
    same(r.info("keyspace")["db0"]["keys"], r.dbsize())
    same(r.info("keyspace")["db0"]["expires"] > 0, True)
    same(r.info("memory")["used_memory"] > 0, True)
    same(r.memory_usage("hot") > 0, True)


for part in (cache_aside, write_through, write_behind, query_cache, decorator, tags, stampede, pipelines, hit_rate):
    part()
done()
