# Program: Tutorial: data types
# Needs: apt redis-tools=7.0
# Exercises: redis-cli sessions on strings, keys, lists, sets, hashes, sorted sets, streams, geo, bitmaps, bitfields, HyperLogLog
#
# A library and its readers, type by type, as pages that explain the types do it.
set -euo pipefail
. "$(dirname "$FILE")/lib/terminal.sh"

echo "== first steps"
cli ping
cli ping "are you there"
cli echo "a line with spaces"
cli set book:1 "The Sea Wall"
cli get book:1
cli -n 3 dbsize
cli -u "redis://127.0.0.1:$PORT/3" set elsewhere 1
cli -n 3 get elsewhere
echo -n "from a pipe" | redis-cli -p "$PORT" -x set piped
cli get piped
cli -r 3 incr repeated

echo "== strings"
cli <<'LINES'
set title "The Long Way"
get title
set title "another" nx
set title "another" xx
set missing "x" xx
set title "third" get
getset title "fourth"
mset title:1 "Reed" title:2 "Salt" title:3 "Tide"
mget title:1 title:2 title:3 title:4
msetnx title:4 a title:1 b
exists title:4
setnx title:4 "Upland"
set visits 0
incr visits
incrby visits 10
decr visits
decrby visits 4
incrbyfloat visits 0.5
incr visits
incr title
append title " edition"
strlen title
getrange title 0 5
getrange title -7 -1
setrange title 0 "FOURTH"
get title
setrange padded 4 "x"
get padded
substr title 0 2
setex session:1 60 "token"
ttl session:1
psetex session:2 60000 "token"
set session:3 "token" ex 60
set session:3 "again" keepttl
ttl session:3
getex session:3 persist
ttl session:3
getdel session:3
get session:3
set bytes "\x00\xff\n"
get bytes
set first "overlap and tone"
set second "over and tonic"
lcs first second
lcs first second len
lcs first second idx minmatchlen 3 withmatchlen
LINES

echo "== keys"
cli <<'LINES'
exists title
exists title title nothing
type title
del title:1 title:2 nothing
unlink title:3
expire visits 100
ttl visits
expire visits 50 gt
expire visits 500 gt
ttl visits
expire visits 100 nx
pexpire visits 90000
persist visits
ttl visits
ttl nothing
expireat visits 4102444800
expiretime visits
pexpiretime visits
expire visits -1
exists visits
rename title name
rename nothing name
renamenx name book:1
copy name name:copy
copy name name:copy
copy name name:copy replace
copy name name db 4
move piped 4
select 4
get piped
dbsize
flushdb
dbsize
select 0
object encoding repeated
object encoding name
object encoding nothing
touch name nothing
type nothing
set counter 10 ex 0
set counter 10 ex 100 px 100
keys nothing*
object help nothing
LINES
sorted keys 'name*'
sorted keys 'book:?'
sorted --scan --pattern 'n[ab]*'
cli flushall

echo "== lists"
cli <<'LINES'
rpush shelf "reed" "salt"
lpush shelf "dune"
llen shelf
lrange shelf 0 -1
lrange shelf 1 1
lrange shelf 5 10
lindex shelf 0
lindex shelf -1
lindex shelf 9
lpushx nothing a
rpushx shelf "tide"
linsert shelf before "salt" "rime"
linsert shelf after "tide" "upland"
linsert shelf before "nothing" "x"
lset shelf 0 "DUNE"
lset shelf 50 "x"
lrem shelf 1 "rime"
lpos shelf "tide"
rpush marks 1 2 3 1 2 3 1
lpos marks 1 rank 2
lpos marks 1 count 0
lpos marks 1 rank -1 maxlen 3
ltrim marks 0 2
lrange marks 0 -1
lpop shelf
rpop shelf
lpop shelf 2
lmove marks done left right
rpoplpush marks done
lrange done 0 -1
lmpop 2 nothing done left count 5
blpop done marks 1
blpop nothing 0.05
brpop nothing 0.05
blmove nothing done left right 0.05
blmpop 0.05 1 nothing left
exists marks
lpush wrong a
incr wrong
get wrong
rpush recent 1 2 3 4 5 6 7
ltrim recent -3 -1
lrange recent 0 -1
rpush numbers 3 10 2
sort numbers
sort numbers desc limit 0 2
sort wrong alpha
mset weight:2 30 weight:3 10 weight:10 20
mset word:2 two word:3 three word:10 ten
sort numbers by weight:* get # get word:*
sort numbers by weight:* get word:* store ordered
lrange ordered 0 -1
LINES

