# Program: huey
# Needs: pip huey==3.5.4 redis==8.1.0
# Exercises: consumers of threads and of processes, results, retries, schedules, periodic tasks, revocation, pipelines, groups, chords, locks, rate limits, priorities, expiring results, an interrupted and a killed consumer, a restarted server
#
"""huey with consumers in processes of their own, on a server that is
restarted at the end. `plain` keeps a list and a hash, `ranked` a sorted set
and a key for each result."""
import os
import signal
import sys
import threading
import time

import redis
from huey import PriorityRedisExpireHuey, RedisHuey, chord, crontab, group
from huey.exceptions import ResultTimeout, TaskException
from huey.signals import SIGNAL_COMPLETE, SIGNAL_INTERRUPTED

import servers
from checks import done, raises, same, until
from workers import Worker, module

if __name__ == "__main__":
    with servers.another() as server:
        os.environ["REDIS_URL"] = server.url
        module("tasks").main(server)
    sys.exit()

url = f"{os.environ['REDIS_URL']}/7?socket_timeout=60"
r = redis.Redis.from_url(url, decode_responses=True)
plain = RedisHuey("plain", url=url, notify_result=True, store_intermediate_errors=False, read_timeout=0.2)
ranked = PriorityRedisExpireHuey("ranked", url=url, expire_time=100)


@plain.task()
def add(a, b):
    return a + b


@plain.task()
def total(numbers):
    return sum(numbers)


@plain.task()
def count(key, n=1):
    r.incrby(key, n)


@plain.task(retries=3)
def flaky(key, enough):
    if r.incr(key) < enough:
        raise ValueError("not yet")
    return r.get(key)


@plain.task(retries=1, retry_delay=1, context=True)
def later(task=None):
    r.rpush("later", time.time())
    raise KeyError(f"{task.retries} left")


@plain.task()
def when():
    return time.time()


@plain.task()
def hold(key):
    """Runs until it is told to go on."""
    r.incr(f"{key}:began")
    return r.blpop(key, 30) is not None


@plain.task(retries=1000, retry_delay=0)
@plain.lock_task("alone")
def alone():
    most = r.incr("inside")
    r.zadd("most", {"inside": most}, gt=True)
    time.sleep(0.01)
    r.decr("inside")
    r.incr("alone")


@plain.task()
@plain.rate_limit("limited", limit=2, per=10**10, retry=False)
def limited():
    return "allowed"


@plain.periodic_task(crontab())
def minutely():
    r.incr("minutely")


@plain.signal(SIGNAL_COMPLETE)
def completed(_, task):
    r.hincrby("completed", task.name)


@plain.signal(SIGNAL_INTERRUPTED)
def interrupted(_, task):
    plain.enqueue(task)


@ranked.task()
def note(n):
    r.rpush("notes", n)
    return n


def consumer(*options, of="plain"):
    return Worker("huey.bin.huey_consumer", f"tasks.{of}", "-q", "-d", "0.01", "-m", "0.05", *options)


def get(result):
    return result.get(blocking=True, timeout=60)


def pending():
    first, second, third = add(1, 2), add(3, 4), add(5, 6)
    same((plain.pending_count(), [task.args for task in plain.pending()]), (3, [(1, 2), (3, 4), (5, 6)]))
    second.revoke()
    same((second.is_revoked(), plain.is_revoked(first.task)), (True, False))
    raises(ResultTimeout, lambda: third.get(blocking=True, timeout=0.01))
    late = when.schedule(delay=3600)
    soon = when.schedule(delay=1)
    return first, second, third, late, soon, time.time()


def results(first, second, third, late, soon, sent):
    same((get(first), get(third), second.get()), (3, 11, None))
    same(get(soon) >= sent, True)
    # Who has read a result has taken it.
    same((plain.result_count(), plain.result(third.id)), (0, None))
    kept = add(1, 1)
    same((kept.get(blocking=True, timeout=60, preserve=True), plain.result(kept.id, preserve=True)), (2, 2))
    same(list(plain.all_results()), [kept.id])
    same((plain.result(kept.id), plain.result_count()), (2, 0))
    same([task.id for task in plain.scheduled()], [late.id])
    moved = late.reschedule(delay=0)
    same(get(moved) >= sent, True)
    # The old one stays until its time, and will not run.
    same((late.is_revoked(), plain.scheduled_count()), (True, 1))


