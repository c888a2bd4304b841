# Program: Tutorial: frameworks
# Needs: apt redis-tools=7.0
# Exercises: redis-cli sessions that Spring Boot, Laravel, Rails and Celery tutorials show: their keys, queues, locks, sessions and what MONITOR prints
#
# The applications themselves are other programs. Here is what a person types
# to see what they have stored, and the commands that MONITOR then shows.
set -euo pipefail
. "$(dirname "$FILE")/lib/terminal.sh"

echo "== installed"
cli ping
cli -h localhost ping
cli info server | grep -c '^redis_version:7'
cli config get dir | head -n 1
cli dbsize
cli client list | grep -c '^id='
cli client info | grep -o 'db=0 sub=0 psub=0'
cli config set timeout 0
cli --no-auth-warning ping

echo "== Spring Boot"
# @Cacheable with JSON values, and Spring Session as it is indexed.
cli <<'LINES'
set "products::42" "{\"@class\":\"shop.Product\",\"id\":42,\"name\":\"Saw\"}" px 600000
get "products::42"
ttl "products::42"
hmset "spring:session:sessions:abc" creationTime "\xac\xed\x00\x05sr" maxInactiveInterval "1800" lastAccessedTime "1700000000000" "sessionAttr:user" "\xac\xed\x00\x05t\x00\x03ada"
sadd "spring:session:expirations:1700001800000" "\xac\xed\x00\x05t\x00,expires:abc"
expire "spring:session:expirations:1700001800000" 2100
append "spring:session:sessions:expires:abc" ""
expire "spring:session:sessions:expires:abc" 1800
expire "spring:session:sessions:abc" 2100
sadd "spring:session:index:principal:ada" "abc"
hgetall "spring:session:sessions:abc"
hkeys "spring:session:sessions:abc"
type "spring:session:sessions:expires:abc"
strlen "spring:session:sessions:expires:abc"
smembers "spring:session:expirations:1700001800000"
ttl "spring:session:sessions:abc"
hmget "spring:session:sessions:abc" maxInactiveInterval nothing
config get notify-keyspace-events
config set notify-keyspace-events Egx
config get notify-keyspace-events
config set notify-keyspace-events ""
set "lock:registry:report" "3f1c" nx px 60000
set "lock:registry:report" "other" nx px 60000
eval "local owner = redis.call('GET', KEYS[1]) if owner == ARGV[1] then redis.call('PEXPIRE', KEYS[1], ARGV[2]) return true elseif not owner then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return true end return false" 1 "lock:registry:report" "3f1c" 60000
eval "return false" 0
zadd "visits:rank" incr 1 "page:1"
geoadd stores 2.35 48.85 "paris"
georadius stores 2 48 200 km
LINES
sorted keys 'spring:session:*'
sorted --scan --pattern 'products::*'
cli flushdb

echo "== Laravel"
cli <<'LINES'
setex "laravel_cache_:users.all" 3600 "a:2:{i:0;s:3:\"Ada\";i:1;s:3:\"Ben\";}"
get "laravel_cache_:users.all"
ttl "laravel_cache_:users.all"
eval "return redis.call('exists',KEYS[1])<1 and redis.call('setex',KEYS[1],ARGV[2],ARGV[1])" 1 "laravel_cache_:once" "i:1;" 60
eval "return redis.call('exists',KEYS[1])<1 and redis.call('setex',KEYS[1],ARGV[2],ARGV[1])" 1 "laravel_cache_:once" "i:2;" 60
incrby "laravel_cache_:hits" 1
rpush "laravel_database_queues:default" "{\"uuid\":\"1\",\"displayName\":\"App\\\\Jobs\\\\SendMail\",\"attempts\":0}"
rpush "laravel_database_queues:default:notify" 1
zadd "laravel_database_queues:default:delayed" 1700000060 "{\"uuid\":\"2\",\"attempts\":0}"
llen "laravel_database_queues:default"
lrange "laravel_database_queues:default" 0 -1
zrange "laravel_database_queues:default:delayed" 0 -1 withscores
zcard "laravel_database_queues:default:reserved"
zrangebyscore "laravel_database_queues:default:delayed" -inf 1700000100
LINES
# A worker takes a job, and what is due comes back into the queue.
cat >pop.lua <<'LUA'
local job = redis.call('lpop', KEYS[1])
local reserved = false
if job ~= false then
  reserved = cjson.decode(job)
  reserved['attempts'] = reserved['attempts'] + 1
  redis.call('zadd', KEYS[2], ARGV[1], 'job ' .. reserved['uuid'] .. ' attempt ' .. reserved['attempts'])
  redis.call('lpop', KEYS[3])