echo "== sets"
cli <<'LINES'
sadd readers:1 ada
sadd readers:1 ada ben cy
sadd readers:2 cy dee
scard readers:1
sismember readers:1 ben
smismember readers:1 ada nobody
sintercard 2 readers:1 readers:2
sinter readers:1 readers:2
sinterstore both readers:1 readers:2
sdiff readers:2 readers:1
sdiffstore only readers:2 readers:1
sunionstore all readers:1 readers:2
smove readers:1 readers:2 ada
srem readers:1 ben nobody
smembers readers:1
srandmember readers:1
srandmember readers:1 -2
spop readers:1
spop readers:1
sadd ids 5 3 1 4
smembers ids
object encoding ids
sscan both 0
LINES
sorted smembers all
sorted sunion readers:1 readers:2
sorted spop all 10

echo "== hashes"
cli <<'LINES'
hset member:7 name "Ada" joined 1998 fines 0
hset member:7 name "Ada L" city "York"
hget member:7 name
hget member:7 nothing
hmget member:7 name city nothing
hgetall member:7
hincrby member:7 fines 25
hincrby member:7 fines -5
hincrbyfloat member:7 fines 0.25
hincrby member:7 name 1
hexists member:7 city
hdel member:7 city nothing
hlen member:7
hkeys member:7
hvals member:7
hstrlen member:7 name
hsetnx member:7 name "Bo"
hmset member:8 name "Cy" joined 2004
hscan member:7 0 match f*
hrandfield nothing
hrandfield member:8 9
object encoding member:7
hgetall nothing
LINES
cli -3 hgetall member:8

