# Program: Tutorial: streams
# Needs: pip redis==8.1.0
# Exercises: consumer groups as processes, acknowledgement, a consumer killed, XPENDING, XCLAIM, XAUTOCLAIM, dead letters, trimming
#
"""Sensors write into a stream, and groups of consumers share what comes."""
import os

import redis
from checks import done, raises, same, until
from listings import Process, listing, run

URL = os.environ["REDIS_URL"]
r = redis.Redis.from_url(URL, decode_responses=True)

listing("sensor.py", """
    import sys

    import redis

    r = redis.Redis.from_url(sys.argv[1], decode_responses=True)
    for number in range(int(sys.argv[2]), int(sys.argv[3])):
        r.xadd("readings", {"sensor": f"s{number % 3}", "value": number}, maxlen=10_000)
    print("sent")
""")
listing("consumer.py", """
    import sys
    import time

    import redis

    STREAM, GROUP = "readings", "savers"
    # Longer than it waits for entries, or the client gives up first.
    r = redis.Redis.from_url(sys.argv[1], decode_responses=True, socket_timeout=30)
    name, mode = sys.argv[2], sys.argv[3]
    try:
        r.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    except redis.ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise


    def handle(entries):
        for entry, fields in entries:
            if fields.get("value") == "stop":
                r.xack(STREAM, GROUP, entry)
                print("bye")
                sys.exit()
            with r.pipeline() as pipe:
                pipe.hset("saved", entry, fields["value"])
                pipe.hincrby("saved:by", name, 1)
                pipe.xack(STREAM, GROUP, entry)
                pipe.execute()


    # First what it had been given before it ended, then what nobody has been given.
    for start in ("0", ">"):
        while True:
            reply = r.xreadgroup(GROUP, name, {STREAM: start}, count=5, block=15_000)
            entries = reply[0][1] if reply else []
            if mode == "hang" and entries:
                print("hangs with", len(entries))
                time.sleep(60)
            handle(entries)
            if start == "0" and not entries:
                break
""")


def readings(*values):
    for value in values:
        r.xadd("readings", {"sensor": "s0", "value": value})


def blocked():
    return r.info("clients")["blocked_clients"]


