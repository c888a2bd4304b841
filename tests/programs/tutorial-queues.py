# Program: Tutorial: queues
# Needs: pip redis==8.1.0
# Exercises: competing workers as processes with LPUSH and BLPOP on database 5, priorities, BLMOVE and a worker killed, delays, retries, replies
#
"""Work that is put into a list by one process, and taken out by whichever of
several others is free."""
import json
import os
import signal
import time

import redis
from checks import done, same, until
from listings import Process, listing, run

URL = os.environ["REDIS_URL"] + "/5"
# Longer than anybody waits for a task, or the client gives up first.
r = redis.Redis.from_url(URL, decode_responses=True, socket_timeout=30)

listing("producer.py", """
    import json
    import sys

    import redis

    r = redis.Redis.from_url(sys.argv[1], decode_responses=True, socket_timeout=30)
    for number in range(int(sys.argv[2]), int(sys.argv[3])):
        r.lpush("tasks", json.dumps({"id": number, "kind": "mail"}))
    print("queued", r.llen("tasks") <= int(sys.argv[3]))
""")
listing("worker.py", """
    import json
    import signal
    import sys

    import redis

    r = redis.Redis.from_url(sys.argv[1], decode_responses=True, socket_timeout=30)
    name, queues = sys.argv[2], sys.argv[3:]
    running = True


    def stop(*_):
        global running
        running = False
        r.rpush(f"stop:{name}", json.dumps({"id": "stop"}))


    signal.signal(signal.SIGTERM, stop)
    while running:
        item = r.blpop([*queues, f"stop:{name}"], timeout=15)
        if item is None:
            continue
        queue, text = item
        task = json.loads(text)
        if task["id"] == "stop":
            break
        with r.pipeline() as pipe:
            pipe.rpush("done", f"{task['id']}")
            pipe.hincrby("done:by", name, 1)
            pipe.execute()
        print(queue, task["id"])
    print("bye")
""")
# The task is in a list of the worker's own until it is done.
listing("careful.py", """
    import json
    import sys
    import time

    import redis

    r = redis.Redis.from_url(sys.argv[1], decode_responses=True, socket_timeout=30)
    processing = f"processing:{sys.argv[2]}"
    while (text := r.blmove("jobs", processing, 15, "RIGHT", "LEFT")) is not None:
        task = json.loads(text)
        if task["id"] == "stop":
            r.lrem(processing, 1, text)
            break
        if sys.argv[3:] == ["hang"]:
            print("hangs", task["id"])
            time.sleep(60)
        r.rpush("jobs:done", task["id"])
        r.lrem(processing, 1, text)
    print("bye")
""")
listing("caller.py", """
    import json
    import sys
    import uuid

    import redis

    r = redis.Redis.from_url(sys.argv[1], decode_responses=True, socket_timeout=30)
    reply_to = f"reply:{uuid.uuid4()}"
    r.lpush("questions", json.dumps({"reply_to": reply_to, "number": int(sys.argv[2])}))
    _, answer = r.blpop(reply_to, timeout=15)
    print(answer)
""")


def blocked():
    return r.info("clients")["blocked_clients"]


def competing_workers():
    workers = []
    for n in range(3):
        workers.append(Process("worker.py", URL, f"worker-{n}", "tasks"))
        until("it waits", lambda: blocked() == n + 1)
    # Who has waited longest is served first, also by one LPUSH of three.
    r.lpush("tasks", *[json.dumps({"id": name}) for name in "abc"])
    for worker, expected in zip(workers, "cba"):
        worker.until_shows(f"tasks {expected}")
    same(run("producer.py", URL, "0", "60"), "queued True\n")
    until("all is done", lambda: r.llen("done") == 63)
    same(sorted(r.lrange("done", 0, -1)), sorted(["a", "b", "c", *map(str, range(60))]))
    same(sum(map(int, r.hvals("done:by"))), 63)
    same(sorted(r.hkeys("done:by")), ["worker-0", "worker-1", "worker-2"])
    until("all wait again", lambda: blocked() == 3)
    # One that is killed while it waits takes nothing with it.
    workers[0].kill()
    until("it is forgotten", lambda: blocked() == 2)
    r.lpush("tasks", *[json.dumps({"id": f"late-{n}"}) for n in range(10)])
    until("the others do it", lambda: r.llen("done") == 73)
    same(r.exists("tasks"), 0)
    # Nothing of it is in database 0.
    same(redis.Redis.from_url(os.environ["REDIS_URL"]).dbsize(), 0)
    workers[1].process.send_signal(signal.SIGTERM)
    until("one has stopped", lambda: blocked() == 1)
    workers[2].process.send_signal(signal.SIGTERM)
    for worker in workers[1:]:
        same(worker.result().endswith("bye\n"), True)
    same((blocked(), r.llen("tasks")), (0, 0))
    r.flushdb()


