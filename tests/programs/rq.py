# Program: rq
# Needs: pip rq==3.0.0 redis==8.1.0
# Exercises: workers and their scheduler, dependent jobs, failures and retries, scheduled, repeated and unique jobs, groups, rate limits, cron, stopped jobs, killed workers, suspension, two workers at once, a restart of the server
#
"""rq with workers that fork for each job, as `rq worker` starts them."""
import os
import signal
import sys
import threading
import time
from datetime import datetime, timedelta, timezone

import redis
import rq
import rq.command
import rq.cron
import rq.rate_limit
import rq.registry
import rq.repeat
import rq.scheduler
import rq.suspension
from rq.group import Group

import servers
from checks import done, raises, same, until
from workers import Worker, module

if __name__ == "__main__":
    sys.exit(module("tasks").main())

url = f"{os.environ['REDIS_URL']}/4"
# More than the longest that it waits for a result.
WAITS = {"socket_timeout": 90}
r = redis.Redis.from_url(url, **WAITS)


def add(a, b):
    return a + b


def count(key):
    return r.incr(key)


def fail(key):
    """Fails until it has been called often enough."""
    if r.incr(key) < 3:
        raise ValueError("not yet")
    return "at last"


def hold(key):
    """Runs until it is told to go on."""
    rq.get_current_job().meta["holds"] = key
    rq.get_current_job().save_meta()
    return r.blpop(key, 30) is not None


def slow():
    with r.pipeline() as pipe:
        most = pipe.incr("running").execute()[0]
        r.zadd("most", {"running": most}, gt=True)
        time.sleep(0.01)
        r.decr("running")


def succeeded(job, connection, result):
    connection.set(f"callback:{job.id}", str(result))


def failed(job, connection, kind, error, trace):
    connection.set(f"callback:{job.id}", f"{kind.__name__} {error}")


def stopped(job, connection):
    connection.set(f"callback:{job.id}", "stopped")


def worker(*options, url=url):
    return Worker("rq.cli", "worker", "--url", url, "--logging_level", "WARNING", *options)


def burst(queue):
    """A worker that ends when there is nothing left to do."""
    with worker("--burst", queue) as one:
        same(one.process.wait(60), 0)


def jobs(queue):
    many = queue.enqueue_many([rq.Queue.prepare_data(add, (n, n), job_id=f"many-{n}") for n in range(8)])
    first = queue.enqueue(add, 1, 2, on_success=succeeded)
    after = queue.enqueue(add, 3, 4, depends_on=[first, many[0]])
    bad = queue.enqueue(add, 1, "no number", job_id="fails", on_failure=failed)
    never = queue.enqueue(add, 3, 4, depends_on="fails")
    same((after.get_status(), never.get_status()), ("deferred", "deferred"))
    despite = queue.enqueue(add, 3, 4, depends_on=rq.job.Dependency(jobs=[bad], allow_failure=True))
    retried = queue.enqueue(fail, "tries", retry=rq.Retry(max=3))
    hopeless = queue.enqueue(fail, "hopeless", retry=rq.Retry(max=1))
    ahead = queue.enqueue(add, 0, 0, at_front=True)
    same((queue.count, queue.get_job_position(ahead)), (13, 0))
    only = queue.enqueue(add, 5, 6, job_id="only", unique=True, description="eleven", meta={"of": "two"}, result_ttl=100)
    raises(rq.exceptions.DuplicateJobError, lambda: queue.enqueue(add, 5, 6, job_id="only", unique=True))
    brief = queue.enqueue(add, 1, 1, result_ttl=0)
    gone = queue.enqueue(add, 1, 1)
    gone.cancel()
    same((gone.get_status(), gone.id in queue.canceled_job_registry), ("canceled", True))
    return many, first, after, never, bad, despite, retried, hopeless, only, brief