def log():
    """What the first half of each page shows: a stream without groups."""
    first = r.xadd("log", {"level": "info", "text": "start"}, id="1-1")
    same((first, r.xadd("log", {"level": "warn", "text": "hot"}, id="1-*"), r.xlen("log")), ("1-1", "1-2", 2))
    raises(redis.ResponseError, lambda: r.xadd("log", {"a": 1}, id="1-2"))
    same(r.xrange("log", min="-", max="+", count=1), [("1-1", {"level": "info", "text": "start"})])
    same(r.xrevrange("log", count=1), [("1-2", {"level": "warn", "text": "hot"})])
    same(r.xread({"log": "1-1"}), [["log", [("1-2", {"level": "warn", "text": "hot"})]]])
    same(r.xread({"log": "$"}, block=20), [])
    milliseconds, _ = r.xadd("log", {"level": "info"}).split("-")
    seconds, micros = r.time()
    same(abs(seconds * 1000 + micros // 1000 - int(milliseconds)) < 10_000, True)
    same((r.xtrim("log", maxlen=1, approximate=False), r.xdel("log", "1-1"), r.xlen("log")), (2, 0, 1))
    r.delete("log")


def group():
    consumers = []
    for n in range(3):
        consumers.append(Process("consumer.py", URL, f"c{n}", "work"))
        until("it waits", lambda: blocked() == n + 1)
    same(run("sensor.py", URL, "0", "90"), "sent\n")
    until("all is saved", lambda: r.hlen("saved") == 90)
    until("all is acknowledged", lambda: r.xpending("readings", "savers")["pending"] == 0)
    same(sorted(map(int, r.hvals("saved"))), list(range(90)))
    same(sum(map(int, r.hvals("saved:by"))), 90)
    info = r.xinfo_groups("readings")[0]
    same((info["name"], info["consumers"], info["pending"], info["entries-read"], info["lag"]), ("savers", 3, 0, 90, 0))
    # Another group reads all of it once more.
    r.xgroup_create("readings", "averages", id="0")
    same(r.xinfo_groups("readings")[0]["lag"], 90)
    entries = r.xreadgroup("averages", "only", {"readings": ">"}, noack=True)[0][1]
    same((len(entries), r.xpending("readings", "averages")["pending"]), (90, 0))
    until("all wait", lambda: blocked() == 3)
    readings("stop", "stop", "stop")
    same([consumer.result() for consumer in consumers], ["bye\n"] * 3)
    same([c["name"] for c in r.xinfo_consumers("readings", "savers")], ["c0", "c1", "c2"])
    same(r.xgroup_destroy("readings", "averages"), 1)


def consumer_killed():
    with Process("consumer.py", URL, "c0", "hang") as hanging:
        until("it waits", lambda: blocked() == 1)
        readings(90)
        hanging.until_shows("hangs with 1")
        hanging.kill()
    with Process("consumer.py", URL, "c1", "hang") as hanging:
        until("it waits", lambda: blocked() == 1)
        readings(91)
        hanging.until_shows("hangs with 1")
        hanging.kill()
    pending = r.xpending("readings", "savers")
    same((pending["pending"], pending["consumers"]), (2, [{"name": "c0", "pending": 1}, {"name": "c1", "pending": 1}]))
    entries = r.xpending_range("readings", "savers", "-", "+", 10)
    same([(e["consumer"], e["times_delivered"]) for e in entries], [("c0", 1), ("c1", 1)])
    same(r.xpending_range("readings", "savers", "-", "+", 10, consumername="c1")[0]["message_id"], pending["max"])
    same(r.xpending_range("readings", "savers", "-", "+", 10, idle=3_600_000), [])
    # Nothing is taken away from one who may still be at it.
    same(r.xautoclaim("readings", "savers", "c2", 3_600_000)[1], [])
    until("it has been still for long enough", lambda: r.xpending_range("readings", "savers", "-", "+", 10, idle=50)[1:])
    cursor, claimed, deleted = r.xautoclaim("readings", "savers", "c2", 50, start_id="0-0", count=1)
    same(([fields["value"] for _, fields in claimed], deleted, cursor), (["90"], [], pending["max"]))
    same(r.xautoclaim("readings", "savers", "c2", 0, start_id=cursor, justid=True), [pending["max"]])
    same(r.xack("readings", "savers", pending["min"], pending["max"]), 2)
    same(r.xpending("readings", "savers")["pending"], 0)


def comes_back():
    """One of the same name gets what it had not acknowledged."""
    with Process("consumer.py", URL, "c0", "hang") as hanging:
        until("it waits", lambda: blocked() == 1)
        readings(92, 93, 94)
        hanging.until_shows("hangs with")
        hanging.kill()
    with Process("consumer.py", URL, "c0", "work") as again:
        until("all is saved", lambda: {"92", "93", "94"} <= set(r.hvals("saved")))
        readings("stop")
        same(again.result(), "bye\n")
    same(r.xpending("readings", "savers")["pending"], 0)


def dead_letters():
    """What has failed three times is put aside."""
    poison = r.xadd("readings", {"value": "poison"})
    r.xreadgroup("savers", "c0", {"readings": ">"})
    deliveries = []
    while pending := r.xpending_range("readings", "savers", "-", "+", 10):
        for entry in pending:
            deliveries.append(entry["times_delivered"])
            [(entry_id, fields)] = r.xclaim("readings", "savers", "c1", 0, [entry["message_id"]])
            if entry["times_delivered"] >= 3:
                with r.pipeline() as pipe:
                    pipe.xadd("readings:dead", dict(fields, origin=entry_id))
                    pipe.xack("readings", "savers", entry_id)
                    pipe.xdel("readings", entry_id)
                    same(pipe.execute()[1:], [1, 1])
    same(deliveries, [1, 2, 3])
    same(r.xrange("readings:dead")[0][1], {"value": "poison", "origin": poison})
    # What was deleted while it was pending is no more than its id.
    gone = r.xadd("readings", {"value": "gone"})
    r.xreadgroup("savers", "c0", {"readings": ">"})
    r.xdel("readings", gone)
    same(r.xreadgroup("savers", "c0", {"readings": "0"}), [["readings", [(gone, {})]]])
    same(r.xautoclaim("readings", "savers", "c1", 0), ["0-0", [], [gone]])
    same(r.xpending("readings", "savers")["pending"], 0)


def groups():
    r.xgroup_create("fresh", "late", id="$", mkstream=True)
    r.xadd("fresh", {"n": 1})
    same(raises(redis.ResponseError, lambda: r.xgroup_create("fresh", "late")).args[0], "BUSYGROUP Consumer Group name already exists")
    same(str(raises(redis.ResponseError, lambda: r.xreadgroup("nobody", "c", {"fresh": ">"}))).startswith("NOGROUP"), True)
    same(r.xgroup_createconsumer("fresh", "late", "idle"), 1)
    same((len(r.xreadgroup("late", "c", {"fresh": ">"})[0][1]), r.xgroup_delconsumer("fresh", "late", "c")), (1, 1))
    same(r.xgroup_setid("fresh", "late", "0"), True)
    same(len(r.xreadgroup("late", "c", {"fresh": ">"}, count=10)[0][1]), 1)
    for n in range(1000):
        r.xadd("capped", {"n": n}, maxlen=100, approximate=False)
    same((r.xlen("capped"), r.xinfo_stream("capped")["entries-added"]), (100, 1000))
    r.xadd("capped", {"n": "last"}, minid=r.xrevrange("capped", count=1)[0][0], approximate=False)
    same(r.xlen("capped"), 2)
    same(r.xinfo_stream("capped", full=True)["length"], 2)


for part in (log, group, consumer_killed, comes_back, dead_letters, groups):
    part()
done()
