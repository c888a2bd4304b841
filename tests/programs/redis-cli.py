# Program: redis-cli
# Needs: apt redis-tools=7.0
# Exercises: one command, scripts of commands and a terminal with hints and completion; raw, CSV, JSON and RESP3; every mode: statistics, latencies, big and hot keys, scans, a million commands, scripts, monitor, subscriptions; what must be refused
#
# Each mode of redis-cli. Those that run until somebody stops them have a
# terminal of their own, as they have with a person in front.
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

from checks import done, same, until
from servers import another

PORT = os.environ["PORT"]
PROMPT = r"[\])\d]> "
RESPD = json.loads(os.environ["SERVER"])[0] == "respd"
os.environ.update(TERM="xterm", HOME=os.getcwd(), REDISCLI_HISTFILE="/dev/null")


def run(*words, stdin="", port=PORT, **environment):
    """What redis-cli prints, without the last newline, and how it ended."""
    command = ["redis-cli", "-p", str(port), *map(str, words)]
    ended = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, env={**os.environ, **environment})
    return (ended.stdout + ended.stderr).rstrip("\n"), ended.returncode


def cli(*words, **options):
    printed, status = run(*words, **options)
    assert status == 0, f"{words} ended with {status}: {printed}"
    return printed


class Terminal:
    """redis-cli in a terminal: what it shows is waited for, once and in order."""

    def __init__(self, *words, port=PORT):
        self.pid, self.file = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))
            os.execvp("redis-cli", ["redis-cli", "-p", str(port), *words])
        self.shown = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.file)

    def read(self, seconds):
        """Whether there was more to see."""
        if not select.select([self.file], [], [], seconds)[0]:
            return False
        try:
            got = os.read(self.file, 65536)
        except OSError:  # It has ended.
            return False
        # Without colours, and with line ends as in a file.
        self.shown = re.sub(r"\x1b\[[\d;]*\w|\r+(?=\n)", "", self.shown + got.decode(errors="replace"))
        return bool(got)

    def sees(self, pattern):
        deadline = time.monotonic() + 20
        while not (found := re.search(pattern, self.shown, re.S)):
            assert self.read(deadline - time.monotonic()), f"waited in vain: {pattern!r} in {self.shown!r}"
        self.shown = self.shown[found.end():]
        return found

    def types(self, keys):
        os.write(self.file, keys.encode())

    def asks(self, line, pattern, prompt=PROMPT):
        """It shows `pattern` below the line, and the prompt. What is typed before
        there is a prompt would be lost."""
        self.types(line)
        self.sees(re.escape(line))
        self.types("\r")
        self.sees(rf"\n{pattern}.*{prompt}$")


def one_command():
    same(cli("set", "greeting", "hello"), "OK")
    same(cli("append", "greeting", ", world"), "12")
    same(cli("--no-raw", "getrange", "greeting", -5, -1), '"world"')
    same(cli("--no-raw", "get", "missing"), "(nil)")
    same(cli("--no-raw", "set", "bytes", "a\x01\"é"), "OK")
    same(cli("--no-raw", "get", "bytes"), r'"a\x01\"\xc3\xa9"')
    same(cli("--quoted-input", "get", '"bytes"'), "a\x01\"é")
    same(cli("incr", "visits"), "1")
    same(cli("incrbyfloat", "visits", 41.5), "42.5")
    same(cli("setex", "session", 100, "data"), "OK")
    same([cli(*words) for words in (("ttl", "session"), ("expire", "session", 200, "gt"), ("persist", "session"), ("ttl", "session"))], ["100", "1", "1", "-1"])
    same(cli("set", "short", "x", "px", 60), "OK")
    until("a key expires", lambda: cli("exists", "short") == "0")
    same([cli("set", "lock", who, "nx", "ex", 30) for who in ("one", "other")], ["OK", ""])
    # Repeated, with a pause, by the line, and in another database.
    same(cli("-r", 3, "incr", "counter"), "1\n2\n3")
    same(cli("-r", 2, "-i", 0.01, "incr", "counter"), "4\n5")
    same(cli(stdin="set a 1\n2 incr a\nselect 5\nget a\n"), "OK\n2\n3\nOK")
    same(cli("-n", 5, "rpush", "tasks", *"abcde"), "5")
    same(cli("-n", 5, "lrange", "tasks", 0, -1), "a\nb\nc\nd\ne")
    same(cli("-n", 5, "lmpop", 2, "none", "tasks", "right", "count", 2), "tasks\ne\nd")
    same(cli("-n", 5, "--no-raw", "lmpop", 1, "tasks", "left", "count", 2), '1) "tasks"\n2) 1) "a"\n   2) "b"')
    same(cli("flushall"), "OK")


