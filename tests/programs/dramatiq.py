# Program: dramatiq
# Needs: pip dramatiq[redis]==2.2.1 redis==8.1.0
# Exercises: workers of several threads, results, retries with back-off, dead letters, delays, pipelines, groups with callbacks, age and time limits, rate limiters and barriers, a killed worker, a restarted server
#
"""dramatiq with worker processes, on a server that is restarted at the end."""
import os
import sys
import threading
import time

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import CurrentMessage, GroupCallbacks
from dramatiq.rate_limits import Barrier, BucketRateLimiter, ConcurrentRateLimiter, WindowRateLimiter
from dramatiq.rate_limits.backends import RedisBackend as Limits
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend
from dramatiq.results.errors import ResultFailure, ResultMissing

import servers
from checks import done, raises, same, until
from workers import Worker, module

if __name__ == "__main__":
    with servers.another() as server:
        os.environ["REDIS_URL"] = server.url
        module("tasks").main(server)
    sys.exit()

url = f"{os.environ['REDIS_URL']}/6?socket_timeout=60"
r = redis.Redis.from_url(url, decode_responses=True)
limits = Limits(url=url)

# It looks for workers that have gone at each command, not at one of a thousand.
broker = RedisBroker(url=url, maintenance_chance=1_000_000)
for middleware in (CurrentMessage(), GroupCallbacks(limits), Results(backend=RedisBackend(url=url))):
    broker.add_middleware(middleware)
dramatiq.set_broker(broker)


@dramatiq.actor(store_results=True)
def add(a, b):
    return a + b


@dramatiq.actor(store_results=True)
def total(numbers):
    return sum(numbers)


@dramatiq.actor
def count(key, n=1):
    r.incrby(key, n)


@dramatiq.actor(store_results=True, max_retries=5, min_backoff=10, max_backoff=50)
def flaky(key, enough):
    tries = r.incr(key)
    if tries < enough:
        raise ValueError("not yet")
    return [tries, CurrentMessage.get_current_message().options["retries"]]


@dramatiq.actor(store_results=True, max_retries=1, min_backoff=10, on_retry_exhausted="bury")
def hopeless():
    raise ValueError("never")


@dramatiq.actor
def bury(message, retries):
    r.set("buried", f"{message['actor_name']} after {retries['retries']}")


@dramatiq.actor(max_retries=0)
def failing():
    raise KeyError("at once")


@dramatiq.actor
def failed(message, error):
    r.set("failed", f"{error['type']} {error['message']}")


@dramatiq.actor
def succeeded(message, result):
    r.set("succeeded", result)


@dramatiq.actor(store_results=True)
def when():
    return time.time()


@dramatiq.actor(store_results=True, time_limit=100, max_retries=0)
def endless():
    while True:
        time.sleep(0.01)


@dramatiq.actor(queue_name="held", store_results=True)
def hold(key):
    """Runs until it is told to go on."""
    r.incr(f"{key}:began")
    return r.blpop(key, 30) is not None


@dramatiq.actor(min_backoff=5, max_backoff=20, max_retries=1000)
def alone():
    with ConcurrentRateLimiter(limits, "alone", limit=1).acquire():
        same_time = r.incr("inside")
        r.zadd("most", {"inside": same_time}, gt=True)
        time.sleep(0.01)
        r.decr("inside")
    r.incr("was alone")


def worker(*options, threads=4):
    return Worker("dramatiq", "tasks", "-p", "1", "-t", str(threads), *options, dramatiq_restart_delay="50")


def result(message):
    return message.get_result(block=True, timeout=60_000)


def messages():
    early = add.send(1, 2)
    raises(ResultMissing, early.get_result)
    same(r.llen("dramatiq:default"), 1)
    add.send(1, 2)
    broker.flush("default")
    same((r.exists("dramatiq:default"), r.exists("dramatiq:default.msgs")), (0, 0))


def results():
    message = add.send(2, 3)
    same((result(message), message.get_result()), (5, 5))
    key = RedisBackend(url=url).build_message_key(message)
    same(590_000 < r.pttl(key) <= 600_000, True)
    gone = add.send_with_options(args=(1, 1), result_ttl=1)
    broker.join("default", timeout=60_000)
    until("the result has expired", lambda: not r.exists(RedisBackend(url=url).build_message_key(gone)))
    add.send_with_options(args=(20, 1), on_success=succeeded)
    until("the callback ran", lambda: r.get("succeeded") == "21")


