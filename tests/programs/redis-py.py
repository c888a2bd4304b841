# Program: redis-py
# Needs: pip redis==6.2.0
# Exercises: RESP2 and RESP3: strings, scans, publish/subscribe, queues, transactions, errors
#
"""Publish/subscribe, a queue, expiry, a lock and a transaction with redis-py."""
import os
import threading
import time

import redis

port = int(os.environ["PORT"])


def until(what, done):
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.005)


for protocol in (2, 3):
    url = f"redis://localhost:{port}/0?protocol={protocol}"
    r = redis.Redis.from_url(url, decode_responses=True, socket_timeout=15)
    r.flushall()
    print("==", protocol, r.ping())

    print(r.set("a", "1"), r.get("a"), r.mset({"b": 2, "c": 3}), r.mget("a", "b", "nope"))
    print(r.incr("a"), r.incrbyfloat("a", 0.25), r.append("b", "x"), r.getrange("b", 0, -1))
    print(r.set("nx", 1, nx=True), r.set("nx", 2, nx=True), r.set("nx", 3, get=True))
    print(sorted(r.keys("*")), sorted(r.scan_iter(match="*", count=2)), r.type("a"), r.exists("a", "zz"))
    print(r.setex("session", 100, "data"), 0 < r.ttl("session") <= 100, r.persist("session"), r.ttl("session"))
    r.set("short", "x", px=40)
    until("short expires", lambda: r.get("short") is None)
    print("expired", r.ttl("short"), r.pttl("short"))

    subscriber = r.pubsub()
    subscriber.subscribe("news")
    subscriber.psubscribe("n*")
    print(subscriber.get_message(timeout=5), subscriber.get_message(timeout=5))
    print(r.publish("news", "hi"), r.pubsub_numsub("news"), r.pubsub_numpat(), r.pubsub_channels())
    print(subscriber.get_message(timeout=5), subscriber.get_message(timeout=5))
    subscriber.close()

    queue = redis.Redis(port=port, db=5, protocol=protocol, decode_responses=True)
    got = []
    worker = threading.Thread(target=lambda: got.append(queue.blpop(["urgent", "tasks"], timeout=10)))
    worker.start()
    until("the worker is blocked", lambda: r.info("clients")["blocked_clients"] == 1)
    print(queue.lpush("tasks", "job"))
    worker.join()
    print(got, queue.rpush("tasks", *range(5)), queue.lrange("tasks", 0, -1), queue.blmove("tasks", "done", 1))
    print(queue.lmpop(2, "none", "tasks", direction="LEFT", count=2), queue.lpos("tasks", "4"), queue.brpop("nothing", 0.01))

    pipe = r.pipeline(transaction=True)
    print(pipe.set("t", 1).incr("t").lpush("t", "x").get("t").execute(raise_on_error=False))
    with r.pipeline() as pipe:
        pipe.watch("t")
        r.set("t", 9)
        pipe.multi()
        pipe.get("t")
        try:
            print(pipe.execute())
        except redis.WatchError as error:
            print("WatchError", error)
    try:
        r.lpush("a", 1)
    except redis.ResponseError as error:
        print(error)
    try:
        r.execute_command("NOSUCH", "x")
    except redis.ResponseError as error:
        print(error)
    lock = r.set("lock", "me", nx=True, ex=10)
    print(lock, r.set("lock", "you", nx=True, ex=10), r.client_setname("tester"), r.client_getname())
    print(r.config_get("maxclients*"), r.dbsize(), r.object("encoding", "a"), r.object("refcount", "lock"))
    print(r.rename("b", "bb"), r.copy("bb", "cc"), r.touch("bb", "cc"), r.unlink("bb", "cc"), r.getdel("c"))
    r.close()