def transactions():
    same(cli(stdin="MULTI\nSET a 1\nINCR a\nLPUSH a x\nGET a\nEXEC\n"), "OK\nQUEUED\nQUEUED\nQUEUED\nQUEUED\nOK\n2\nWRONGTYPE Operation against a key holding the wrong kind of value\n\n2")
    same(cli(stdin="WATCH a\nSET a 5\nMULTI\nGET a\nEXEC\n"), "OK\nOK\nOK\nQUEUED")
    aborted = "OK\nERR unknown command 'NOSUCH', with args beginning with: \n\nEXECABORT Transaction discarded because of previous errors."
    same(cli(stdin="MULTI\nNOSUCH\nEXEC\n"), aborted)


def errors():
    cli("set", "text", "x")
    for words, text in (
        (["nosuchcommand", "a", "b"], "ERR unknown command 'nosuchcommand', with args beginning with: 'a' 'b' "),
        (["get"], "ERR wrong number of arguments for 'get' command"),
        (["lpush", "text", "x"], "WRONGTYPE Operation against a key holding the wrong kind of value"),
        (["client", "nosuch"], "ERR unknown subcommand 'nosuch'. Try CLIENT HELP."),
    ):
        same(run(*words), (text, 0))
        # With -e the status tells, and the text goes where errors go.
        same(run("-e", *words), (text, 1))
        same(run("--no-raw", *words), (f"(error) {text}", 0))
    same(run("ping", port=1)[1], 1)


def passwords():
    cli("config", "set", "requirepass", "secret")
    try:
        same(run("ping"), ("NOAUTH Authentication required.", 0))
        same(cli("--no-auth-warning", "-a", "secret", "ping"), "PONG")
        same(cli("ping", REDISCLI_AUTH="secret"), "PONG")
        same(cli("--no-auth-warning", "--user", "default", "--pass", "secret", "ping"), "PONG")
        same(cli("--no-auth-warning", "-u", f"redis://default:secret@127.0.0.1:{PORT}/3", "set", "in", "three"), "OK")
        same(cli("-n", 3, "get", "in", REDISCLI_AUTH="secret"), "three")
        wrong = "AUTH failed: WRONGPASS invalid username-password pair or user is disabled."
        same(run("--no-auth-warning", "-a", "wrong", "ping"), (f"NOAUTH Authentication required.\n\n{wrong}", 0))
        same(cli("-3", "ping", REDISCLI_AUTH="secret"), "PONG")
        with Terminal("--askpass") as terminal:
            terminal.sees("Please input password: ")
            terminal.types("secret\r")
            terminal.sees(PROMPT)
            terminal.asks("ping", "PONG")
    finally:
        cli("config", "set", "requirepass", "", REDISCLI_AUTH="secret")


def formats():
    cli("flushall")
    cli("rpush", "l", "é", 'say "hi"', "a,b")
    cli("hset", "h", "f", "v", "g", "w")
    cli("zadd", "z", 1, "one", 2.5, "two")
    same(cli("-d", "|", "lrange", "l", 0, 1), 'é|say "hi"')
    same(cli("-D", ";", "-r", 2, "llen", "l"), "3;3;")
    same(cli("--csv", "lrange", "l", 0, -1), r'"\xc3\xa9","say \"hi\"","a,b"')
    same(cli("--csv", "mget", "h", "none"), "NULL,NULL")
    same(json.loads(cli("--json", "lrange", "l", 0, -1)), ["é", 'say "hi"', "a,b"])
    same(cli("--quoted-json", "lindex", "l", 0), r'"\\xc3\\xa9"')
    same(json.loads(cli("--json", "hgetall", "h")), {"f": "v", "g": "w"})
    same(cli("--json", "-2", "hgetall", "h"), '["f","v","g","w"]')
    same(cli("--json", "zrange", "z", 0, -1, "withscores"), '[["one",1],["two",2.5]]')
    same(json.loads(cli("--json", "mget", "none"))[0], None)
    same(json.loads(cli("--json", "command", "docs", "get"))["get"]["group"], "string")
    same(cli("-3", "--no-raw", "hget", "h", "none"), "(nil)")
    same(cli("-3", "--no-raw", "hgetall", "h"), '1# "f" => "v"\n2# "g" => "w"')
    same(cli("-3", "--no-raw", "zscore", "z", "two"), "(double) 2.5")
    same(cli("-3", "--no-raw", "debug", "protocol", "set"), "1~ (integer) 0\n2~ (integer) 1\n3~ (integer) 2")
    same(cli("-3", "--no-raw", "debug", "protocol", "true"), "(true)")
    same(cli("-3", "--no-raw", "debug", "protocol", "verbatim"), "This is a verbatim\nstring")