echo "== sorted sets"
cli <<'LINES'
zadd loans 10 "ada" 12 "ben" 8 "cy" 10 "dee"
zadd loans nx 99 "ada"
zadd loans xx ch 11 "ada" 5 "nobody"
zadd loans gt ch 3 "ben"
zadd loans lt ch 3 "ben"
zadd loans incr 2 "ben"
zadd loans nx xx 1 "ada"
zrange loans 0 -1
zrange loans 0 -1 withscores
zrevrange loans 0 1 withscores
zrange loans 0 -1 rev limit 0 1
zrange loans (5 +inf byscore withscores
zrange loans +inf 9 byscore rev limit 0 2
zrangebyscore loans -inf 10 withscores limit 1 1
zrevrangebyscore loans +inf (5
zcount loans 5 10
zscore loans ada
zmscore loans ada nobody
zrank loans ada
zrevrank loans ada
zrank loans nobody
zincrby loans 2.5 cy
zcard loans
zrem loans dee nobody
zadd names 0 "Norem" 0 "Castil" 0 "Royce" 0 "Prick" 0 "Ford"
zrange names 0 -1
zrangebylex names [A [L
zrevrangebylex names + (F
zlexcount names - +
zrange names [C (P bylex
zremrangebylex names [C [F
zadd week:1 5 ada 3 ben
zadd week:2 2 ada 7 cy
zunion 2 week:1 week:2 withscores
zinter 2 week:1 week:2 weights 2 3 withscores
zdiff 2 week:1 week:2 withscores
zunionstore total 2 week:1 week:2 aggregate max
zinterstore shared 2 week:1 week:2
zintercard 2 week:1 week:2
zrangestore top total 0 0 rev
zrange top 0 -1 withscores
zpopmin total
zpopmax total 2
bzpopmin total week:1 1
bzpopmax nothing 0.05
zmpop 2 nothing week:2 max count 1
bzmpop 0.05 1 nothing min
zremrangebyrank loans 0 0
zremrangebyscore loans -inf 11
zrange loans 0 -1 withscores
zadd infinite inf a -inf b 1e3 c 0.5 d
zrange infinite 0 -1 withscores
zscan infinite 0 match a
zrandmember week:1 5
object encoding loans
LINES
cli -3 zrange loans 0 -1 withscores

echo "== streams"
cli <<'LINES'
xadd desk 1700000000000-0 reader ada action borrow book 1
xadd desk 1700000000000-* reader ben action return book 2
xadd desk 1700000000005-1 reader cy action borrow book 3
xadd desk 1700000000005-1 reader cy action again book 3
xadd desk 0-0 a b
xadd nothing nomkstream * a b
xlen desk
xrange desk - +
xrange desk 1700000000000 1700000000001
xrange desk - + count 1
xrange desk (1700000000000-0 + count 1
xrevrange desk + - count 1
xread count 2 streams desk 0
xread count 1 streams desk other 1700000000000-0 0
xread block 50 streams desk $
xdel desk 1700000000000-1
xtrim desk maxlen 5
xadd desk maxlen ~ 1000 1700000000006-0 reader dee action borrow book 4
xadd desk maxlen 2 1700000000007-0 reader eve action borrow book 5
xadd desk minid 1700000000007 1700000000008-0 reader fay action return book 5
xlen desk
xtrim desk minid = 1700000000008
xgroup create desk clerks $
xgroup create desk clerks $
xgroup create later clerks 0
xgroup create later clerks 0 mkstream
xgroup create desk audit 0
xadd desk 1700000000009-0 reader gus action borrow book 6
xadd desk 1700000000010-0 reader hal action borrow book 7
xreadgroup group clerks mia count 1 streams desk >
xreadgroup group clerks noa count 1 streams desk >
xreadgroup group clerks mia streams desk >
xreadgroup group clerks mia streams desk 0
xreadgroup group nobody mia streams desk >
xack desk clerks 1700000000009-0
xack desk clerks 1700000000009-0
xpending desk clerks
xclaim desk clerks mia 0 1700000000010-0 justid
xclaim desk clerks mia 3600000 1700000000010-0
xautoclaim desk clerks noa 0 0 count 1
xautoclaim desk clerks mia 0 0 count 1 justid
xpending desk clerks
xpending desk audit
xgroup createconsumer desk clerks olaf
xgroup delconsumer desk clerks olaf
xgroup delconsumer desk clerks mia
xgroup setid desk clerks 0
xinfo groups desk
xgroup destroy desk audit
xsetid desk 1700000000020-0
xadd desk 1700000000019-0 a b
type desk
LINES
cli xinfo stream desk | grep -v radix
cli -3 xrange desk - + count 1

echo "== geo"
cli <<'LINES'
geoadd libraries -0.1276 51.5072 london -1.0815 53.96 york -3.1883 55.9533 edinburgh
geoadd libraries nx 0 0 london 2.3522 48.8566 paris
geoadd libraries ch xx -0.1275 51.5073 london
geoadd libraries 200 100 nowhere
geopos libraries york nothing
geodist libraries london york km
geodist libraries london paris mi
geodist libraries london nothing
geohash libraries london edinburgh
geosearch libraries fromlonlat -1 53 byradius 250 km asc
geosearch libraries fromlonlat -1 53 byradius 250 km asc withdist withcoord withhash count 1
geosearch libraries frommember london bybox 800 800 km desc withdist
geosearch libraries frommember nobody byradius 5 km
geosearchstore near libraries fromlonlat -1 53 byradius 250 km storedist
zrange near 0 -1 withscores
georadius libraries -1 53 250 km withdist asc
georadiusbymember libraries york 300 km asc
zrem libraries paris
LINES

echo "== bitmaps and bitfields"
cli <<'LINES'
setbit open:2024-01-01 7 1
setbit open:2024-01-01 123 1
setbit open:2024-01-02 7 1
getbit open:2024-01-01 7
getbit open:2024-01-01 8
bitcount open:2024-01-01
bitcount open:2024-01-01 0 0
bitcount open:2024-01-01 0 7 bit
bitpos open:2024-01-01 1
bitpos open:2024-01-01 0
bitpos open:2024-01-01 1 -1 -1 byte
bitop and open:both open:2024-01-01 open:2024-01-02
bitop or open:any open:2024-01-01 open:2024-01-02
bitop xor open:one open:2024-01-01 open:2024-01-02
bitop not open:none open:2024-01-02
bitcount open:both
bitcount open:any
bitcount open:one
bitcount open:none
strlen open:none
setbit open:2024-01-01 -1 1
setbit open:2024-01-01 1 2
bitfield stats set u32 #0 1000
bitfield stats incrby u32 #0 -50 incrby u32 #1 1
bitfield stats get u32 #0 get u32 #1
bitfield small overflow sat incrby u2 0 5
bitfield small overflow fail incrby u2 0 1
bitfield small overflow wrap incrby u2 0 1 get i5 0
bitfield_ro stats get u32 #0
LINES

echo "== HyperLogLog"
cli <<'LINES'
pfadd visitors:mon ada ben cy
pfadd visitors:mon ada
pfcount visitors:mon
pfadd visitors:tue cy dee
pfcount visitors:mon visitors:tue
pfmerge visitors:both visitors:mon visitors:tue
pfcount visitors:both
pfcount nothing
type visitors:mon
strlen visitors:mon
LINES
for i in $(seq 10000); do echo "pfadd visitors:many reader:$i"; done | cli >/dev/null
cli pfcount visitors:many
cli flushall
