# Program: Celery
# Needs: pip celery[redis]==5.7.0 redis==8.1.0
# Exercises: prefork and solo workers, chains, groups, chords, retries with back-off, ETA, revoke, result expiry, priorities, inspect, events, broadcast, beat, late acknowledgement, a killed worker, a restarted server
#
"""Celery with workers in processes of their own. One application has a prefork
worker and a server that stays; the other, `fragile`, has a worker that is
killed and a server that is restarted."""
import os
import signal
import sys
import threading
import time
from datetime import datetime, timedelta, timezone

import celery.events.state
import redis
from celery import Celery, chain, chord, group
from celery.exceptions import ChordError, TaskRevokedError, WorkerLostError
from kombu import Queue
from kombu.common import Broadcast

import servers
from checks import done, raises, same, until
from workers import Worker, module

if __name__ == "__main__":
    sys.exit(module("tasks").main())

url = os.environ["REDIS_URL"]
data = redis.Redis.from_url(f"{url}/2", decode_responses=True)

app = Celery("tasks", broker=f"{url}/0", backend=f"{url}/1", include="tasks")
app.conf.update(
    task_track_started=True, task_send_sent_event=True, worker_prefetch_multiplier=1, result_extended=True,
    result_expires=3600, result_failure_expires=1, task_queues=[Queue("celery"), Broadcast("everyone")],
)
fragile = Celery("fragile", broker=os.environ.get("FRAGILE"), backend=os.environ.get("FRAGILE"), include="tasks")
fragile.conf.update(
    worker_prefetch_multiplier=1, task_acks_late=True,
    broker_transport_options={
        "visibility_timeout": 1, "unacked_restore_interval": 0.2, "unacked_restore_throttle": 1,
        "global_keyprefix": "fragile:", "priority_steps": [0, 3, 6, 9],
    },
    beat_schedule={"tick": {"task": "tasks.tick", "schedule": 0.2}},
)


@app.task
def add(a, b):
    return a + b


@app.task
def total(numbers):
    return sum(numbers)


@app.task
def count(key, n):
    data.incrby(key, n)


@app.task
def fail(text):
    raise ValueError(text)


@app.task
def note(request, error, trace):
    data.set("noted", f"{request.task} {error}")


@app.task(bind=True, max_retries=3)
def by_hand(self, enough):
    if self.request.retries < enough:
        raise self.retry(exc=ValueError("not yet"), countdown=0.02 * 2**self.request.retries)
    return self.request.retries


@app.task(bind=True, autoretry_for=(KeyError,), retry_backoff=1, retry_jitter=False, max_retries=1)
def by_itself(self):
    data.rpush("tries", time.time())
    raise KeyError("never")


@app.task(bind=True)
def hold(self, key):
    """Runs until it is told to go on."""
    self.update_state(state="HOLDING", meta={"key": key})
    return redis.Redis.from_url(f"{url}/2", socket_timeout=60).blpop(key, 30) is not None


@app.task
def when():
    return time.time()


@app.task(bind=True, acks_late=True, reject_on_worker_lost=True)
def once_lost(self):
    """Kills the process that runs it, the first time."""
    if data.incr("lost") == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return self.request.delivery_info["redelivered"]


@app.task
def lost():
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(bind=True)
def everywhere(self):
    data.sadd("everywhere", self.request.hostname)


@fragile.task(bind=True, name="tasks.survive")
def survive(self):
    """Stays until its worker is killed, the first time."""
    if data.incr("survive") == 1:
        redis.Redis.from_url(f"{url}/2", socket_timeout=60).blpop("never", 30)
    return self.request.delivery_info["redelivered"]


@fragile.task(name="tasks.ranked")
def ranked(n):
    data.rpush("ranks", n)


@fragile.task(name="tasks.tick")
def tick():
    data.incr("ticks")


def worker(name, *options, of="app"):
    return Worker("celery", "-A", f"tasks:{of}", "worker", "-n", f"{name}@here", "-l", "WARNING", *options)


def watched():
    """What a monitor knows, and an event that is set when it begins to listen."""
    state, listens = celery.events.state.State(), threading.Event()

    def listen():
        with app.connection_for_read() as connection:
            receiver = app.events.Receiver(connection, handlers={"*": state.event})
            receiver.on_consume_ready = lambda *_, **__: listens.set()
            receiver.capture()

    threading.Thread(target=listen, daemon=True).start()
    listens.wait()
    return state


