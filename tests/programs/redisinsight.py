# Program: RedisInsight (what it sends)
# Needs: pip redis==6.4.0
# Exercises: what it asks when it connects, in its browser of keys, command line, slow log, profiler and publish/subscribe
#
# It is a program with windows, so this sends what its sources send. Where a
# server does without what it asks for, it goes on: an error there is as good
# as an answer, which `asked` is for, but it must be one, and at once.
import os

import redis

from checks import done, same, until

r = redis.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True, socket_timeout=60)
# Replies as they come.
r.response_callbacks.clear()
other = redis.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True, socket_timeout=60)


def send(*words, **options):
    return r.execute_command(*words, **options)


def asked(*words):
    """It gets an answer, or the error of a server that knows no such command or has it switched off."""
    try:
        send(*words)
    except redis.ResponseError as error:
        assert "unknown" in str(error) or "disabled" in str(error), error
    same(send("PING"), "PONG")


# It connects: what is this, and what can it do?
send("FLUSHALL")
same(send("CLIENT", "SETNAME", "redisinsight-browser-1234"), "OK")
info = other.info("all")
for field in (
    "redis_version", "redis_mode", "os", "uptime_in_days", "connected_clients", "used_memory", "used_memory_human", "maxmemory", "total_commands_processed",
    "instantaneous_ops_per_sec", "instantaneous_input_kbps", "instantaneous_output_kbps", "keyspace_hits", "keyspace_misses", "expired_keys", "evicted_keys",
    "role", "connected_slaves", "used_cpu_sys", "used_cpu_user", "loading", "cluster_enabled", "total_connections_received", "rejected_connections", "maxmemory_policy",
):
    same((field, field in info), (field, True))
same([info["redis_mode"], info["role"], info["cluster_enabled"]], ["standalone", "master", 0])
for words in (["MODULE", "LIST"], ["ACL", "WHOAMI"], ["ACL", "LIST"], ["ACL", "CAT", "dangerous"], ["CLUSTER", "INFO"], ["SENTINEL", "MASTERS"], ["COMMAND", "INFO", "FT._LIST"], ["LASTSAVE"]):
    asked(*words)
same(send("CONFIG", "GET", "databases"), ["databases", "16"])
maxima = send("CONFIG", "GET", "maxmemory*")
same(maxima[maxima.index("maxmemory-policy") + 1], "noeviction")
commands = send("COMMAND")
get = next(command for command in commands if command[0] == "get")
same([len(commands) > 200, get[1], "readonly" in get[2]], [True, 2, True])
same(send("COMMAND", "DOCS", "GET") != [], True)
same([send("DBSIZE"), send("CLIENT", "ID") > 0], [0, True])

# The browser of keys: pages, with types, times and sizes in pipelines.
pipe = r.pipeline(transaction=False)
for n in range(500):
    pipe.set(f"string:{n}", "v" * n).hset(f"hash:{n}", mapping={"f": n, "g": "é"}).rpush(f"list:{n}", *range(5)).sadd(f"set:{n}", *range(5))
    pipe.zadd(f"zset:{n}", {"a": n, "b": 1}).xadd(f"stream:{n}", {"f": n}, id=f"{n + 1}-1").expire(f"string:{n}", 1000)
pipe.execute()
for kind in ("string", "hash", "list", "set", "zset", "stream"):
    cursor, found = 0, set()
    while True:
        cursor, keys = send("SCAN", cursor, "MATCH", "*", "COUNT", 200, "TYPE", kind)
        found.update(keys)
        if int(cursor) == 0:
            break
    same(found, {f"{kind}:{n}" for n in range(500)})
    pipe = r.pipeline(transaction=False)
    for n in range(0, 500, 50):
        pipe.execute_command("TYPE", f"{kind}:{n}").execute_command("TTL", f"{kind}:{n}").execute_command("MEMORY", "USAGE", f"{kind}:{n}", "SAMPLES", 0)
    replies = pipe.execute()
    same([set(replies[0::3]), all(-1 <= ttl <= 1000 for ttl in replies[1::3]), min(replies[2::3]) > 0], [{kind}, True, True])
same(sorted(send("SCAN", 0, "MATCH", "hash:49[89]", "COUNT", 10000)[1]), ["hash:498", "hash:499"])