def results(queue, many, first, after, never, bad, despite, retried, hopeless, only, brief):
    same(only.latest_result(timeout=60).return_value, 11)
    until("all is done", lambda: retried.get_status() == "finished" and hopeless.get_status() == "failed" and queue.count == 0)
    same([job.return_value() for job in many], [2 * n for n in range(8)])
    same([job.latest_result(timeout=60).return_value for job in (first, after, despite)], [3, 7, 7])
    same((r.get(f"callback:{first.id}"), r.get("callback:fails")), (b"3", b"TypeError unsupported operand type(s) for +: 'int' and 'str'"))
    same([job.get_status() for job in (first, bad, retried, hopeless, never)], ["finished", "failed", "finished", "failed", "deferred"])
    same((retried.return_value(), hopeless.latest_result().type.name, "ValueError: not yet" in hopeless.latest_result().exc_string), ("at last", "FAILED", True))
    same(sorted(queue.failed_job_registry.get_job_ids()), sorted([bad.id, hopeless.id]))
    same((len(queue.finished_job_registry), len(queue.deferred_job_registry)), (14, 1))
    same((0 < r.ttl(only.key) <= 100, rq.job.Job.exists(brief.id, r)), (True, False))
    fetched = rq.job.Job.fetch_many(["only", "none", "fails"], connection=r)
    same([job and (job.description, job.meta) for job in fetched[:2]], [("eleven", {"of": "two"}), None])
    # What has failed once more, now that it goes well.
    r.set("hopeless", 10)
    queue.failed_job_registry.requeue(hopeless.id)
    until("it has been requeued", lambda: hopeless.get_status() == "finished")
    same((queue.failed_job_registry.get_job_ids(), hopeless.return_value(refresh=True)), (["fails"], "at last"))
    bad.delete()
    same((r.exists(bad.key), len(queue.failed_job_registry)), (0, 0))


def rival(queue):
    return rq.scheduler.RQScheduler([queue], r, logging_level="CRITICAL")


def scheduled(queue):
    due = datetime.now(timezone.utc) + timedelta(seconds=1)
    soon = queue.enqueue_at(due, time.time)
    later = queue.enqueue_in(timedelta(hours=1), add, 7, 8)
    same((soon.get_status(), later in queue.scheduled_job_registry), ("scheduled", True))
    same(abs(queue.scheduled_job_registry.get_scheduled_time(later) - due) > timedelta(minutes=59), True)
    again = queue.enqueue(count, "again", repeat=rq.repeat.Repeat(times=2, interval=1))
    backed = queue.enqueue(fail, "backed", retry=rq.Retry(max=2, interval=[1, 0]))
    same(soon.latest_result(timeout=60).return_value >= int(due.timestamp()), True)
    until("it was repeated", lambda: len(again.results()) == 3)
    same([result.return_value for result in again.results()], [3, 2, 1])
    until("it was retried", lambda: backed.get_status() == "finished")
    # Another scheduler has to wait until the lock is given up.
    same(rival(queue).acquire_locks(), set())
    later.delete()
    same(len(queue.scheduled_job_registry), 0)


def groups(queue):
    group = Group.create(connection=r, name="group")
    group.enqueue_many(queue, [rq.Queue.prepare_data(count, ("group",)) for _ in range(3)])
    same([found.name for found in Group.all(r)], ["group"])
    until("all have run", lambda: [job.get_status() for job in group.get_jobs()] == ["finished"] * 3)
    same(sorted(job.return_value() for job in group.get_jobs()), [1, 2, 3])


def commands(queue, one):
    """What is told to a worker by publish/subscribe."""
    held = queue.enqueue(hold, "held", on_stopped=stopped)
    until("it runs", lambda: held.get_meta().get("holds") == "held")
    held.refresh()
    same((held.get_status(), held.worker_name), ("started", "one"))
    found = rq.Worker.find_by_key("rq:worker:one", connection=r)
    same((found.get_state(), found.get_current_job_id(), found.queue_names()), ("busy", held.id, ["work"]))
    same(len(held.get_executions()), 1)
    rq.command.send_stop_job_command(r, held.id)
    until("it has been stopped", lambda: held.get_status() == "stopped")
    until("the callback ran", lambda: r.get(f"callback:{held.id}") == b"stopped")
    released = queue.enqueue(hold, "released")
    r.rpush("released", 1)
    same(released.latest_result(timeout=60).return_value, True)
    # The process that does the work is killed; its worker goes on.
    lost = queue.enqueue(os.abort)
    until("it is lost", lambda: lost.get_status() == "failed")
    same("terminated unexpectedly" in lost.latest_result().exc_string, True)
    late = queue.enqueue(time.sleep, 30, job_timeout=1)
    until("it takes too long", lambda: late.get_status() == "failed")
    same("JobTimeoutException" in late.latest_result().exc_string, True)
    # It takes the job that it waits for, and no more.
    rq.suspension.suspend(r)
    taken = queue.enqueue(add, 1, 1)
    until("the worker is suspended", lambda: rq.Worker.find_by_key("rq:worker:one", connection=r).get_state() == "suspended")
    waits = queue.enqueue(add, 2, 2)
    same((rq.suspension.is_suspended(r), waits.get_status()), (True, "queued"))
    rq.suspension.resume(r)
    same([job.latest_result(timeout=60).return_value for job in (taken, waits)], [2, 4])
    rq.command.send_shutdown_command(r, "one")
    same(one.process.wait(60), 0)
    same(rq.Worker.all(connection=r), [])
    same(rival(queue).acquire_locks(), {"work"})
    # What nobody has taken is dropped.
    last = queue.enqueue(add, 1, 1)
    queue.empty()
    same((queue.count, r.exists(last.key)), (0, 0))


