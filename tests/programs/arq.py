# Program: arq
# Needs: pip arq==0.28.0 redis==5.3.1
# Exercises: workers, results, unique and deferred jobs, retries, time limits, abort, cron, health checks, an interrupted and a killed worker, two workers at once, a restart of the server
#
"""arq with workers in processes of their own."""
import asyncio
import os
import signal
import sys
from datetime import timedelta

import redis

from arq import Retry, create_pool, cron, func
from arq.connections import RedisSettings
from arq.jobs import Job, JobStatus, ResultNotFound
from redis.asyncio.retry import Retry as Again
from redis.backoff import ConstantBackoff

import servers
from checks import done, raises, same, until
from workers import Worker, module

if __name__ == "__main__":
    sys.exit(module("tasks").main())

url = f"{os.environ['REDIS_URL']}/8"
settings = RedisSettings.from_dsn(url)


async def add(context, a, b=10):
    return a + b


async def count(context, key, n=1):
    return await context["redis"].incrby(key, n)


async def flaky(context, enough):
    if context["job_try"] < enough:
        raise Retry(defer=0.01 * context["job_try"])
    return context["job_try"]


async def fail(context):
    raise ValueError("on purpose")


async def endless(context):
    await asyncio.sleep(60)


async def hold(context, key):
    """Runs until it is told to go on."""
    await context["redis"].incr(f"{key}:began")
    while not await context["redis"].exists(f"{key}:go"):
        await asyncio.sleep(0.01)
    return context["job_try"]


async def start(context):
    context["started"] = True
    await context["redis"].incr("started")


async def ended(context):
    await context["redis"].rpush("ended", context["job_id"])


async def regularly(context):
    await context["redis"].incr("regularly")


class WorkerSettings:
    redis_settings = settings
    functions = [add, count, flaky, fail, hold, func(endless, timeout=0.1), func(add, name="add_briefly", keep_result=0.2), func(add, name="add_silently", keep_result=0)]
    cron_jobs = [cron(regularly, second=set(range(60)), microsecond=0)]
    on_startup = start
    after_job_end = ended
    allow_abort_jobs = True
    poll_delay = 0.02
    health_check_interval = 1
    max_tries = 4


class Plain:
    """Without cron, for what else is in the queue is looked at."""
    redis_settings = settings
    functions = [count, hold]
    queue_name = "plain"
    poll_delay = 0.02


def patient(url):
    """Settings of who asks again when the server is away; by default nobody does."""
    asking = RedisSettings.from_dsn(url)
    asking.retry, asking.retry_on_error = Again(ConstantBackoff(0.05), 1000), [OSError, redis.ConnectionError]
    return asking


lasting = os.environ.get("LASTING", url)
Patient = {**vars(Plain), "redis_settings": patient(lasting)}
Impatient = {**vars(Plain), "redis_settings": RedisSettings.from_dsn(lasting)}


def worker(of="WorkerSettings", *options, **environment):
    return Worker("arq", f"tasks.{of}", *options, **environment)


def answer(call):
    """What a coroutine answers, in the loop that the pool belongs to."""
    return loop.run_until_complete(call)


def result(job):
    return answer(job.result(timeout=60, poll_delay=0.01))


loop = asyncio.new_event_loop()


def queued(pool):
    job = answer(pool.enqueue_job("add", 1, 2, _job_id="one"))
    same(answer(pool.enqueue_job("add", 5, 6, _job_id="one")), None)
    late = answer(pool.enqueue_job("add", 1, b=1, _defer_by=timedelta(hours=1)))
    same((answer(job.status()), answer(late.status()), answer(Job("none", pool).status())), (JobStatus.queued, JobStatus.deferred, JobStatus.not_found))
    found = answer(pool.queued_jobs())
    same([(job.function, job.args, job.kwargs) for job in found], [("add", (1, 2), {}), ("add", (1,), {"b": 1})])
    same(0 < answer(pool.pttl("arq:job:one")) <= 86_400_000 + 1000, True)
    expired = answer(pool.enqueue_job("add", 1, 1, _expires=0.001))
    until("it expires", lambda: not answer(pool.exists(f"arq:job:{expired.job_id}")))
    return job, late, expired


def results(pool, job, late, expired):
    same((result(job), answer(job.status())), (3, JobStatus.complete))
    info = answer(job.result_info())
    same((info.function, info.args, info.success, info.result, info.job_try, info.enqueue_time <= info.start_time <= info.finish_time), ("add", (1, 2), True, 3, 1, True))
    same(3590 < answer(pool.ttl("arq:result:one")) <= 3600, True)
    same("expired" in str(raises(Exception, lambda: result(expired))), True)
    brief = answer(pool.enqueue_job("add_briefly", 1))
    same(result(brief), 11)
    until("the result expires", lambda: answer(brief.status()) == JobStatus.not_found)
    silent = answer(pool.enqueue_job("add_silently", 1))
    raises(ResultNotFound, lambda: result(silent))
    many = [answer(pool.enqueue_job("add", n, n)) for n in range(30)]
    same([result(job) for job in many], [2 * n for n in range(30)])
    same({job.job_id for job in many} <= {found.job_id for found in answer(pool.all_job_results())}, True)
    until("the hook has seen all", lambda: {job.job_id.encode() for job in many} <= set(answer(pool.lrange("ended", 0, -1))))
    # What waits for later is aborted, as is what runs.
    same((answer(late.abort(timeout=60, poll_delay=0.01)), answer(late.result_info()).success), (True, False))
    running = answer(pool.enqueue_job("hold", "aborted"))
    until("it runs", lambda: answer(pool.get("aborted:began")) == b"1")
    same(answer(running.status()), JobStatus.in_progress)
    same(answer(running.abort(timeout=60, poll_delay=0.01)), True)
    same(answer(pool.zcard("arq:abort")), 0)