def failures():
    same(get(flaky("flaky", 3)), "3")
    error = raises(TaskException, lambda: get(flaky("hopeless", 100)))
    same((error.metadata["error"], error.metadata["retries"], "not yet" in error.metadata["traceback"], r.get("hopeless")), ("ValueError('not yet')", 0, True, "4"))
    same("KeyError" in str(raises(TaskException, lambda: get(later()))), True)
    first, second = map(float, r.lrange("later", 0, -1))
    same(second - first >= 1, True)
    # The second window begins in three hundred years.
    same([get(limited()) for _ in range(2)], ["allowed", "allowed"])
    same("RateLimitExceeded" in str(raises(TaskException, lambda: get(limited()))), True)
    count.revoke()
    count("revoked")
    same(get(add(1, 1)), 2)
    same((count.is_revoked(), count.restore(), count.is_revoked(), r.exists("revoked")), (True, True, False, 0))


def compositions():
    steps = plain.enqueue(add.s(1, 2).then(add, 3).then(add, 4))
    same(steps.get(blocking=True, timeout=60), [3, 6, 10])
    same(add.map([(n, n) for n in range(10)]).get(blocking=True, timeout=60), [2 * n for n in range(10)])
    same(get(plain.enqueue(chord([add.s(n, n) for n in range(10)], total))), 90)
    both = group([add.s(1, 1), add.s(2, 2)]).then(total).then(add, 100)
    same(get(plain.enqueue(both).pipeline_results), [6, 106])
    for _ in range(6):
        alone()
    until("each was alone", lambda: r.get("alone") == "6")
    same((r.zscore("most", "inside"), plain.is_locked("alone")), (1.0, False))
    until("the minute's task ran", lambda: r.get("minutely"))


def priorities():
    for n in (3, 1, 2, 9, 1):
        note(n, priority=n)
    same((ranked.pending_count(), [task.priority for task in ranked.pending()]), (5, [9, 3, 2, 1, 1]))
    last = note(0)
    with consumer("-w", "1", of="ranked") as one:
        same((get(last), last.get()), (0, 0))
        same(r.lrange("notes", 0, -1), ["9", "3", "2", "1", "1", "0"])
        same(0 < r.ttl(f"huey.r.ranked.{last.id}") <= 100, True)
        same(one.stop(signal.SIGINT), 0)
    same(len(ranked.all_results()), 6)


def stopped():
    """A consumer that is interrupted hands back what it was at. What one was
    at that is killed is gone; what it had not begun is not."""
    held = hold("held")
    with consumer("-n", "-w", "1", "-k", "process") as one:
        until("it runs", lambda: r.get("held:began") == "1")
        one.stop(signal.SIGTERM)
    same([task.id for task in plain.pending()], [held.id])
    with consumer("-n", "-w", "1") as two:
        until("it runs again", lambda: r.get("held:began") == "2")
        next_one = add(1, 2)
        two.kill()
    same([task.id for task in plain.pending()], [next_one.id])


def both(server):
    """Two clients and two consumers: each task once. Then the server goes,
    with all that was in it, and comes back."""
    def send():
        for _ in range(20):
            count("both")

    clients = [threading.Thread(target=send) for _ in range(2)]
    with consumer("-n", "-w", "2"), consumer("-n", "-w", "2", "-k", "process"):
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        until("all have run", lambda: r.get("both") == "40")
        server.stop()
        server.start()
        same(get(add(1, 2)), 3)


def main(server):
    sent = pending()
    with consumer("-w", "4", "-s", "1") as one:
        results(*sent)
        failures()
        compositions()
        until("signals have come", lambda: int(r.hget("completed", "add")) >= 10)
        same(one.stop(signal.SIGINT), 0)
    priorities()
    stopped()
    both(server)
    done()