def results():
    result = add.delay(2, 3)
    same((result.get(60), result.state, result.successful(), result.name, result.args), (5, "SUCCESS", True, "tasks.add", [2, 3]))
    failed = fail.apply_async(("on purpose",), link_error=note.s())
    same(str(raises(ValueError, lambda: failed.get(60))), "on purpose")
    same((failed.state, failed.failed(), "ValueError: on purpose" in failed.traceback), ("FAILURE", True, True))
    until("the error is noted", lambda: data.get("noted") == "tasks.fail on purpose")
    linked = add.apply_async((1, 1), link=[count.si("linked", 1), count.si("linked", 10)])
    same((linked.get(60), until("both links", lambda: data.get("linked") == "11")), (2, True))
    ignored = add.apply_async((1, 1), ignore_result=True)
    same((ignored.get(60), ignored.state), (None, "PENDING"))
    # A result's key has a time to live; those of failures have a shorter one.
    store = redis.Redis.from_url(f"{url}/1")
    key = f"celery-task-meta-{result.id}"
    same((3590 < store.ttl(key) <= 3600, store.pttl(f"celery-task-meta-{failed.id}") <= 1000), (True, True))
    result.forget()
    same((store.exists(key), app.AsyncResult(result.id).state), (0, "PENDING"))
    until("the failure expires", lambda: app.AsyncResult(failed.id).state == "PENDING")


def canvas():
    same(chain(add.s(1, 2), add.s(3), add.s(4))().get(60), 10)
    many = group(add.s(n, n) for n in range(20))()
    same((many.get(timeout=60), many.successful(), many.completed_count()), ([2 * n for n in range(20)], True, 20))
    many.save()
    restored = app.GroupResult.restore(many.id)
    same((restored.join_native(timeout=60), restored.id), ([2 * n for n in range(20)], many.id))
    restored.delete()
    same(app.GroupResult.restore(many.id), None)
    same(chord((add.s(n, 1) for n in range(10)), total.s())().get(60), 55)
    # A chord within a chain, and one whose body is a chord.
    same((group(add.s(1, 1), add.s(2, 2)) | total.s() | add.s(100)).apply_async().get(60), 106)
    same(chord([add.s(1, 1), group(add.s(2, 2), add.s(3, 3)) | total.s()], total.s())().get(60), 12)
    # Nothing is left of them.
    store = redis.Redis.from_url(f"{url}/1")
    until("their parts are gone", lambda: not list(store.scan_iter("*.j")))
    error = raises(ChordError, lambda: chord([add.s(1, 1), fail.s("broken")], total.s())().get(20, follow_parents=False))
    same("ValueError('broken')" in str(error), True)
    same(add.chunks(((n, n) for n in range(9)), 4)().get(timeout=60), [[0, 2, 4, 6], [8, 10, 12, 14], [16]])
    same([add.starmap([(1, 2), (3, 4)]).delay().get(60), add.s(1).clone((9,)).delay().get(60)], [[3, 7], 10])


def retries(slow):
    same([by_hand.delay(enough).get(60) for enough in (0, 2, 3)], [0, 2, 3])
    same(str(raises(ValueError, lambda: by_hand.delay(4).get(60))), "not yet")
    raises(KeyError, lambda: slow.get(60))
    first, second = map(float, data.lrange("tries", 0, -1))
    same(second - first >= 0.99, True)


def times(one):
    soon = time.time() + 0.4
    results = when.apply_async(countdown=0.4), when.apply_async(eta=datetime.fromtimestamp(soon, timezone.utc))
    same([result.get(60) >= soon for result in results], [True, True])
    expired = when.apply_async(expires=datetime.now(timezone.utc) - timedelta(seconds=1))
    raises(TaskRevokedError, lambda: expired.get(60))
    # One that waits in the worker for its time, which is then revoked.
    late = add.apply_async((1, 1), countdown=3600)
    until("the task is scheduled", lambda: [task["request"]["id"] for task in one.scheduled()["one@here"]] == [late.id])
    same(one.query_task(late.id)["one@here"][late.id][0], "scheduled")
    late.revoke()
    until("the worker knows", lambda: late.id in one.revoked()["one@here"])
    # Its time comes if somebody revokes it while it still is in the queue.
    never = count.si("never", 1).set(task_id="never")
    app.control.revoke("never")
    until("the worker knows", lambda: "never" in one.revoked()["one@here"])
    raises(TaskRevokedError, lambda: never.delay().get(60))
    same(data.exists("never"), 0)