def arguments_from_input():
    same(cli("-x", "set", "text", stdin="line\n"), "OK")
    same(cli("--no-raw", "get", "text"), '"line\\n"')
    same(cli("-X", "tag", "rpush", "fromX", "a", "tag", "b", stdin="in"), "3")
    same(cli("lrange", "fromX", 0, -1), "a\nin\nb")
    # A key moves as the help of redis-cli says.
    dump = subprocess.run(["redis-cli", "-p", PORT, "-D", "", "--raw", "dump", "fromX"], capture_output=True).stdout
    moved = subprocess.run(["redis-cli", "-p", PORT, "-X", "dump", "restore", "moved", "0", "dump", "replace"], input=dump, capture_output=True).stdout
    same([moved, cli("lrange", "moved", 0, -1)], [b"OK\n", "a\nin\nb"])


def scripts():
    for name, text in (
        ("sum.lua", "return tonumber(redis.call('incrby', KEYS[1], ARGV[1])) + ARGV[2]"),
        ("wrong.lua", "return redis.call('nosuch')"),
        ("broken.lua", "return ("),
    ):
        with open(name, "w") as file:
            file.write(text)
    same(cli("--eval", "sum.lua", "total", ",", 4, 10), "14")
    same(cli("--no-raw", "--eval", "sum.lua", "total", ",", 4, 10), "(integer) 18")
    same(run("--eval", "wrong.lua")[0].startswith("ERR Unknown Redis command called from script script: "), True)
    same(run("-e", "--eval", "broken.lua")[1], 1)
    sha = cli("-x", "script", "load", stdin="return {KEYS[1], ARGV[1]}")
    same(cli("--json", "evalsha", sha, 1, "key", "argument"), '["key","argument"]')
    same(cli("function", "load", "#!lua name=one\nredis.register_function('twice', function(keys, args) return args[1] * 2 end)"), "one")
    same(cli("fcall", "twice", 0, 21), "42")


def subscriptions():
    with open("news", "w+") as out, subprocess.Popen(["redis-cli", "-p", PORT, "--csv", "subscribe", "news", "weather"], stdout=out) as subscriber:
        until("the subscriptions", lambda: cli("pubsub", "numsub", "news", "weather").split() == ["news", "1", "weather", "1"])
        same([cli("publish", "news", "first"), cli("publish", "weather", 'rain, "cold"')], ["1", "1"])
        until("the messages", lambda: open("news").read().endswith('\\""\n'))
        subscriber.kill()
        lines = open("news").read().splitlines()
    same(lines[1:], ['"subscribe","news",1', '"subscribe","weather",2', '"message","news","first"', r'"message","weather","rain, \"cold\""'])
    for protocol in ("-2", "-3"):
        with Terminal(protocol) as terminal:
            terminal.sees(PROMPT)
            terminal.types("psubscribe n*\r")
            terminal.sees(r'\n1\) "psubscribe"\n2\) "n\*"\n3\) \(integer\) 1')
            same(cli("publish", "nothing", "second"), "1")
            terminal.sees(r'1\) "pmessage"\n2\) "n\*"\n3\) "nothing"\n4\) "second"')
    until("the subscribers have gone", lambda: cli("pubsub", "numpat") == "0")


def monitor():
    with Terminal("monitor") as terminal:
        terminal.sees("OK")
        cli("-n", 2, "set", "seen", 'by "monitor"')
        terminal.sees(r'\d+\.\d{6} \[2 127\.0\.0\.1:\d+\] "set" "seen" "by \\"monitor\\""\n')
        cli("eval", "return redis.call('get', 'seen')", 0)
        terminal.sees(r'\[0 lua\] "get" "seen"')


def queues():
    with subprocess.Popen(["redis-cli", "-p", PORT, "-n", "5", "blpop", "queue", "20"], stdout=subprocess.PIPE, text=True) as worker:
        until("the worker waits", lambda: "blocked_clients:1" in cli("info", "clients"))
        same(cli("-n", 5, "lpush", "queue", "job"), "1")
        same(worker.communicate()[0], "queue\njob\n")


