# Program: redis_exporter of Prometheus
# Needs: apt prometheus-redis-exporter=1.45
# Exercises: metrics of INFO, settings, clients, commands, latencies, the slow log, keys, streams and a script; several targets; passwords; a server that is away
#
# Both servers must fill the same families of metrics, as dashboards and alarms
# go by their names.
import json
import os
import re
import socket
import subprocess
import time
import urllib.parse
import urllib.request

from checks import done, same, until
from servers import another

URL = os.environ["REDIS_URL"]


def redis(*words, port=os.environ["PORT"], **options):
    subprocess.run(["redis-cli", "-p", str(port), *words], capture_output=True, text=True, check=True, **options)


def get(path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
        return answer.read().decode()


def metrics(target=None, **check):
    """Every metric that is told of, with its labels as they stand, and its value."""
    path = "/metrics" if target is None else "/scrape?" + urllib.parse.urlencode({"target": target, **{name.replace("_", "-"): value for name, value in check.items()}})
    return {name: float(value) for name, value in re.findall(r"^([^#\s].*) (\S+)$", get(path), re.M)}


def families(told):
    return {name.split("{")[0] for name in told if name.startswith("redis_")}


redis("flushall")
redis("config", "set", "slowlog-log-slower-than", "100000")
redis("config", "set", "latency-monitor-threshold", "100")
redis(input="set text hello\nincr number\nlpush list a b c\nhset hash f v\nsadd set a b\nzadd zset 1 a\nxadd stream 1-1 f v\nxadd stream 2-1 f v\nxgroup create stream workers 0\nxreadgroup group workers one count 1 streams stream >\nset due x ex 1000\nselect 3\nset other x\nlpush text2 x\nlpush number:1 1\nget nosuch\nget nosuch\n")
redis("lpush", "text", "x")
redis("debug", "sleep", "0.15")
with open("script.lua", "w") as file:
    file.write("redis.call('select', 0) return {'answer', '42', 'keys', tostring(redis.call('dbsize'))}")
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]

flags = [
    "-redis.addr", URL, "-web.listen-address", f"127.0.0.1:{port}", "-export-client-list", "-include-system-metrics", "-include-config-metrics",
    "-check-keys", "db0=l*,db3=number*", "-check-single-keys", "db0=text,db0=number,db0=hash,db0=set,db0=zset,db0=stream,db0=none", "-count-keys", "db0=*t*,db3=*",
    "-redis.password-file", "passwords.json", "-check-single-streams", "db0=stream", "-check-key-groups", "^(.).*", "-script", "script.lua", "-ping-on-connect",
]
with another("--requirepass", "secret") as second, open("passwords.json", "w") as passwords:
    target = f"redis://127.0.0.1:{second.port}"
    json.dump({target: "secret"}, passwords)
    passwords.flush()
    exporter = subprocess.Popen(["prometheus-redis-exporter", *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    def answers():
        try:
            return "ok" in get("/health")
        except OSError:
            return False

    try:
        until("the exporter answers", answers)
        told = metrics()
        # The second time it has read what its own first visit has done.
        told = metrics()
        same([told["redis_up"], told['redis_exporter_last_scrape_error{err=""}']], [1, 0])
        for name, value in {
            'redis_db_keys{db="db0"}': 8, 'redis_db_keys{db="db3"}': 3, 'redis_db_keys{db="db15"}': 0, 'redis_db_keys_expiring{db="db0"}': 1,
            'redis_key_size{db="db0",key="list"}': 3, 'redis_key_size{db="db0",key="text"}': 5, 'redis_key_value{db="db0",key="number"}': 1,
            'redis_key_size{db="db0",key="hash"}': 1, 'redis_key_size{db="db0",key="set"}': 2, 'redis_key_size{db="db0",key="zset"}': 1,
            'redis_key_size{db="db0",key="stream"}': 2, 'redis_key_size{db="db0",key="none"}': 0, 'redis_key_size{db="db3",key="number:1"}': 1,
            'redis_keys_count{db="db0",key="*t*"}': 5, 'redis_keys_count{db="db3",key="*"}': 3,
            'redis_stream_length{db="db0",stream="stream"}': 2, 'redis_stream_groups{db="db0",stream="stream"}': 1,
            'redis_stream_group_consumers{db="db0",group="workers",stream="stream"}': 1,
            'redis_stream_group_messages_pending{db="db0",group="workers",stream="stream"}': 1,
            'redis_stream_group_consumer_messages_pending{consumer="one",db="db0",group="workers",stream="stream"}': 1,
            'redis_script_values{key="answer"}': 42, 'redis_script_values{key="keys"}': 8,
            # One is ours, and two its own: it asks whether a string is a HyperLogLog.
            'redis_errors_total{err="WRONGTYPE"}': 3, 'redis_commands_failed_calls_total{cmd="lpush"}': 1, 'redis_commands_total{cmd="lpush"}': 4,
            "redis_config_maxclients": 10000, "redis_memory_max_bytes": 0, 'redis_config_value{key="hz"}': 10, "redis_blocked_clients": 0,
            'redis_config_key_value{key="maxmemory-policy",value="noeviction"}': 1, "redis_connected_slaves": 0,
        }.items():
            same((name, told.get(name)), (name, value))
        same(told["redis_keyspace_misses_total"] >= 2 and told["redis_last_slow_execution_duration_seconds"] >= 0.15, True)
        same(told['redis_latency_spike_last{event_name="command"}'] >= 0.15, True)
        same(told["redis_uptime_in_seconds"] >= 0 and abs(told["redis_start_time_seconds"] - time.time()) < 100, True)
        same(told["redis_memory_used_bytes"] > 0 and told["redis_total_system_memory_bytes"] > 1e9 and told["redis_connected_clients"] >= 1, True)
        # Clients are told of by name.
        same([re.search(r'name="redis_exporter"', name) is not None for name in told if name.startswith("redis_connected_clients_details")], [True])
        same([name for name in told if name.startswith("redis_instance_info") and 'redis_mode="standalone"' in name and 'role="master"' in name] != [], True)
        same([f'redis_latency_percentiles_usec{{cmd="lpush",quantile="{quantile}"}}' in told for quantile in ("50", "99", "99.9")], [True] * 3)
        same(told['redis_latency_percentiles_usec_count{cmd="lpush"}'], 4)
        print("\n".join(sorted(families(told))))

        # It is asked for other servers, too, and tells of those that are away.
        redis("-a", "secret", "--no-auth-warning", "set", "key", "value", port=second.port)
        told = metrics(target, check_single_keys="key")
        same([told["redis_up"], told['redis_key_size{db="db0",key="key"}'], told['redis_db_keys{db="db0"}']], [1, 5, 1])
        second.stop()
        same(metrics(target)["redis_up"], 0)
        second.start()
        same(metrics(target)["redis_up"], 1)
        redis("-a", "secret", "--no-auth-warning", "config", "set", "requirepass", "other", port=second.port)
        same(metrics(target)["redis_up"], 0)
    finally:
        exporter.terminate()
        exporter.wait()
done()
