# Program: Tutorial: transactions, scripts, notifications
# Needs: apt redis-tools=7.0
# Exercises: redis-cli sessions on transactions, pipelining, EVAL, functions, publish/subscribe, client-side caching, keyspace notifications, MONITOR, SLOWLOG
#
# What pages on the features of the server let a person type in two terminals.
set -euo pipefail
. "$(dirname "$FILE")/lib/terminal.sh"

echo "== transactions"
cli <<'LINES'
mset account:ada 500 account:ben 100
multi
decrby account:ada 200
incrby account:ben 200
exec
mget account:ada account:ben
multi
decrby account:ada 100
discard
get account:ada
exec
discard
multi
set word text
incr word
lpush word x
exec
get word
multi
incr
set word changed
exec
get word
multi
multi
watch word
get word
exec
watch account:ada
unwatch
multi
exec
LINES
open_terminal one
enter one "watch account:ada"
enter one "get account:ada"
until_shows one '"300"'
cli set account:ada 1
enter one "multi"
enter one "set account:ada 900"
enter one "exec"
until_shows one "(nil)"
cli get account:ada
enter one "watch account:ada"
enter one "multi"
enter one "incrby account:ada 41"
enter one "exec"
until_shows one "(integer) 42"
close_terminal one
cat one

echo "== pipelining"
printf 'PING\r\nPING\r\nPING\r\n' | timeout 10 bash -c 'exec 3<>/dev/tcp/127.0.0.1/$PORT; cat >&3; head -n 3 <&3'
printf '*3\r\n$3\r\nSET\r\n$4\r\nwire\r\n$5\r\nvalue\r\n*2\r\n$3\r\nGET\r\n$4\r\nwire\r\n' | timeout 10 bash -c 'exec 3<>/dev/tcp/127.0.0.1/$PORT; cat >&3; head -n 3 <&3'
for i in $(seq 5000); do echo "SET bulk:$i $i"; done | redis-cli -p "$PORT" --pipe | tail -n 1
cli get bulk:4711

echo "== scripts"
cli eval "return 'Hello from a script'" 0
cli eval "return ARGV[1] .. ' and ' .. KEYS[1]" 1 key argument
cli eval "return { KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3] }" 2 a b c d e
cli eval "return redis.call('set', KEYS[1], ARGV[1])" 1 made:by:script yes
cli get made:by:script
cli eval "return { 1, 2.9, 'three', nil, 'lost' }" 0
cli eval "return { ok = 'fine' }" 0
cli eval "return redis.error_reply('ERR of our own')" 0
cli eval "return redis.status_reply('DONE')" 0
cli eval "return redis.call('lpush', KEYS[1], 'x')" 1 made:by:script
cli eval "local reply = redis.pcall('lpush', KEYS[1], 'x'); return type(reply.err)" 1 made:by:script
cli eval "return redis.call('nosuch')" 0
cli eval "return undefined_name" 0
cli eval "this is no program" 0
cli eval "return cjson.encode({ name = 'Ada' })" 0
cli eval "return cjson.decode(ARGV[1]).books[2]" 0 '{"books": ["Reed", "Salt"]}'
cli eval "return cmsgpack.unpack(cmsgpack.pack({ 1, 2, 3 }))" 0
cli eval "return redis.sha1hex('')" 0
cli eval "return struct.unpack('>I2', ARGV[1])" 0 "ab"
cli eval "return tostring(bit.band(12, 10))" 0
cli eval "local total = 0; for i = 1, tonumber(ARGV[1]) do total = total + i end; return total" 0 100
cli eval "if redis.call('incr', KEYS[1]) > tonumber(ARGV[1]) then return 'too many' end; return 'welcome'" 1 visits 2
cli eval_ro "return redis.call('get', KEYS[1])" 1 made:by:script
cli eval_ro "return redis.call('del', KEYS[1])" 1 made:by:script
sha=$(redis-cli -p "$PORT" script load "return redis.call('incrby', KEYS[1], ARGV[1])")
echo "$sha"
cli evalsha "$sha" 1 steps 10
cli evalsha "$sha" 1 steps 5
cli evalsha_ro "$sha" 1 steps 5
cli script exists "$sha" 0000000000000000000000000000000000000000
cli script flush
cli evalsha "$sha" 1 steps 5
cli script kill
cat >transfer.lua <<'LUA'
local from, to, amount = KEYS[1], KEYS[2], tonumber(ARGV[1])
if tonumber(redis.call('GET', from) or 0) < amount then
  return redis.error_reply('not enough')
end
redis.call('DECRBY', from, amount)
return redis.call('INCRBY', to, amount)
LUA
cli mset account:ada 50 account:ben 0
cli --eval transfer.lua account:ada account:ben , 30
cli --eval transfer.lua account:ada account:ben , 30
cli mget account:ada account:ben

echo "== functions"
cat >library.lua <<'LUA'
#!lua name=library
local function lend(keys, args)
  if redis.call('SADD', keys[1], args[1]) == 0 then return redis.error_reply('lent already') end
  return redis.call('HINCRBY', keys[2], args[2], 1)