def terminal():
    cli("flushall")
    with Terminal() as terminal:
        terminal.sees(PROMPT)
        # A hint beside what is typed, from the command table.
        terminal.types("getrange ")
        terminal.sees("key start end")
        terminal.types("k ")
        terminal.sees(r" start end")
        terminal.types("\x15")
        # Completion.
        terminal.types("getr\t")
        terminal.sees("GETRANGE")
        terminal.types("\x15client unp\t")
        terminal.sees("CLIENT UNPAUSE")
        terminal.types("\x15")
        terminal.asks("help getrange", r"\n  GETRANGE key start end\n.*group: string\n")
        terminal.asks("help @pubsub", r".*PSUBSCRIBE.*SUBSCRIBE")
        # The prompt tells the database and the transaction.
        terminal.asks("select 3", r"OK\n", r"\[3\]> ")
        terminal.asks("multi", r"OK\n", r"\[3\]\(TX\)> ")
        terminal.asks("set in three", r"QUEUED\n")
        terminal.asks("get in", r"QUEUED\n")
        terminal.asks("exec", r'1\) OK\n2\) "three"\n', r"\[3\]> ")
        terminal.asks("zadd z 1.5 a", r"\(integer\) 1\n")
        terminal.asks("get z", r"\(error\) WRONGTYPE Operation")
        terminal.asks("mget in none", r'1\) "three"\n2\) \(nil\)\n')
        terminal.asks("2 incr n", r"\(integer\) 1\n\(integer\) 2\n")
        terminal.asks("hello 3", r'.*3# "proto" => \(integer\) 3\n')
        terminal.asks("hgetall none", r"\(empty hash\)\n")
        terminal.asks("blpop none 0.5", r"\(nil\)\n\(\d\.\d+s\)\n")
    same(cli("-n", 3, "get", "in"), "three")
    with Terminal("-3") as terminal:
        terminal.sees(PROMPT)
        terminal.asks("client tracking on", r"OK\n")
        terminal.asks("get watched", r"\(nil\)\n")
        cli("set", "watched", "changed")
        terminal.asks("ping", r".*-> invalidate: 'watched'\n")
    # It connects again when the server was away.
    with another() as server, Terminal(port=server.port) as terminal:
        terminal.sees(PROMPT)
        terminal.asks("set a 1", r"OK\n")
        server.stop()
        terminal.asks("get a", "", "not connected> ")
        server.start()
        terminal.asks("get a", r".*\(nil\)\n")
    socket = os.path.abspath("socket")
    with another("--unixsocket", socket):
        same(cli("-s", socket, "echo", "by a path"), "by a path")


def latencies():
    with Terminal("--stat", "-i", "0.05") as terminal:
        terminal.sees(r"------- data ------ -+ load -+ - child -\nkeys +mem +clients +blocked +requests +connections")
        terminal.sees(r"\n\d+ +[\d.]+[KMG] +\d+ +0 +\d+ \(\+0\) +\d+")
        terminal.sees(r"\n\d+ +[\d.]+[KMG] +\d+ +0 +\d+ \(\+1\) +\d+")
    least, most, mean, samples = map(float, cli("--latency", "-i", 0.2).split())
    same(least <= mean <= most and samples > 5, True)
    same(len(cli("--csv", "--latency", "-i", 0.1).split(",")), 4)
    with Terminal("--latency") as terminal:
        terminal.sees(r"min: \d+, max: \d+, avg: [\d.]+ \(\d+ samples\)")
    with Terminal("--latency-history", "-i", "0.1") as terminal:
        for _ in range(2):
            terminal.sees(r"avg: [\d.]+ \(\d+ samples\) -- 0\.\d+ seconds range\n")
    with Terminal("--latency-dist", "-i", "0.1") as terminal:
        terminal.sees(r"\.-\*#12345")
    same("total runs (avg latency: " in cli("--intrinsic-latency", 1), True)
    with Terminal("--lru-test", "1000") as terminal:
        terminal.sees(r"\d+ Gets/sec \| Hits: [1-9]\d* \([\d.]+%\) \| Misses: \d+")