def failures():
    same(result(flaky.send("flaky", 4)), [4, 3])
    error = raises(ResultFailure, lambda: result(hopeless.send()))
    same((str(error), error.orig_exc_type, error.orig_exc_msg), ("actor raised ValueError: never", "ValueError", "never"))
    until("it is buried", lambda: r.get("buried") == "hopeless after 1")
    failing.send_with_options(on_failure=failed)
    until("the callback ran", lambda: (r.get("failed") or "").startswith("KeyError"))
    until("both are dead", lambda: (r.zcard("dramatiq:default.XQ"), r.hlen("dramatiq:default.XQ.msgs")) == (2, 2))
    same("TimeLimitExceeded" in str(raises(ResultFailure, lambda: result(endless.send()))), True)


def delays():
    soon = time.time() + 0.3
    same(result(when.send_with_options(delay=300)) >= soon, True)
    late = when.send_with_options(delay=3_600_000)
    until("it waits", lambda: r.hexists("dramatiq:default.DQ.msgs", late.options["redis_message_id"]))
    old = count.send_with_options(args=("old",), delay=50, max_age=1)
    until("it is too old", lambda: r.zcard("dramatiq:default.XQ") == 4)
    same(r.exists("old"), 0)


def compositions():
    same((add.message(1, 2) | add.message(3) | add.message(4)).run().get_result(block=True, timeout=60_000), 10)
    steps = dramatiq.pipeline([add.message(1, 1), add.message(2)]).run()
    same((list(steps.get_results(block=True, timeout=60_000)), steps.completed), ([2, 4], True))
    many = dramatiq.group([add.message(n, n) for n in range(10)]).run()
    same((list(many.get_results(block=True, timeout=60_000)), many.completed_count), ([2 * n for n in range(10)], 10))
    called = dramatiq.group([count.message("group") for _ in range(10)])
    called.add_completion_callback(count.message("group", 100))
    called.run()
    until("the callback ran", lambda: r.get("group") == "110")


def rates():
    window, bucket = WindowRateLimiter(limits, "window", limit=2, window=60), BucketRateLimiter(limits, "bucket", limit=2, bucket=10**12)
    for limiter in (window, bucket):
        got = []
        for _ in range(3):
            with limiter.acquire(raise_on_failure=False) as acquired:
                got.append(acquired)
        same(got, [True, True, False])
    barrier = Barrier(limits, "barrier", ttl=60_000)
    same((barrier.create(2), barrier.create(2)), (True, False))
    waits = threading.Thread(target=lambda: same(barrier.wait(timeout=60_000), True))
    waits.start()
    until("one has come", lambda: r.get("barrier") == "1")
    same(barrier.wait(block=False), True)
    waits.join()
    raises(dramatiq.RateLimitExceeded, lambda: nested(ConcurrentRateLimiter(limits, "nested", limit=1)))
    for _ in range(6):
        alone.send()
    until("each was alone", lambda: r.get("was alone") == "6")
    same((r.zscore("most", "inside"), r.get("inside")), (1.0, "0"))


def nested(mutex):
    with mutex.acquire(), mutex.acquire():
        pass


def killed():
    """A worker that is killed: what it was at goes back into the queue."""
    with worker("-Q", "held", threads=1) as abrupt:
        held = hold.send("held")
        until("it runs", lambda: r.get("held:began") == "1")
        abrupt.kill()
    until("the server knows", lambda: r.info("clients")["blocked_clients"] == 0)
    gone = [key for key in r.scan_iter("dramatiq:__acks__.*.held")]
    same(len(gone), 1)
    # As if it had not been heard of for a minute.
    r.zadd("dramatiq:__heartbeats__", {gone[0].split(".")[1]: 0}, xx=True)
    r.rpush("held", 1)
    with worker("-Q", "held"):
        same((result(held), r.get("held:began")), (True, "2"))
    same(r.exists(gone[0]), 0)


def both(server):
    """Two clients and two workers: each message once. Then the server goes,
    with all that was in it, and comes back."""
    def send():
        for _ in range(20):
            count.send("both")

    clients = [threading.Thread(target=send) for _ in range(2)]
    with worker() as one, worker() as two:
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        until("all have run", lambda: r.get("both") == "40")
        server.stop()
        server.start()
        same(result(add.send(1, 2)), 3)
        same((one.stop(), two.stop()), (0, 0))


def main(server):
    messages()
    with worker() as one:
        results()
        failures()
        delays()
        compositions()
        rates()
        same(one.stop(), 0)
    # What waits for its time is in its queue again.
    same(r.llen("dramatiq:default.DQ"), 1)
    killed()
    both(server)
    done()