def priorities():
    """BLPOP takes from the first of the lists that has something."""
    r.rpush("low", *[json.dumps({"id": n}) for n in (1, 2)])
    r.rpush("high", *[json.dumps({"id": n}) for n in (3, 4)])
    r.rpush("normal", json.dumps({"id": 5}))
    r.rpush("low", json.dumps({"id": "stop"}))
    same(run("worker.py", URL, "only", "high", "normal", "low"), "high 3\nhigh 4\nnormal 5\nlow 1\nlow 2\nbye\n")
    r.rpush("low", "a", "b", "c")
    same(r.lmpop(3, "high", "normal", "low", direction="LEFT", count=2), ["low", ["a", "b"]])
    same(r.blmpop(0.05, 2, "high", "normal", direction="LEFT"), None)
    r.flushdb()


def worker_killed():
    for n in range(4):
        r.lpush("jobs", json.dumps({"id": n}))
    with Process("careful.py", URL, "first", "hang") as worker:
        worker.until_shows("hangs 0")
        worker.kill()
    same((r.llen("jobs"), r.lrange("processing:first", 0, -1)), (3, ['{"id": 0}']))
    # What looks after the workers gives back what they had.
    for processing in r.scan_iter("processing:*"):
        while r.lmove(processing, "jobs", "RIGHT", "RIGHT"):
            pass
    r.lpush("jobs", json.dumps({"id": "stop"}))
    same(run("careful.py", URL, "second"), "bye\n")
    same((r.lrange("jobs:done", 0, -1), r.keys("processing:*"), r.exists("jobs")), (["0", "1", "2", "3"], [], 0))
    # The older way, which tutorials still show.
    r.lpush("old", "x")
    same((r.brpoplpush("old", "old:processing", 1), r.rpoplpush("old:processing", "old"), r.rpop("old")), ("x", "x", "x"))
    r.flushdb()


def delayed():
    """A sorted set holds what is for later; a script moves what is due, so that two movers do not do it twice."""
    move = r.register_script("""
        local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, 10)
        for _, task in ipairs(due) do
            redis.call('ZREM', KEYS[1], task)
            redis.call('LPUSH', KEYS[2], task)
        end
        return #due
    """)
    now = 1_000_000
    r.zadd("later", {"third": now + 30, "first": now + 10, "second": now + 20.5})
    moves = [move(keys=["later", "ready"], args=[now + after]) for after in (0, 10, 15, 25, 25, 40)]
    same(moves, [0, 1, 0, 1, 0, 1])
    same([r.rpop("ready") for _ in range(4)], ["first", "second", "third", None])
    r.zadd("later", {"soon": time.time() + 0.05})
    until("it is due", lambda: move(keys=["later", "ready"], args=[time.time()]))
    same(r.bzpopmin("later", 0.05), None)
    r.zadd("later", {"b": 2, "a": 1})
    same((r.bzpopmin("later", 1), r.zpopmin("later")), (("later", "a", 1.0), [("b", 2.0)]))
    r.flushdb()


def retries():
    """Three attempts, then the list of the dead, with what was wrong."""
    def fail(task):
        if task["id"] == "broken":
            raise ValueError("no such address")

    r.lpush("jobs", json.dumps({"id": "fine"}), json.dumps({"id": "broken"}))
    while text := r.rpop("jobs"):
        task = json.loads(text)
        try:
            fail(task)
            r.incr("succeeded")
        except ValueError as error:
            task["attempts"] = task.get("attempts", 0) + 1
            if task["attempts"] < 3:
                r.lpush("jobs", json.dumps(task))
            else:
                r.rpush("dead", json.dumps(dict(task, error=str(error))))
                r.ltrim("dead", -100, -1)
    same((r.get("succeeded"), r.lrange("dead", 0, -1)), ("1", ['{"id": "broken", "attempts": 3, "error": "no such address"}']))
    # What was queued already is not queued twice.
    same([r.set("unique:mail:7", 1, nx=True, ex=60) and r.lpush("jobs", "mail:7") for _ in range(2)], [1, None])
    r.flushdb()


def replies():
    with Process("caller.py", URL, "6") as one, Process("caller.py", URL, "7") as two:
        for _ in range(2):
            question = json.loads(r.brpop("questions", 15)[1])
            with r.pipeline() as pipe:
                pipe.rpush(question["reply_to"], question["number"] ** 2)
                pipe.expire(question["reply_to"], 60)
                pipe.execute()
        same((one.result(), two.result()), ("36\n", "49\n"))
    same(r.dbsize(), 0)


for part in (competing_workers, priorities, worker_killed, delayed, retries, replies):
    part()
done()
