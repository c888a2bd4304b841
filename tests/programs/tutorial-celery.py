# Program: Tutorial: Celery
# Needs: pip celery[redis]==5.7.0 redis==8.1.0
# Needs: apt redis-tools=7.0
# Exercises: the first steps: tasks.py, a worker as a process, results, a failure, a task for two queues, what redis-cli shows of them
#
"""The first pages on Celery, with the files that they let a person write, and
a look into the broker before and after the worker is started."""
import json
import os
import subprocess
import sys

import redis
from checks import done, raises, same, until
from listings import Process, listing, run

os.environ["BROKER"] = os.environ["REDIS_URL"]
port = os.environ["PORT"]
r = redis.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)

listing("tasks.py", """
    import os

    from celery import Celery

    app = Celery("tasks", broker=os.environ["BROKER"] + "/0", backend=os.environ["BROKER"] + "/1")
    app.conf.task_routes = {"tasks.report": {"queue": "reports"}}
    app.conf.result_expires = 3600
    app.conf.broker_connection_retry_on_startup = True


    @app.task
    def add(x, y):
        return x + y


    @app.task
    def divide(x, y):
        return x / y


    @app.task(bind=True, max_retries=3)
    def uncertain(self):
        if self.request.retries < 2:
            raise self.retry(countdown=0)
        return self.request.retries


    @app.task
    def report(name):
        return f"report of {name}"
""")
sys.path.insert(0, "")
import tasks


def cli(*words):
    return subprocess.run(["redis-cli", "-p", port, "--no-raw", *words], capture_output=True, text=True, check=True).stdout


# Nobody works yet: what is called waits in the broker.
first, second = tasks.add.delay(4, 4), tasks.report.delay("sales")
same((first.ready(), first.status), (False, "PENDING"))
same((cli("llen", "celery"), cli("llen", "reports"), cli("type", "celery")), ("(integer) 1\n", "(integer) 1\n", "list\n"))
message = json.loads(r.lindex("celery", 0))
same((message["headers"]["task"], message["headers"]["id"], message["properties"]["delivery_info"]["routing_key"]), ("tasks.add", first.id, "celery"))
same(sorted(r.scan_iter("_kombu.binding.*")), ["_kombu.binding.celery", "_kombu.binding.reports"])

with Process("celery", "-A", "tasks", "worker", "--loglevel=INFO", "--concurrency=1", "--pool=solo", "-Q", "celery,reports") as worker:
    worker.until_shows("ready.")
    same((first.get(timeout=30), second.get(timeout=30)), (8, "report of sales"))
    same((tasks.add.delay(2, 3).get(timeout=30), tasks.uncertain.delay().get(timeout=30)), (5, 2))
    failed = tasks.divide.delay(1, 0)
    raises(ZeroDivisionError, lambda: failed.get(timeout=30))
    same((failed.status, failed.get(propagate=False).args[0]), ("FAILURE", "division by zero"))
    chained = (tasks.add.s(2, 2) | tasks.add.s(10)).apply_async()
    same(chained.get(timeout=30), 14)
    # Its result is in the other database, and goes after an hour.
    key = f"celery-task-meta-{first.id}"
    same(json.loads(subprocess.run(["redis-cli", "-p", port, "-n", "1", "get", key], capture_output=True, text=True).stdout)["result"], 8)
    results = redis.Redis.from_url(os.environ["REDIS_URL"] + "/1", decode_responses=True)
    same(3500 < results.ttl(key) <= 3600, True)
    first.forget()
    same(results.exists(key), 0)
    until("all is acknowledged", lambda: r.hlen("unacked") == 0)
    same((cli("llen", "celery"), r.exists("celery", "reports")), ("(integer) 0\n", 0))
    worker.process.terminate()
    same("Warm shutdown" in worker.result(), True)
# Queued while nobody works, and thrown away.
tasks.add.apply_async((1, 1), countdown=60)
same("Purged 1 message" in run("celery", "-A", "tasks", "purge", "-f", "-Q", "celery"), True)
same(r.exists("celery"), 0)
done()
