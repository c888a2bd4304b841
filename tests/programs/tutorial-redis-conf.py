# Program: Tutorial: redis.conf
# Needs: pip redis==8.1.0
# Needs: apt redis-tools=7.0
# Exercises: a server started from a file, requirepass, maxmemory with allkeys-lru and the other policies, CONFIG SET and REWRITE, redis-cli with a password
#
"""A cache of a hundred megabytes with a password, set up as the tutorials do
it: a file redis.conf, a server that is started from it, and a look at it with
redis-cli."""
import os
import subprocess

import redis
import servers
from checks import done, raises, same, until

SETTINGS = """
# Network
bind 127.0.0.1
port {port}
protected-mode yes
tcp-backlog 128
timeout 0
tcp-keepalive 300

# General
daemonize no
supervised no
pidfile ./redis.pid
loglevel notice
logfile ""
databases 16

# Security
requirepass "a long password"

# Memory
maxmemory 100mb
maxmemory-policy allkeys-lru
maxmemory-samples 10

# No files
save ""
appendonly no

# Limits
maxclients 1000
slowlog-log-slower-than 10000
slowlog-max-len 128
notify-keyspace-events ""
client-output-buffer-limit normal 0 0 0
client-output-buffer-limit pubsub 32mb 8mb 60
hz 10
"""
PASSWORD = "a long password"


def cli(server, *words, password=None, lines=None):
    """What redis-cli prints, and what it warns of."""
    environment = dict(os.environ, **({"REDISCLI_AUTH": password} if password else {}))
    command = ["redis-cli", "-p", str(server.port), "--no-raw", *words]
    ended = subprocess.run(command, input=lines, stdin=None if lines else subprocess.DEVNULL, capture_output=True, text=True, env=environment)
    return ended.stdout, ended.stderr


def looked_at(server):
    same(cli(server, "ping")[0], "(error) NOAUTH Authentication required.\n")
    out, warning = cli(server, "-a", PASSWORD, "ping")
    same((out, "may not be safe" in warning), ("PONG\n", True))
    same(cli(server, "-a", PASSWORD, "--no-auth-warning", "ping"), ("PONG\n", ""))
    same(cli(server, "ping", password=PASSWORD), ("PONG\n", ""))
    same(cli(server, "--user", "default", "--pass", PASSWORD, "--no-auth-warning", "ping")[0], "PONG\n")
    same(cli(server, "-u", f"redis://default:a%20long%20password@127.0.0.1:{server.port}/2", "--no-auth-warning", "ping")[0], "PONG\n")
    session = 'get x\nauth wrong\nauth "a long password"\nget x\nauth default "a long password"\n'
    same(cli(server, lines=session)[0].splitlines(), [
        "(error) NOAUTH Authentication required.",
        "(error) WRONGPASS invalid username-password pair or user is disabled.",
        "OK", "(nil)", "OK",
    ])
    same("WRONGPASS" in "".join(cli(server, "-a", "wrong", "ping")), True)
    same(cli(server, "config", "get", "maxmemory", password=PASSWORD)[0], '1) "maxmemory"\n2) "104857600"\n')


def settings(server, r):
    expected = {
        "bind": "127.0.0.1", "port": str(server.port), "requirepass": PASSWORD, "maxmemory": "104857600",
        "maxmemory-policy": "allkeys-lru", "maxmemory-samples": "10", "save": "", "appendonly": "no", "databases": "16",
        "maxclients": "1000", "timeout": "0", "tcp-keepalive": "300", "loglevel": "notice", "daemonize": "no", "hz": "10",
        "slowlog-log-slower-than": "10000", "protected-mode": "yes", "pidfile": "./redis.pid",
        "client-output-buffer-limit": "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
    }
    same(r.config_get(*expected), expected)
    memory, about = r.info("memory"), r.info("server")
    same((memory["maxmemory"], memory["maxmemory_human"], memory["maxmemory_policy"]), (104857600, "100.00M", "allkeys-lru"))
    same((os.path.samefile(about["config_file"], server.file), about["tcp_port"], about["redis_mode"]), (True, server.port, "standalone"))
    same((r.info("persistence")["aof_enabled"], r.info("replication")["role"]), (0, "master"))
    raises(redis.ResponseError, lambda: r.select(16))