def killed(queue):
    """A worker that is killed: its job is found by the next one."""
    with worker("--name", "killed", "work") as abrupt:
        abandoned = queue.enqueue(hold, "abandoned", retry=rq.Retry(max=1))
        until("it runs", lambda: abandoned.get_meta().get("holds") == "abandoned")
        abrupt.kill()
    until("the server knows", lambda: r.info("clients")["blocked_clients"] == 0)
    same((abandoned.get_status(), abandoned.id in queue.started_job_registry), ("started", True))
    same(0 < r.ttl("rq:worker:killed") <= 480, True)
    # As a worker does when the job has not been heard of for a minute and a half.
    queue.started_job_registry.cleanup(timestamp=time.time() + 3600)
    same((abandoned.get_status(), queue.get_job_ids()), ("queued", [abandoned.id]))
    r.rpush("abandoned", 1)
    burst("work")
    same((abandoned.get_status(), abandoned.return_value()), ("finished", True))


def cron():
    """A scheduler of what comes again and again."""
    with open("schedule.py", "w") as file:
        file.write("from rq import cron\nimport tasks\ncron.register(tasks.count, queue_name='cron', args=('cron',), interval=1)\n")
    with Worker("rq.cli", "cron", "--url", url, "schedule.py") as scheduler:
        crons = rq.Queue("cron", connection=r)
        until("two are enqueued", lambda: crons.count == 2)
        same([found.name for found in rq.cron.CronScheduler.all(r)] != [], True)
        scheduler.stop(signal.SIGINT)
    same(rq.cron.CronScheduler.all(r), [])
    burst("cron")
    same(r.get("cron"), b"2")


def both(queue):
    """Two clients and a pool of three workers: each job once, and of those
    with a limit no more than two at once."""
    def enqueue():
        for _ in range(15):
            queue.enqueue(count, "both")

    clients = [threading.Thread(target=enqueue) for _ in range(2)]
    with Worker("rq.cli", "worker-pool", "--url", url, "--logging-level", "WARNING", "-n", "3", "work") as pool:
        for client in clients:
            client.start()
        limit = rq.rate_limit.RateLimit("slow", 2)
        many = [queue.enqueue(slow, rate_limit=limit) for _ in range(8)]
        for client in clients:
            client.join()
        until("all have run", lambda: r.get("both") == b"30" and all(job.get_status() == "finished" for job in many))
        same(r.zscore("most", "running") <= 2, True)
        same(rq.Worker.count(connection=r), 3 + 1)
        same(pool.stop(), 0)
    # The one that was killed is known until its key expires.
    same((queue.count, [found.name for found in rq.Worker.all(connection=r)]), (0, ["killed"]))


def restart():
    """A worker goes on with a server that was away, and has forgotten all."""
    with servers.another() as server, worker("--name", "patient", "work", url=server.url):
        store = redis.Redis.from_url(server.url, **WAITS)
        queue = rq.Queue("work", connection=store)
        same(queue.enqueue(add, 1, 2).latest_result(timeout=60).return_value, 3)
        until("it waits", lambda: store.info("clients")["blocked_clients"] == 1)
        server.stop()
        server.start()
        same((store.dbsize(), queue.enqueue(add, 3, 4).latest_result(timeout=60).return_value), (0, 7))
        # It listens to commands again, too.
        until("it listens", lambda: store.pubsub_numsub("rq:pubsub:patient")[0][1] == 1)
        held = queue.enqueue(add, 1, 1)
        same(held.latest_result(timeout=60).return_value, 2)


def main():
    queue = rq.Queue("work", connection=r)
    enqueued = jobs(queue)
    with worker("--name", "one", "--with-scheduler", "work") as one:
        results(queue, *enqueued)
        scheduled(queue)
        groups(queue)
        commands(queue, one)
    killed(queue)
    cron()
    both(queue)
    restart()
    done()