end
local function count(keys) return redis.call('SCARD', keys[1]) end
redis.register_function('lend', lend)
redis.register_function{ function_name = 'lent', callback = count, flags = { 'no-writes' } }
LUA
redis-cli -p "$PORT" -x function load <library.lua
redis-cli -p "$PORT" -x function load <library.lua || true
redis-cli -p "$PORT" -x function load replace <library.lua
cli fcall lend 2 lent:books readers:loans "Salt" "ada"
cli fcall lend 2 lent:books readers:loans "Salt" "ben"
cli fcall_ro lent 1 lent:books
cli fcall_ro lend 2 lent:books readers:loans "Reed" "ada"
cli fcall nosuch 0
cli function list libraryname other
redis-cli -p "$PORT" -3 --json function stats
redis-cli -p "$PORT" --json function list withcode | grep -o '"library_name":"[a-z]*"'
cli function delete library
cli fcall lent 1 lent:books
cli function flush

echo "== publish/subscribe"
open_terminal news
enter news "subscribe first second"
until_shows news "(integer) 2"
open_terminal all
enter all "psubscribe news.* f?rst"
until_shows all "(integer) 2"
cli publish second "Hello there"
cli publish first "for both"
cli publish news.weather "rain"
cli publish nowhere "nobody"
sorted pubsub channels
cli pubsub channels 'f*'
cli pubsub numsub first second third
cli pubsub numpat
until_shows news "for both"
until_shows all "rain"
cat news all
close_terminal news
close_terminal all
open_terminal sharded
enter sharded "ssubscribe orders"
until_shows sharded "(integer) 1"
cli spublish orders "one"
until_shows sharded '"one"'
cli pubsub shardchannels
cat sharded
close_terminal sharded

echo "== client-side caching"
cli set user:1 "Ada"
open_terminal cache -3 --show-pushes yes
enter cache "client tracking on"
enter cache "get user:1"
until_shows cache '"Ada"'
cli set user:1 "Grace"
cli set user:1 "Joan"
# The terminal looks at what came when it gets its next reply.
enter cache "ping"
until_shows cache "PONG"
until_shows cache "invalidate: 'user:1'"
enter cache "client tracking off"
enter cache "client tracking on bcast prefix user: prefix book:"
enter cache "client trackinginfo"
until_shows cache "bcast"
cli mset book:9 a pen:1 b
enter cache "ping"
until_shows cache "invalidate: 'book:9'"
enter cache "client tracking off"
enter cache "client caching yes"
enter cache "client tracking on optin"
enter cache "client caching yes"
enter cache "get user:1"
until_shows cache '"Joan"'
cli del user:1
enter cache "ping end"
until_shows cache '"end"'
# Whether a notice stands before or after a reply that comes at the same time is chance.
grep -v -e invalidate -e PONG cache
grep -o "invalidate: '.*'" cache
close_terminal cache
open_terminal notices
enter notices "client id"
until_shows notices "(integer)"
id=$(grep -o '[0-9]*' notices)
enter notices "subscribe __redis__:invalidate"
until_shows notices "(integer) 1"
open_terminal reader
enter reader "client tracking on redirect $id"
enter reader "set user:2 Mary"
enter reader "get user:2"
until_shows reader '"Mary"'
cli set user:2 "Dorothy"
until_shows notices '"user:2"'
sed 1d notices
close_terminal reader
close_terminal notices

echo "== keyspace notifications"
cli config get notify-keyspace-events
cli config set notify-keyspace-events KEA
cli config get notify-keyspace-events
open_terminal events
enter events "psubscribe __key*__:cart*"
until_shows events "(integer) 1"
open_terminal expired
enter expired "subscribe __keyevent@0__:expired __keyevent@0__:del"
until_shows expired "(integer) 2"
cli set cart:1 book
cli rename cart:1 cart:2
cli expire cart:2 100
cli hset cart:3 book 1
cli hdel cart:3 book
cli lpush cart:4 a
cli rpop cart:4
cli set cart:5 short px 20
until_shows expired "cart:5"
cli del cart:2
until_shows expired "cart:2"
cli set cart:6 last
until_shows events "cart:6"
cat events expired
cli config set notify-keyspace-events ""
close_terminal events
close_terminal expired

echo "== who watches"
open_terminal watching
enter watching "monitor"
until_shows watching "OK"
cli set watched "a \"quoted\" word"
cli -n 2 incr counter
cli eval "return redis.call('get', KEYS[1])" 1 watched
until_shows watching '"get" "watched"'
sed -E 's/^[0-9.]+ \[([0-9]+) [0-9.:]+\]/TIME [\1 CLIENT]/; s/^[0-9.]+ \[([0-9]+) lua\]/TIME [\1 lua]/' watching
close_terminal watching
cli config set slowlog-log-slower-than 0
cli config set slowlog-max-len 2
cli slowlog reset
cli set slow 1
cli get slow
cli slowlog get 1 | sed -n 's/.*\(1) "slowlog"\|1) "get"\|2) "slow"\)/\1/p'
cli slowlog len
cli config set slowlog-log-slower-than 10000
cli client setname terminal
cli <<'LINES'
client setname terminal
client getname
client no-evict on
client kill id 999999
client kill addr 1.2.3.4:5
client reply on
reset
client getname
debug sleep 0
wait 0 10
config get save
config get appendonly
config set nosuch 1
config resetstat
command count extra
command getkeys mset a 1 b 2
memory help extra
latency reset
latency latest
role
quit
LINES
cli memory usage watched | grep -c integer
cli command info get | head -n 3
cli command docs get | grep -c summary
cli info server | grep -o '^redis_mode:[a-z]*'
cli info keyspace | grep -o '^db2:keys=1,expires=0'
cli info replication | grep -o '^role:[a-z]*'
cli flushall async