def inspection(one):
    held = hold.delay("held")
    until("it runs", lambda: app.AsyncResult(held.id).state == "HOLDING")
    same(app.AsyncResult(held.id).info, {"key": "held"})
    active = one.active()["one@here"]
    same([(task["id"], task["name"], task["args"], task["acknowledged"]) for task in active], [(held.id, "tasks.hold", ["held"], True)])
    same(one.ping(), {"one@here": {"ok": "pong"}})
    same({"tasks.add", "tasks.fail", "tasks.hold"} <= set(one.registered()["one@here"]), True)
    stats = one.stats()["one@here"]
    same((stats["pool"]["max-concurrency"], stats["broker"]["transport"], stats["total"]["tasks.hold"]), (2, "redis", 1))
    same([queue["name"] for queue in one.active_queues()["one@here"]][:1], ["celery"])
    same(one.conf()["one@here"]["task_track_started"], True)
    same(sorted(app.control.ping(timeout=5, limit=2), key=str), [{"one@here": {"ok": "pong"}}, {"two@here": {"ok": "pong"}}])
    # It is running; the process that runs it is killed, and the pool makes another.
    held.revoke(terminate=True, signal="SIGKILL")
    raises(TaskRevokedError, lambda: held.get(60))
    same(held.state, "REVOKED")
    released = hold.delay("released")
    data.rpush("released", 1)
    same(released.get(60), True)
    # Control of consumers: a queue that it begins to take from, and leaves.
    other = add.apply_async((4, 4), queue="other")
    same(app.control.add_consumer("other", destination=["one@here"], reply=True, timeout=5, limit=1), [{"one@here": {"ok": "add consumer other"}}])
    same(other.get(60), 8)
    app.control.cancel_consumer("other", destination=["one@here"], reply=True, timeout=5, limit=1)
    until("the queue is left", lambda: "other" not in [queue["name"] for queue in one.active_queues()["one@here"]])
    for n in range(5):
        add.apply_async((n, n), queue="nobody")
    with app.connection_for_write() as connection:
        same(connection.default_channel.queue_purge("nobody"), 5)
    reply = app.control.rate_limit("tasks.add", "1000/s", destination=["one@here"], reply=True, timeout=5, limit=1)
    same(reply, [{"one@here": {"ok": "new rate limit set successfully"}}])


def both(state):
    """Two clients of two workers: each task once, and a broadcast to each."""
    def send(n):
        for _ in range(25):
            count.delay("sum", n)

    clients = [threading.Thread(target=send, args=(n,)) for n in (1, 100)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    until("all tasks have run", lambda: data.get("sum") == "2525")
    everywhere.apply_async(queue="everyone", declare=[app.amqp.queues["everyone"].exchange])
    until("both workers have it", lambda: data.smembers("everywhere") == {"one@here", "two@here"})
    watched = add.delay(1, 1)
    same(watched.get(60), 2)
    until("the monitor has seen it", lambda: watched.id in state.tasks and state.tasks[watched.id].state == "SUCCESS")
    seen = state.tasks[watched.id]
    same((seen.name, seen.args, seen.worker.hostname in ("one@here", "two@here"), seen.received <= seen.started <= seen.succeeded), ("tasks.add", "(1, 1)", True, True))
    same(sorted(state.workers), ["one@here", "two@here"])
    # Who kills the process that runs it: redelivered, or lost.
    same(once_lost.delay().get(60), True)
    raises(WorkerLostError, lambda: lost.delay().get(60))


def survival(server):
    """A worker that is killed: what it had not acknowledged comes again."""
    with worker("first", "-P", "solo", "--without-mingle", of="fragile") as first:
        result = survive.delay()
        until("the task runs", lambda: data.get("survive") == "1")
        first.kill()
    store = redis.Redis.from_url(server.url)
    same((store.hlen("fragile:unacked"), store.zcard("fragile:unacked_index")), (1, 1))
    for n in (9, 0, 3, 6, 5, 0, 9, 4):
        ranked.apply_async((n,), priority=n, queue="ranks")
    with worker("second", "-P", "solo", "--without-mingle", "-B", "-s", "beat", "-Q", "celery,ranks", of="fragile") as second:
        same(result.get(60), True)
        until("all have run", lambda: data.llen("ranks") == 8)
        # As many lists as there are steps; within one, first come, first served.
        same(data.lrange("ranks", 0, -1), ["0", "0", "3", "5", "4", "6", "9", "9"])
        until("it ticks", lambda: int(data.get("ticks") or 0) >= 3)
        server.stop()
        server.start()
        data.delete("ticks")
        until("it ticks again", lambda: int(data.get("ticks") or 0) >= 3)
        same(survive.delay().get(60), False)
        same(second.stop(), 0)


def main():
    with servers.another() as server:
        os.environ["FRAGILE"] = fragile.conf.broker_url = fragile.conf.result_backend = server.url
        state = watched()
        with worker("one", "-c", "2", "-E") as one, worker("two", "-c", "1", "-E", "-Q", "everyone") as two:
            slow = by_itself.delay()
            inspect = app.control.inspect(["one@here"], timeout=10)
            results()
            canvas()
            times(inspect)
            inspection(inspect)
            retries(slow)
            app.control.add_consumer("celery", destination=["two@here"], reply=True, timeout=10, limit=1)
            both(state)
            same(one.stop(), 0)
            app.control.shutdown(destination=["two@here"])
            same(two.process.wait(60), 0)
        survival(server)
    done()
