# Program: redis-py
# Needs: pip redis==8.1.0
# Exercises: a thread for each client: locks with contention, queues with and without a copy for the worker, counters with WATCH, caches that expire, client-side caching
import os
import threading
import time

import redis
from redis.backoff import NoBackoff
from redis.cache import CacheConfig
from redis.connection import CacheProxyConnection
from redis.retry import Retry

from ledger import serve

# It wants to be told 7.4, though all that it needs is there since 7.0.
CacheProxyConnection.MIN_ALLOWED_VERSION = "7.0.0"
ON_ITS_WAY = 3  # seconds that it may take to tell somebody that a key has changed
NEVER = Retry(NoBackoff(), 0)  # or a connection that is lost would not be seen


class Client:
    sends = False
    pause = 0.1  # seconds between two turns, on average

    def __init__(self, round, name, number):
        self.round, self.name, self.number = round, name, number
        self.random = round.random(name)
        self.redis = redis.Redis(port=int(os.environ["PORT"]), decode_responses=True, retry=NEVER, socket_timeout=30, **self.options())

    def options(self):
        return {"protocol": 2 + self.number % 2}

    def run(self):
        while self.round.goes_on(self.sends):
            try:
                self.turn()
                self.round.turns[self.name] += 1
            except Exception as error:
                self.round.failed(self.name, error)
                time.sleep(0.1)
            time.sleep(self.random.uniform(0, 2 * self.pause))
        self.round.ended(self.sends)
        self.redis.close()


class Contender(Client):
    """Counts under a lock, in a way that only works if nobody else is inside."""

    sends = True

    def turn(self):
        which = f"{self.number % 3}"
        lock = self.redis.lock(f"lock:{which}", timeout=20, blocking_timeout=1, sleep=0.05)
        if not lock.acquire():
            return
        self.round.expect(self.redis.incr(f"inside:{which}") == 1, f"two hold lock {which}")
        seen = int(self.redis.get(f"count:locked:{which}") or 0)
        if self.random.random() < 0.2:
            lock.extend(20, replace_ttl=True)
        self.redis.set(f"count:locked:{which}", seen + 1)
        self.redis.decr(f"inside:{which}")
        lock.release()
        self.round.add(f"count:locked:{which}")


class Worker(Client):
    pause = 0.01

    def turn(self):
        if popped := self.redis.blpop("jobs", 1):
            self.round.got["jobs"].append(popped[1])


class Orders(Client):
    """What the careful workers are for."""

    sends = True

    def turn(self):
        order = f"{self.name}:{self.round.turns[self.name]}"
        self.redis.lpush("orders", order)
        self.round.sent["orders"].append(order)


class Careful(Client):
    """Keeps what it works at in a list of its own until it is done. Now and
    then it dies over it, and begins again with what it finds there."""

    pause = 0.02
    died = True

    def turn(self):
        doing = f"doing:{self.name}"
        while self.died and self.redis.lmove(doing, "orders", "RIGHT", "RIGHT"):
            pass
        self.died = False
        order = self.redis.blmove("orders", doing, 1, "RIGHT", "LEFT")
        if order and self.random.random() < 0.05:
            self.redis.connection_pool.disconnect()
            self.died = True
        elif order:
            self.round.expect(self.redis.lrem(doing, 1, order) == 1, f"{order} is not in {doing}")
            self.round.got["orders"].append(order)


class Counter(Client):
    sends = True

    def turn(self):
        key = f"count:watched:{self.number % 3}"
        with self.redis.pipeline() as pipe:
            pipe.watch(key)
            seen = int(pipe.get(key) or 0)
            pipe.multi()
            pipe.set(key, seen + 1)
            pipe.rpush(f"log:{key}", seen)
            pipe.ltrim(f"log:{key}", -5, -1)
            try:
                pipe.execute()
            except redis.WatchError:
                return
        self.round.add(key)


class Cache(Client):
    """Whatever is set for some time is there until then, and not after."""

    sends = True

    def __init__(self, *words):
        super().__init__(*words)
        self.kept = []

    def turn(self):
        key, life = f"cache:{self.name}:{self.round.turns[self.name]}", self.random.randrange(50, 3000)
        before = time.monotonic()
        self.redis.set(key, "x" * self.random.randrange(2000), px=life)
        self.kept.append((key, before + life / 1000, time.monotonic() + life / 1000))
        for entry in self.random.sample(self.kept, min(3, len(self.kept))):
            key, until, gone = entry
            asked = time.monotonic()
            found, answered = self.redis.exists(key), time.monotonic()
            # The broker's clock has whole milliseconds.
            self.round.expect(found or answered > until - 0.002, f"{key} was gone {until - answered:.3f} s too early")
            self.round.expect(not found or asked < gone + 0.002, f"{key} was there {asked - gone:.3f} s too long")
            if not found:
                self.kept.remove(entry)


class Author(Client):
    """Changes what the readers keep. Only one writes to a key."""

    sends = True
    pause = 0.5
    written = {}

    def turn(self):
        key = f"page:{self.number}:{self.random.randrange(8)}"
        version = Author.written.get(key, (0, 0))[0] + 1
        self.redis.set(key, version)
        Author.written[key] = version, time.monotonic()


class Reader(Client):
    """Reads from its own memory, and does not miss that something has changed."""

    def __init__(self, *words):
        super().__init__(*words)
        self.seen = {}

    def options(self):
        return {"protocol": 3, "cache_config": CacheConfig()}

    def turn(self):
        for key, (version, when) in list(Author.written.items()):
            asked, got = time.monotonic(), int(self.redis.get(key) or 0)
            self.round.expect(got >= self.seen.get(key, 0), f"{key} went back to {got}")
            # It may still be on its way.
            self.round.expect(got >= version or asked < when + ON_ITS_WAY, f"{key} is {got} for {self.name}, {asked - when:.1f} s after it became {version}")
            self.seen[key] = got


def play(round):
    Author.written.clear()
    counts = {Contender: 10, Worker: 10, Orders: 4, Careful: 10, Counter: 8, Cache: 10, Author: 2, Reader: 8}
    clients = [kind(round, f"redis-py {kind.__name__} {n}", n) for kind, count in counts.items() for n in round.several(count)]
    threads = [threading.Thread(target=client.run) for client in clients]
    for client in clients:
        round.started(client.name, client.sends)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


serve(play)