def least_recently_used(r):
    megabyte = os.urandom(1_000_000)
    for n in range(85):
        r.set(f"page:{n}", megabyte)
    same(r.info("stats")["evicted_keys"], 0)
    # The server's clock of what is used goes by seconds.
    until("the pages have not been used for a while", lambda: r.object("idletime", "page:84") >= 2)
    hot = [f"page:{n}" for n in range(0, 85, 10)]
    for page in hot:
        r.get(page)
    for n in range(40):
        r.set(f"new:{n}", megabyte, ex=600)
    evicted = r.info("stats")["evicted_keys"]
    same((15 < evicted < 50, r.dbsize() + evicted), (True, 125))
    same(r.info("memory")["used_memory"] < 105_000_000, True)
    # What was used is there, and what is new, and the rest is not.
    same((r.exists(*hot), r.exists(*[f"new:{n}" for n in range(40)])), (9, 40))
    r.config_resetstat()
    same(r.info("stats")["evicted_keys"], 0)
    # A smaller limit is made true when it is set.
    r.config_set("maxmemory", "20mb")
    until("there is less", lambda: r.info("memory")["used_memory"] <= 20 << 20)
    same(r.dbsize() < 20, True)
    r.flushall()


def policies(r):
    big = "x" * 100_000
    r.config_set("maxmemory", "4mb")
    for policy in ("allkeys-lfu", "allkeys-random"):
        r.config_set("maxmemory-policy", policy)
        for n in range(100):
            r.set(f"{policy}:{n}", big)
        same(5 < r.dbsize() < 100, True)
        r.flushall()
    # Only what would expire anyhow.
    for policy in ("volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"):
        r.config_set("maxmemory-policy", policy)
        r.set("kept", big)
        for n in range(100):
            r.set(f"{policy}:{n}", big, ex=1000 + n)
        same((r.exists("kept"), 5 < r.dbsize() < 100), (1, True))
        r.flushall()
    r.config_set("maxmemory-policy", "noeviction")
    stored = 0
    with_room = True
    while with_room:
        try:
            stored += r.set(f"full:{stored}", big)
        except redis.OutOfMemoryError as error:
            same(str(error), "command not allowed when used memory > 'maxmemory'.")
            with_room = False
    same((r.dbsize(), r.get("full:0") == big), (stored, True))
    # By far too much, so that the smallest value has no room.
    r.config_set("maxmemory", "3mb")
    raises(redis.OutOfMemoryError, lambda: r.lpush("list", 1))
    raises(redis.OutOfMemoryError, lambda: r.eval("return redis.call('set', KEYS[1], '1')", 1, "k"))
    same((r.delete(*[f"full:{n}" for n in range(stored - 5)]), r.set("fits", 1)), (stored - 5, True))
    r.flushall()
    raises(redis.ResponseError, lambda: r.config_set("maxmemory-policy", "newest-first"))
    raises(redis.ResponseError, lambda: r.config_set("maxmemory", "much"))


def rewritten(server, r):
    r.config_set("maxmemory", "64mb")
    r.config_set("maxmemory-policy", "allkeys-lru")
    r.config_set("requirepass", "changed")
    same(r.config_rewrite(), "OK")
    r.close()
    server.stop()
    server.start()
    changed = redis.Redis(port=server.port, password="changed", decode_responses=True)
    same(changed.config_get("maxmemory", "maxmemory-policy", "maxclients"), {"maxmemory": "67108864", "maxmemory-policy": "allkeys-lru", "maxclients": "1000"})
    same("# Memory" in open(server.file).read(), True)
    # As a person stops it.
    same(cli(server, "shutdown", "nosave", password="changed"), ("", ""))
    same(server.process.wait(10), 0)
    same("Connection refused" in "".join(cli(server, "ping")), True)


with servers.configured(SETTINGS) as server:
    r = redis.Redis(port=server.port, password=PASSWORD, decode_responses=True)
    looked_at(server)
    settings(server, r)
    least_recently_used(redis.Redis(port=server.port, password=PASSWORD))
    policies(r)
    rewritten(server, r)
done()