def failures(pool):
    same(result(answer(pool.enqueue_job("flaky", 3))), 3)
    same("max 4 retries exceeded" in str(raises(Exception, lambda: result(answer(pool.enqueue_job("flaky", 9))))), True)
    same(str(raises(ValueError, lambda: result(answer(pool.enqueue_job("fail"))))), "on purpose")
    raises(TimeoutError, lambda: result(answer(pool.enqueue_job("endless"))))
    same("function 'none' not found" in str(raises(Exception, lambda: result(answer(pool.enqueue_job("none"))))), True)
    soon = answer(pool.enqueue_job("add", 1, 1, _defer_by=0.3))
    same(result(soon), 2)
    info = answer(soon.result_info())
    same(info.finish_time - info.enqueue_time >= timedelta(seconds=0.29), True)
    until("it came regularly", lambda: int(answer(pool.get("regularly")) or 0) >= 2)


def health():
    """Whether a worker has been heard of, as the command says."""
    return Worker("arq", "tasks.WorkerSettings", "--check").process.wait(60)


def ends(pool):
    """A worker that is interrupted hands its job back; what one was at that
    is killed is taken up when the key of its run expires."""
    held = answer(pool.enqueue_job("hold", "held", _queue_name="plain"))
    with worker("Plain") as one:
        until("it runs", lambda: answer(pool.get("held:began")) == b"1")
        one.stop(signal.SIGTERM)
    same((answer(held.status()), answer(pool.get(f"arq:retry:{held.job_id}"))), (JobStatus.queued, b"1"))
    with worker("Plain") as two:
        until("it runs again", lambda: answer(pool.get("held:began")) == b"2")
        two.kill()
    key = f"arq:in-progress:{held.job_id}"
    same((answer(held.status()), 300_000 < answer(pool.pttl(key)) <= 310_000), (JobStatus.in_progress, True))
    # As if five minutes had passed.
    answer(pool.pexpire(key, 1))
    with worker("Plain"):
        until("it runs once more", lambda: answer(pool.get("held:began")) == b"3")
        answer(pool.set("held:go", 1))
        same(result(held), 3)


def both(pool):
    """Two workers, one queue, two clients: each job once."""
    async def send(n):
        client = await create_pool(settings)
        for _ in range(20):
            await client.enqueue_job("count", "both", n, _queue_name="plain")
        await client.aclose()

    with worker("Plain"), worker("Plain"):
        answer(asyncio.gather(send(1), send(100)))
        until("all have run", lambda: answer(pool.get("both")) == b"2020" and not answer(pool.zcard("plain")))
    # And one that ends by itself.
    answer(send(1))
    with worker("Plain", "--burst") as burst:
        same(burst.process.wait(60), 0)
    same((answer(pool.get("both")), answer(pool.zcard("plain"))), (b"2040", 0))


def restart():
    """The server is away for a moment, and has forgotten all when it is back."""
    with servers.another() as server, worker("Patient", LASTING=server.url) as goes_on, worker("Impatient", LASTING=server.url) as ends:
        pool = answer(create_pool(patient(server.url), default_queue_name="plain"))
        same(result(answer(pool.enqueue_job("count", "before"))), 1)
        until("both are there", lambda: len(answer(pool.client_list())) >= 3)
        # One that is about to take a job ends when the server goes, patient or not.
        looks = lambda: answer(pool.info("commandstats"))["cmdstat_zrangebyscore"]["calls"]
        until("nothing is left", lambda: not answer(pool.zcard("plain")))
        before = looks()
        until("both have looked for more", lambda: looks() >= before + 6)
        server.stop()
        same(ends.process.wait(60) != 0, True)
        server.start()
        same([result(answer(pool.enqueue_job("count", "after", n))) for n in (1, 2)], [1, 3])
        same((answer(pool.exists("before")), goes_on.process.poll()), (0, None))
        answer(pool.aclose())


def main():
    asyncio.set_event_loop(loop)
    pool = answer(create_pool(settings))
    jobs = queued(pool)
    same(health(), 1)
    with worker() as one:
        results(pool, *jobs)
        failures(pool)
        same((health(), answer(pool.get("started"))), (0, b"1"))
        one.stop()
    same(answer(pool.exists("arq:queue:health-check")), 0)
    ends(pool)
    both(pool)
    answer(pool.aclose())
    restart()
    done()
