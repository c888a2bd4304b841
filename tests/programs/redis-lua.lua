-- Program: redis-lua
-- Needs: apt lua-redis=2.0
-- Needs: apt lua5.1
-- Exercises: commands, pipelines, transactions with check-and-set, scripts, scans, subscriptions, errors
local redis = require("redis")

local asserted = 0

local function shown(value)
  if type(value) ~= "table" then return tostring(value) end
  local keys, parts = {}, {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for _, key in ipairs(keys) do parts[#parts + 1] = tostring(key) .. "=" .. shown(value[key]) end
  return "{" .. table.concat(parts, ", ") .. "}"
end

local function same(got, expected)
  got, expected = shown(got), shown(expected)
  if got ~= expected then error(got .. " where " .. expected .. " was expected", 2) end
  asserted = asserted + 1
end

local function raises(text, call, ...)
  local fine, got = pcall(call, ...)
  if fine or not tostring(got):find(text, 1, true) then error(tostring(got) .. " where " .. text .. " was expected", 2) end
  asserted = asserted + 1
end

local function connected() return redis.connect("127.0.0.1", tonumber(os.getenv("PORT"))) end
local client, other = connected(), connected()

client:flushall()
same({ client:ping(), client:set("text", "hello"), client:setnx("text", "again") }, { true, true, false })
same({ client:get("text"), client:get("none") }, { "hello" })
same(client:mget("text", "text"), { "hello", "hello" })
same({ client:incrbyfloat("n", 1.5), client:expire("n", 100), client:ttl("n") > 90, client:persist("n") }, { 1.5, true, true, true })
same({ client:rpush("list", "a", "b", "c"), client:lrange("list", 0, -1) }, { 3, { "a", "b", "c" } })
same({ client:hmset("hash", { a = 1, b = 2 }), client:hgetall("hash") }, { true, { a = "1", b = "2" } })
same({ client:zadd("scores", 1.5, "one"), client:zadd("scores", 2, "two") }, { 1, 1 })
same(client:zrange("scores", 0, -1, { withscores = true }), { { "one", "1.5" }, { "two", "2" } })
same(client:zrangebyscore("scores", "(1.5", "+inf", { limit = { 0, 1 } }), { "two" })
same(client:zunionstore("union", 2, "scores", "scores", { weights = { 1, 2 }, aggregate = "max" }), 2)
same({ client:sadd("set", "3", "10", "2"), client:sort("set", { sort = "desc" }) }, { 3, { "10", "3", "2" } })
same({ client:type("set"), client:exists("none") }, { "set", false })
same(client:blpop("list", 1), { "list", "a" })
same({ client:select(3), client:exists("text"), client:select(0) }, { true, false, true })
same(client:info().server.redis_mode or client:info().redis_mode, "standalone")
raises("WRONGTYPE Operation against a key holding the wrong kind of value", client.lpush, client, "text", 1)
raises("ERR unknown command 'NOSUCH'", client.raw_cmd, client, "NOSUCH\r\n")

-- A pipeline, and a transaction that tries again when somebody else was faster.
local replies, count = client:pipeline(function(pipe)
  for _ = 1, 1000 do pipe:incr("counter") end
  pipe:hgetall("hash")
end)
same({ count, replies[1000], replies[1001] }, { 1001, 1000, { a = "1", b = "2" } })
local tries = 0
replies = client:transaction({ watch = "counter", cas = true, retry = 2 }, function(transaction)
  tries = tries + 1
  local counter = tonumber(transaction:get("counter"))
  if tries == 1 then other:incr("counter") end
  transaction:multi()
  transaction:set("counter", counter * 2)
  transaction:get("counter")
end)
same({ tries, replies }, { 2, { true, "2002" } })
raises("MULTI/EXEC transaction aborted", client.transaction, client, { watch = "counter", cas = true }, function(transaction)
  other:incr("counter")
  transaction:multi()
  transaction:incr("counter")
end)

same(client:eval("return {KEYS[1], ARGV[1] + 1}", 1, "key", 41), { "key", 42 })
local sha = client:script("load", "return ARGV[1]")
same({ client:evalsha(sha, 0, "x"), client:script("exists", sha) }, { "x", { 1 } })
raises("NOSCRIPT No matching script", client.evalsha, client, ("0"):rep(40), 0)

client:pipeline(function(pipe)
  for n = 1, 2000 do pipe:set("scan:" .. n, n) end
end)
local found, size, cursor = {}, 0, 0
repeat
  local page = client:scan(cursor, { match = "scan:*", count = 100 })
  cursor = tonumber(page[1])
  for _, key in ipairs(page[2]) do
    if not found[key] then found[key], size = true, size + 1 end
  end
until cursor == 0
same(size, 2000)

-- Messages come to one while another one publishes.
local got = {}
for message, abort in other:pubsub({ subscribe = { "news", "weather" }, psubscribe = "n*" }) do
  if message.kind == "psubscribe" then
    client:publish("news", "hello")
    client:publish("weather", "leave")
  elseif message.kind:find("message") then
    got[#got + 1] = message.kind .. " " .. message.channel .. " " .. message.payload
    if message.payload == "leave" then abort() end
  end
end
same(got, { "message news hello", "pmessage news hello", "message weather leave" })
same({ other:ping(), client:publish("news", "nobody") }, { true, 0 })

client:quit()
raises("", client.ping, client)
raises("could not connect to 127.0.0.1:1", redis.connect, "127.0.0.1", 1)
print(asserted .. " results as expected")