# One key, as it is shown and changed.
same([send("STRLEN", "string:9"), send("GETRANGE", "string:9", 0, 4), send("OBJECT", "ENCODING", "string:9")], [9, "vvvvv", "embstr"])
same([send("OBJECT", "IDLETIME", "list:1") >= 0, send("OBJECT", "REFCOUNT", "list:1")], [True, 1])
same([send("HLEN", "hash:1"), send("HSCAN", "hash:1", 0, "MATCH", "*", "COUNT", 500)], [2, ["0", ["f", "1", "g", "é"]]])
same([send("LLEN", "list:1"), send("LRANGE", "list:1", 0, 2), send("LINDEX", "list:1", 4)], [5, ["0", "1", "2"], "4"])
same([send("SCARD", "set:1"), sorted(send("SSCAN", "set:1", 0, "COUNT", 500)[1])], [5, list("01234")])
same([send("ZCARD", "zset:7"), send("ZRANGE", "zset:7", 0, -1, "WITHSCORES")], [2, ["b", "1", "a", "7"]])
same(send("ZREVRANGE", "zset:7", 0, 0), ["a"])
same(send("ZSCAN", "zset:7", 0, "MATCH", "a*", "COUNT", 10), ["0", ["a", "7"]])
same(send("XREVRANGE", "stream:1", "+", "-", "COUNT", 500), [["2-1", ["f", "1"]]])
same(send("XGROUP", "CREATE", "stream:1", "group", "0"), "OK")
same(len(send("XREADGROUP", "GROUP", "group", "one", "COUNT", 1, "STREAMS", "stream:1", ">")), 1)
stream, [group], [consumer] = send("XINFO", "STREAM", "stream:1"), send("XINFO", "GROUPS", "stream:1"), send("XINFO", "CONSUMERS", "stream:1", "group")
stream, group, consumer = (dict(zip(fields[::2], fields[1::2])) for fields in (stream, group, consumer))
same([stream["length"], stream["groups"], stream["last-generated-id"]], [1, 1, "2-1"])
same([group["name"], group["pending"], group["last-delivered-id"], consumer["name"], consumer["pending"]], ["group", 1, "2-1", "one", 1])
same(len(send("XPENDING", "stream:1", "group", "-", "+", 500, "one")), 1)
same([len(send("XCLAIM", "stream:1", "group", "two", 0, "2-1")), send("XACK", "stream:1", "group", "2-1"), send("XGROUP", "DELCONSUMER", "stream:1", "group", "two")], [1, 1, 0])
same([send("EXPIRE", "hash:1", 100), send("TTL", "hash:1") > 90, send("PERSIST", "hash:1"), send("RENAMENX", "hash:1", "hash:2"), send("RENAMENX", "hash:1", "new")], [1, True, 1, 0, 1])
same([send("LSET", "list:1", 0, "x"), send("LPUSH", "list:1", "y"), send("HSET", "new", "f", "w"), send("ZADD", "zset:7", "XX", "CH", 8, "a"), send("SREM", "set:1", "0")], ["OK", 6, 0, 1, 1])
same([send("UNLINK", "new", "list:1"), send("EXISTS", "new")], [2, 0])

# The command line, in a database of its own, with errors as text.
line = redis.Redis.from_url(os.environ["REDIS_URL"] + "/3", protocol=3, decode_responses=True)
same([line.execute_command("SET", "k", "v"), line.execute_command("GET", "k"), r.exists("k")], [True, "v", 0])
line.close()

# Slow log, latencies, memory, statistics.
same([send("CONFIG", "SET", "slowlog-log-slower-than", 0), send("CONFIG", "SET", "slowlog-max-len", 64)], ["OK", "OK"])
send("GET", "string:3")
slow = send("SLOWLOG", "GET", 50)
same([[entry[3], entry[5]] for entry in slow if entry[3][0] == "GET"], [[["GET", "string:3"], "redisinsight-browser-1234"]])
same([send("SLOWLOG", "LEN") > 0, send("SLOWLOG", "RESET"), send("CONFIG", "SET", "slowlog-log-slower-than", 10000)], [True, "OK", "OK"])
same([send("LATENCY", "LATEST"), send("LATENCY", "RESET")], [[], 0])
same(["keys.count" in send("MEMORY", "STATS"), len(send("MEMORY", "DOCTOR")) > 0], [True, True])
same(f"id={send('CLIENT', 'ID')} " in send("CLIENT", "LIST") and " name=redisinsight-browser-1234 " in send("CLIENT", "INFO"), True)

# The profiler, and publish/subscribe.
with other.monitor() as monitor:
    send("SET", "seen", 'by "monitor"')
    seen = next(command for command in monitor.listen() if command["command"].startswith("SET"))
    same([seen["db"], seen["command"], seen["client_type"]], [0, 'SET seen by "monitor"', "tcp"])
subscriber = other.pubsub()
subscriber.psubscribe("*")
same(subscriber.get_message(timeout=60)["type"], "psubscribe")
same([send("PUBLISH", "news", "hello"), send("PUBSUB", "NUMPAT"), send("PUBSUB", "CHANNELS", "*"), send("PUBSUB", "SHARDCHANNELS")], [1, 1, [], []])
same(subscriber.get_message(timeout=60), {"type": "pmessage", "pattern": "*", "channel": "news", "data": "hello"})
subscriber.close()
until("the subscriber has gone", lambda: send("PUBSUB", "NUMPAT") == 0)
done()