end
return { job, reserved and reserved['attempts'] }
LUA
cat >migrate.lua <<'LUA'
local due = redis.call('zrangebyscore', KEYS[1], '-inf', ARGV[1])
if next(due) ~= nil then
  redis.call('zremrangebyrank', KEYS[1], 0, #due - 1)
  for first = 1, #due, 100 do
    redis.call('rpush', KEYS[2], unpack(due, first, math.min(first + 99, #due)))
    for _ = first, math.min(first + 99, #due) do redis.call('rpush', KEYS[3], 1) end
  end
end
return due
LUA
queue=laravel_database_queues:default
for _ in 1 2; do cli --eval pop.lua "$queue" "$queue:reserved" "$queue:notify" , 1700000090; done
cli --eval migrate.lua "$queue:delayed" "$queue" "$queue:notify" , 1700000100
cli --eval pop.lua "$queue" "$queue:reserved" "$queue:notify" , 1700000190
cli zrange "$queue:reserved" 0 -1 withscores
cli blpop "$queue:notify" 0.05
sorted -n 0 keys 'laravel_*'
cli -n 1 set "laravel_cache_:other" 1
cli -n 1 keys '*'
cli flushall

echo "== Rails"
cli <<'LINES'
set "cache:views/books/1" "\x04\bo: ActiveSupport::Cache::Entry" px 300000
get "cache:views/books/1"
mget "cache:views/books/1" "cache:views/books/2"
setex "session:2::abcdef" 1800 "\x04\b{\x06I\"\x05user"
incrby "kredis:counter" 2
sadd "queues" "default" "mailers"
lpush "queue:default" "{\"class\":\"HardJob\",\"args\":[1],\"jid\":\"a1\",\"retry\":true}"
lpush "queue:mailers" "{\"class\":\"Mail\",\"jid\":\"b2\"}"
zadd "schedule" 1700000000.25 "{\"class\":\"Later\",\"jid\":\"c3\"}"
zadd "retry" 1700000000 "{\"class\":\"Failed\",\"jid\":\"d4\"}"
incr "stat:processed"
incrby "stat:failed" 0
scard queues
llen "queue:default"
lrange "queue:default" 0 -1
zrange "schedule" 0 -1 withscores
zcount "retry" -inf +inf
brpop "queue:critical" "queue:default" "queue:mailers" 2
zrangebyscore "schedule" -inf 1700000001 limit 0 1
zrem "schedule" "{\"class\":\"Later\",\"jid\":\"c3\"}"
mget "stat:processed" "stat:failed"
hset "host:1:abc" info "{}" busy 0 beat 1700000000.5
expire "host:1:abc" 60
exists "host:1:abc" "host:2:def"
publish "_action_cable_internal" "x"
publish "chat_room_1" "{\"message\":\"hi\"}"
LINES
sorted smembers queues
open_terminal cable
enter cable "subscribe _action_cable_internal chat_room_1"
until_shows cable "(integer) 2"
cli publish chat_room_1 '{"message":"hi"}'
until_shows cable "hi"
close_terminal cable
tail -n 1 cable
cli flushall

echo "== Celery"
cli <<'LINES'
sadd "_kombu.binding.celery" "celery\x06\x16\x06\x16celery"
lpush celery "{\"headers\": {\"task\": \"tasks.add\", \"id\": \"4f1a\"}, \"properties\": {\"priority\": 0}}"
lpush "celery\x06\x163" "{\"headers\": {\"task\": \"tasks.low\"}}"
llen celery
lrange celery 0 -1
lindex celery -1
type celery
smembers "_kombu.binding.celery"
brpop celery "celery\x06\x163" "celery\x06\x166" 1
hset unacked "tag-1" "[{\"body\": \"...\"}, \"\", \"celery\"]"
zadd unacked_index 1700000000.5 "tag-1"
hlen unacked
zrangebyscore unacked_index 0 1700003600 withscores
setex "celery-task-meta-4f1a" 86400 "{\"status\": \"SUCCESS\", \"result\": 8}"
get "celery-task-meta-4f1a"
ttl "celery-task-meta-4f1a"
publish "celery-task-meta-4f1a" "done"
keys celery-task-meta-*
del celery
LINES
sorted keys '*'
cli flushall

echo "== what MONITOR shows"
open_terminal watching
enter watching "monitor"
until_shows watching "OK"
cli <<'LINES' >/dev/null
select 1
setex "laravel_cache_:a" 60 "quoted \"text\" and \x00\x01\n bytes"
hmset h f v
multi
incr n
exec
auth wrong
config get maxmemory
nosuch
get
LINES
cli echo end
until_shows watching '"end"'
close_terminal watching
sed -E 's/^[0-9.]+ \[([0-9]+) [0-9.:]+\]/TIME [\1 CLIENT]/' watching