def samples():
    """What the modes say that look at every key, and at a limit how often."""
    cli("flushall")
    kinds = {"string": "strlen", "list": "llen", "set": "scard", "zset": "zcard", "hash": "hlen", "stream": "xlen"}
    lines = []
    for size in (1, 20, 300):
        numbers = range(size)
        lines += [f"set string:{size} {'x' * size}", f"rpush list:{size} {' '.join(map(str, numbers))}"]
        lines += [f"sadd set:{size} {' '.join(map(str, numbers))}", f"zadd zset:{size} {' '.join(f'{n} {n}' for n in numbers)}"]
        lines += [f"hset hash:{size} {' '.join(f'{n} {n}' for n in numbers)}", *(f"xadd stream:{size} * n {n}" for n in numbers)]
    cli(stdin="\n".join(lines))
    big = cli("--bigkeys")
    units = {"string": "bytes", "list": "items", "set": "members", "zset": "members", "hash": "fields", "stream": "entries"}
    for kind in kinds:
        same(re.search(rf"Biggest +{kind} found '\"{kind}:300\"' has 300 {units[kind]}", big) is not None, True)
        same(f"3 {kind}s with 321 {units[kind]} (16.67% of keys, avg size 107.00)" in big, True)
    same("Sampled 18 keys in the keyspace!\nTotal key length in bytes is 135 (avg len" in big, True)
    for words in (["--memkeys"], ["--memkeys-samples", "0"], ["--memkeys", "-i", "0.01"]):
        memory = cli(*words)
        for kind in kinds:
            same(re.search(rf"Biggest +{kind} found '\"{kind}:300\"' has \d+ bytes", memory) is not None, True)
    same(run("--hotkeys")[1], 1)
    same("An LFU maxmemory policy is not selected" in run("--hotkeys")[0], True)
    cli("config", "set", "maxmemory-policy", "allkeys-lfu")
    cli(stdin="set hot x\nset cold x\n" + "get hot\n" * 2000)
    hot = re.findall(r'hot key found with counter: (\d+)\tkeyname: "(\S+)"', cli("--hotkeys"))
    same([hot[0][1], int(hot[0][0]) > 20], ["hot", True])
    cli("config", "set", "maxmemory-policy", "noeviction")
    same(sorted(cli("--scan", "--pattern", "*:300").split()), sorted(f"{kind}:300" for kind in kinds))
    same(sorted(cli("--scan", "--pattern", "[lz]?*t:2[0-9]", "-i", 0.01).split()), ["list:20", "zset:20"])
    same(cli("--scan", "--pattern", "none*"), "")
    same(cli("--scan", "--quoted-pattern", r'"h\x6ft"'), "hot")
    same(sorted(cli("scan", 0, "count", 1000, "type", "zset").split()), ["0", "zset:1", "zset:20", "zset:300"])


def a_million_commands():
    cli("flushall")
    request = "".join(f"*3\r\n$3\r\nSET\r\n$8\r\nk{n:07}\r\n$1\r\n{n % 10}\r\n" for n in range(1_000_000))
    same(cli("--pipe", stdin=request).splitlines()[-1], "errors: 0, replies: 1000000")
    same([cli("dbsize"), cli("get", "k0999999")], ["1000000", "9"])
    # An error is shown and counted; plain lines do as well.
    shown, status = run("--pipe", stdin="SET a 1\r\nLPUSH a x\r\nPING\r\n")
    same(["errors: 1, replies: 3" in shown, "WRONGTYPE Operation" in shown, status], [True, True, 1])
    cli("flushall")


def refusals():
    """There is no cluster in either. What respd does not do it refuses at once,
    and says why."""
    for words in (["info", f"127.0.0.1:{PORT}"], ["check", f"127.0.0.1:{PORT}"], ["call", f"127.0.0.1:{PORT}", "ping"]):
        shown, status = run("--cluster", *words)
        same([f"[ERR] Node 127.0.0.1:{PORT} is not configured as a cluster node." in shown, status], [True, 1])
    same(cli("-c", "set", "plain", "x"), "OK")
    same(run("cluster", "info")[0], "ERR This instance has cluster support disabled")
    if not RESPD:  # It would wait for five seconds for more replicas.
        cli("config", "set", "repl-diskless-sync-delay", 0)
    why = "This server follows no master and has no replicas."
    for flag in ("--rdb", "--functions-rdb"):
        shown, status = run(flag, "copy.rdb")
        same([why in shown, status], [RESPD, int(RESPD)])
    with Terminal("--replica") as terminal:
        terminal.sees(f"SYNC with master failed: -ERR {why}" if RESPD else "SYNC with master, discarding")
    # redis-cli does not show that there is no debugger, and shows the result.
    with Terminal("--ldb", "--eval", "sum.lua", "total", ",", "1", "2") as terminal:
        terminal.sees("Lua debugging session started" + (r".*\n\d+\n" if RESPD else ".*stop reason = step over"))


for part in (
    one_command, transactions, errors, passwords, formats, arguments_from_input, scripts, subscriptions, monitor, queues,
    terminal, latencies, samples, a_million_commands, refusals,
):
    part()
done()
