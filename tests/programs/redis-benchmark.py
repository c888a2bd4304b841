# Program: redis-benchmark
# Needs: apt redis-tools=7.0
# Exercises: each of its tests, in pipelines, with random keys, with threads, with RESP3, tracking, a connection for each request; commands of one's own; plain, quiet and CSV output
#
# It ends with an error when any reply is one. What is asserted is that it told
# of every test, and what its commands have left behind.
import csv
import os
import re
import subprocess

from checks import done, same

TESTS = {
    "ping_inline": "PING_INLINE", "ping_mbulk": "PING_MBULK", "set": "SET", "get": "GET", "incr": "INCR", "lpush": "LPUSH", "rpush": "RPUSH",
    "lpop": "LPOP", "rpop": "RPOP", "sadd": "SADD", "hset": "HSET", "spop": "SPOP", "zadd": "ZADD", "zpopmin": "ZPOPMIN",
    "lrange": "LPUSH (needed to benchmark LRANGE)", "lrange_100": "LRANGE_100 (first 100 elements)", "lrange_300": "LRANGE_300 (first 300 elements)",
    "lrange_500": "LRANGE_500 (first 500 elements)", "lrange_600": "LRANGE_600 (first 600 elements)", "mset": "MSET (10 keys)",
}
EACH = 400


def run(command, *words, stdin=""):
    ended = subprocess.run([command, "-p", os.environ["PORT"], *map(str, words)], input=stdin, capture_output=True, text=True, timeout=60)
    return ended.stdout, ended.stderr, ended.returncode


def benchmark(*words, n=EACH, **options):
    printed, errors, status = run("redis-benchmark", "-n", n, *words, **options)
    same(status, 0)
    same([line for line in errors.splitlines() if "Keepalive disabled" not in line], [])
    return printed


def redis(*words):
    return run("redis-cli", *words)[0].rstrip("\n")


def rates(printed):
    """The tests that CSV tells of, each of which has a rate and six latencies."""
    heads, *rows = csv.reader(printed.splitlines())
    same(heads[:3], ["test", "rps", "avg_latency_ms"])
    same([len(row) for row in rows if float(row[1]) > 0], [8] * len(rows))
    return [row[0] for row in rows]


def counters():
    """Of each of its commands that has run, since this was asked last."""
    calls = dict(re.findall(r"cmdstat_(\w+):calls=(\d+)", redis("info", "commandstats")))
    redis("config", "resetstat")
    failed = re.findall(r"errorstat_(\w+)", redis("info", "errorstats"))
    same(failed, [])
    return {name: int(count) for name, count in calls.items() if name not in ("info", "config|resetstat", "config|get")}


redis("flushall")
counters()
same(rates(benchmark("--csv", "-c", 10)), list(TESTS.values()))
# What it fills a list for LRANGE with is a test like the others.
expected = dict.fromkeys(("set", "get", "incr", "rpush", "lpop", "rpop", "sadd", "hset", "spop", "zadd", "zpopmin", "mset"), EACH)
same(counters(), expected | {"ping": 2 * EACH, "lpush": 2 * EACH, "lrange": 4 * EACH})
same([redis("get", "counter:__rand_int__"), redis("llen", "mylist")], [str(EACH), str(EACH)])
same(redis("strlen", "key:__rand_int__"), "3")

same(rates(benchmark("-t", ",".join(TESTS), "--csv", "-c", 5, n=100)), list(TESTS.values()))
counters()

for flags in (["-P", 16], ["-r", 1000], ["-r", 1000, "-P", 16, "-3"], ["--threads", 2, "-P", 4], ["--threads", 2, "-r", 100], ["-k", 0], ["--enable-tracking"], ["-d", 20000], ["--dbnum", 3]):
    redis("flushall")
    same(rates(benchmark("--csv", "-c", 10, "-t", "set,get,incr,lpush,mset", *flags))[:3], ["SET", "GET", "INCR"])
    counted = counters()
    # In pipelines it sends whole ones, and threads may send a few more.
    same([EACH <= counted[name] <= EACH * 1.5 for name in ("set", "get", "incr", "mset")], [True] * 4)
    if flags == ["-d", 20000]:
        same([redis("strlen", "key:__rand_int__"), len(redis("lindex", "mylist", 0))], ["20000", 20000])
    if flags == ["--dbnum", 3]:
        same([redis("dbsize"), redis("-n", 3, "exists", "key:__rand_int__")], ["0", "1"])
    if flags == ["-r", 1000]:
        same(len(redis("--scan", "--pattern", "key:000000000???").split()) > 100, True)

redis("flushall")
same(re.findall(r"(\w+): \d+\.\d+ requests per second, p50=\d+\.\d+ msec", benchmark("-q", "-t", "ping,set")), ["PING_INLINE", "PING_MBULK", "SET"])
plain = benchmark("-t", "get", "--precision", 3)
same([f"{EACH} requests completed in" in plain, "throughput summary:" in plain, "50 parallel clients" in plain], [True] * 3)
same(re.search(r"100\.000% <= \d+\.\d+ milliseconds \(cumulative count 400\)", plain) is not None, True)

# Commands of one's own.
same(rates(benchmark("--csv", "-r", 10, "lpush", "mine", "__rand_int__")), ["lpush mine __rand_int__"])
same([redis("llen", "mine"), re.fullmatch(r"0{11}\d", redis("lindex", "mine", 0)) is not None], [str(EACH), True])
same(rates(benchmark("--csv", "eval", "return redis.call('incr', KEYS[1])", 1, "scripted")), ["eval return redis.call('incr', KEYS[1]) 1 scripted"])
same(redis("get", "scripted"), str(EACH))
benchmark("-q", "-x", "set", "input", stdin="from input")
same(redis("get", "input"), "from input")
benchmark("-q", "-P", 10, "xadd", "stream", "*", "field", "value")
same(redis("xlen", "stream"), str(EACH))
# An error ends it.
printed, errors, status = run("redis-benchmark", "-n", EACH, "-q", "nosuch")
same([status, "Error from server: ERR unknown command 'nosuch'" in printed + errors], [1, True])
run("redis-cli", "config", "set", "requirepass", "secret")
printed, errors, status = run("redis-benchmark", "-n", EACH, "-q", "-a", "secret", "-t", "set")
same([status, "SET: " in printed], [0, True])
printed, errors, status = run("redis-benchmark", "-n", EACH, "-q", "-t", "set")
same([status, "NOAUTH" in printed + errors], [1, True])
done()
