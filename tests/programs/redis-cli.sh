# Program: redis-cli
# Needs: apt redis-tools=7.0
# Exercises: strings, publish/subscribe, queues, expiry, transactions, errors
#
# Publish/subscribe, a queue, expiry and a transaction with redis-cli.
set -euo pipefail
r() { redis-cli -p "$PORT" "$@"; }
# until CONDITION: asks again until it holds.
until_true() { for _ in $(seq 500); do "$@" && return; sleep 0.01; done; echo "waited in vain: $*"; exit 1; }
subscribed() { [ "$(r pubsub numsub "$1" | tail -n 1)" = 1 ]; }
blocked() { r info clients | grep -q "^blocked_clients:$1"; }

echo "== strings"
r set greeting hello
r get greeting
r append greeting ", world"
r strlen greeting
r --no-raw getrange greeting -5 -1
r incr visits; r incrby visits 41; r incrbyfloat visits 0.5
r --no-raw get missing
r --json mget greeting visits missing
r lcs ohmytext mynewtext 2>&1 || true

echo "== publish/subscribe"
out=$(mktemp)
timeout 20 redis-cli -p "$PORT" --csv subscribe news >"$out" &
until_true subscribed news
r publish news "first"
r publish news "second"
until_true grep -q second "$out"
cat "$out"
kill %1; wait %1 2>/dev/null || true

echo "== queue"
out2=$(mktemp)
timeout 20 redis-cli -p "$PORT" -n 5 blpop tasks 15 >"$out2" &
until_true blocked 1
r -n 5 lpush tasks job-1
wait %1
cat "$out2"
r -n 5 rpush tasks a b c d e
r -n 5 --json lrange tasks 0 -1
r -n 5 lpos tasks c; r -n 5 lmove tasks done left right; r -n 5 linsert tasks before c x
r -n 5 lmpop 2 none tasks right count 2
r -n 5 llen tasks

echo "== expiry"
r setex session 100 data
r ttl session
r expire session 200 gt
r persist session; r ttl session
r set short x px 60
until_true test "$(r exists short)" = 1 || true
until_true bash -c '[ "$(redis-cli -p '"$PORT"' exists short)" = 0 ]'
r get short
r set lock token nx ex 30; r set lock other nx ex 30

echo "== transaction"
printf 'MULTI\nSET a 1\nINCR a\nLPUSH a x\nGET a\nEXEC\n' | r
printf 'WATCH a\nSET a 5\nMULTI\nGET a\nEXEC\n' | r
printf 'MULTI\nNOSUCH\nEXEC\n' | r 2>&1 || true

echo "== errors"
r nosuchcommand a b 2>&1 || true
r get 2>&1 || true
r lpush greeting x 2>&1 || true
r config get maxmemory-policy nosuch
r object encoding visits
r --scan --pattern 'greet*'
r type tasks; r -n 5 type tasks
r dbsize
r -3 hello 3 2>&1 | grep -v -e id -e version -e '^[0-9]' || true
r flushall
rm -f "$out" "$out2"
