# Program: scripts of Python
# Needs: pip redis==6.2.0 limits==5.8.0 rq==3.0.0
# Exercises: locks, rate limits, queues
#
"""What libraries of Python do with scripts: the Lock of redis-py, the limits
of limits, and the queues of rq. Every result is asserted; what is printed is
how many there were."""
import os
import signal
import sys
import threading
import time
from datetime import timedelta

import redis
import rq
import rq.registry
import rq.repeat
import rq.scheduler
import rq.timeouts
from limits import RateLimitItemPerHour, RateLimitItemPerSecond
from limits.storage import RedisStorage
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter, SlidingWindowCounterRateLimiter
from redis.lock import Lock

port = int(os.environ["PORT"])
url = f"redis://127.0.0.1:{port}/0"
asserted = 0


def same(got, expected):
    global asserted
    assert got == expected, f"{got!r} where {expected!r} was expected"
    asserted += 1


def raises(kind, call):
    global asserted
    try:
        got = call()
    except kind:
        asserted += 1
        return
    raise AssertionError(f"{got!r} where {kind.__name__} was expected")


def until(what, done):
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.005)


def locks(protocol):
    """redis-py: acquire, extend, reacquire, contention, release by another, timeout."""
    r = redis.Redis.from_url(f"{url}?protocol={protocol}", socket_timeout=15)
    other = redis.Redis.from_url(url, socket_timeout=15)
    r.flushall()
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
        client = redis.Redis.from_url(url, socket_timeout=15)
        for _ in range(10):
            with client.lock("sum:lock", timeout=10, sleep=0.001):
                client.set("sum", int(client.get("sum")) + 1)
        client.close()

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    same(r.get("sum"), b"40")
    # A script of one's own, in a pipeline as well.
    double = r.register_script("return redis.call('INCRBY', KEYS[1], redis.call('GET', KEYS[1]) * (ARGV[1] or 1))")
    same(double(keys=["sum"]), 80)
    with r.pipeline() as pipe:
        double(keys=["sum"], args=[2], client=pipe)
        pipe.get("sum")
        same(pipe.execute(), [240, b"240"])
    r.close()
    other.close()


def windows():
    """limits: fixed, moving and sliding windows, each to its limit and after a reset."""
    storage = RedisStorage(url)
    same(storage.check(), True)
    r = redis.Redis.from_url(url)
    for strategy in (FixedWindowRateLimiter, MovingWindowRateLimiter, SlidingWindowCounterRateLimiter):
        r.flushall()
        limiter, limit, key = strategy(storage), RateLimitItemPerHour(5), "user"
        same(limiter.test(limit, key), True)
        same([limiter.hit(limit, key) for _ in range(7)], [True] * 5 + [False] * 2)
        same(limiter.test(limit, key), False)
        same(limiter.get_window_stats(limit, key).remaining, 0)
        same(limiter.hit(limit, "another"), True)
        same(limiter.get_window_stats(limit, "another").remaining, 4)
        same(limiter.hit(limit, "costly", cost=4), True)
        same(limiter.hit(limit, "costly", cost=2), False)
        # A fixed window counts what it refuses.
        same(limiter.hit(limit, "costly"), strategy is not FixedWindowRateLimiter)
        same(0 < limiter.get_window_stats(limit, key).reset_time - time.time() <= 7200, True)
        limiter.clear(limit, key)
        same(limiter.hit(limit, key), True)
        # A window that passes.
        second = RateLimitItemPerSecond(2)
        same(limiter.hit(second, key, cost=2), True)
        until("the window passes", lambda: limiter.hit(second, key))
    same(storage.reset() >= 3, True)
    same(r.keys("LIMITS*"), [])


class Worker(rq.SimpleWorker):
    death_penalty_class = rq.timeouts.TimerDeathPenalty


def add(a, b):
    return a + b


def fail(key):
    """Fails until it has been called often enough."""
    if redis.Redis.from_url(url).incr(key) < 3:
        raise ValueError("not yet")
    return "at last"


def queues():
    """rq: jobs, one that fails, retries, a dependent one, scheduled and repeated ones."""
    r = redis.Redis.from_url(url)
    r.flushall()
    queue = rq.Queue("work", connection=r)

    def work():
        Worker([queue], connection=r).work(burst=True, logging_level="CRITICAL")

    jobs = [queue.enqueue(add, n, n) for n in range(20)]
    first = queue.enqueue(add, 1, 2)
    after = queue.enqueue(add, 3, 4, depends_on=first)
    same((queue.count, after.get_status()), (21, "deferred"))
    bad = queue.enqueue(add, 1, "no number")
    retried = queue.enqueue(fail, "tries", retry=rq.Retry(max=3))
    unique = queue.enqueue(add, 5, 6, job_id="only", unique=True)
    raises(rq.exceptions.DuplicateJobError, lambda: queue.enqueue(add, 5, 6, job_id="only", unique=True))
    work()
    same([job.return_value() for job in jobs], [2 * n for n in range(20)])
    same((first.return_value(), after.return_value(), unique.return_value()), (3, 7, 11))
    same((bad.get_status(refresh=True), retried.get_status(refresh=True), retried.return_value()), ("failed", "finished", "at last"))
    same("TypeError" in bad.latest_result().exc_string, True)
    same(queue.failed_job_registry.get_job_ids(), [bad.id])
    same((queue.count, len(queue.finished_job_registry)), (0, 24))
    same(queue.failed_job_registry.requeue(bad).get_status(), "queued")
    queue.empty()
    same((queue.count, r.exists(f"rq:job:{bad.id}")), (0, 0))
    # Scheduled: not before its time, and then by the scheduler, under its lock.
    later = queue.enqueue_in(timedelta(milliseconds=50), add, 7, 8)
    same((later.get_status(), queue.count), ("scheduled", 0))
    scheduler, rival = (rq.scheduler.RQScheduler([queue], r, logging_level="CRITICAL") for _ in range(2))
    same((scheduler.acquire_locks(), rival.acquire_locks()), ({"work"}, set()))
    scheduler.heartbeat()
    scheduler.prepare_registries()

    def scheduled():
        scheduler.enqueue_scheduled_jobs()
        return queue.count == 1

    until("the job is due", scheduled)
    scheduler.release_locks()
    same(rival.acquire_locks(), {"work"})
    rival.release_locks()
    work()
    same(later.return_value(), 15)
    again = queue.enqueue(add, 1, 1, repeat=rq.repeat.Repeat(times=2, interval=0))
    work()
    same((again.get_status(refresh=True), len(again.results())), ("finished", 3))
    same(len(rq.Worker.all(connection=r)), 0)


def main():
    # A guard against a hang: nothing here takes more than some seconds.
    signal.alarm(40)
    for protocol in (2, 3):
        locks(protocol)
    windows()
    queues()
    print(f"{asserted} results as expected")


if __name__ == "__main__":
    # A worker takes functions by the name of their module.
    with open("scripts_python.py", "w") as module:
        module.write(open(__file__).read())
    sys.path.insert(0, os.getcwd())
    import scripts_python

    scripts_python.main()
