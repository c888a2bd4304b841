# Program: redis-rb
# Needs: apt ruby-redis=4.8
# Exercises: commands, pipelines, transactions, scripts, streams, scans, subscriptions, threads, time-outs, reconnection
require "redis"
require_relative "lib/checks"

REDIS = { url: ENV.fetch("REDIS_URL") }
redis, other = Redis.new(**REDIS), Redis.new(**REDIS)
redis.flushall

same(redis.set("text", "hello", ex: 100, nx: true), true)
same(redis.set("text", "again", nx: true), false)
same([redis.get("text"), redis.get("none"), redis.ttl("text") > 90], ["hello", nil, true])
same(redis.mapped_mget("text", "none"), { "text" => "hello", "none" => nil })
same([redis.hset("hash", { "a" => 1, "b" => 2 }), redis.hgetall("hash")], [2, { "a" => "1", "b" => "2" }])
same([redis.zadd("scores", [[1.5, "one"], [2, "two"]]), redis.zrange("scores", 0, -1, with_scores: true)], [2, [["one", 1.5], ["two", 2.0]]])
same([redis.zadd("scores", 3, "one", gt: true, ch: true), redis.zpopmax("scores")], [true, ["one", 3.0]])
same([redis.sadd("set", %w[a b]), redis.sismember("set", "a"), redis.smembers("set").sort], [2, true, %w[a b]])
same(redis.rpush("list", %w[a b c]), 3)
same([redis.lmove("list", "other", "LEFT", "RIGHT"), redis.blmove("list", "other", "LEFT", "RIGHT", timeout: 1)], %w[a b])
same([redis.getset("text", "new"), redis.getdel("text"), redis.exists?("text")], ["hello", "new", false])
redis.set("binary", (0..255).to_a.pack("C*"))
same(redis.get("binary").bytes, (0..255).to_a)
same(redis.geoadd("places", 13.361389, 38.115556, "Palermo"), 1)
same(redis.info("server").key?("redis_version"), true)
same(raises(Redis::CommandError) { redis.lpush("hash", 1) }.message, "WRONGTYPE Operation against a key holding the wrong kind of value")

same(redis.pipelined { |pipe| 1000.times { pipe.incr("n") } }.last, 1000)
raises(Redis::CommandError) { redis.pipelined { |pipe| pipe.incr("hash"); pipe.incr("n") } }
same(redis.get("n"), "1001")
same(redis.multi { |transaction| transaction.incr("n"); transaction.get("n") }, [1002, "1002"])
# Somebody else is faster, once.
tries = 0
result = nil
until result
  result = redis.watch("n") do
    n = redis.get("n").to_i
    other.incr("n") if (tries += 1) == 1
    redis.multi { |transaction| transaction.set("n", n * 2) }
  end
end
same([tries, redis.get("n")], [2, "2006"])
redis.watch("n") { redis.unwatch }

sha = redis.script(:load, "return {KEYS[1], ARGV[1] + 1}")
same([redis.evalsha(sha, ["key"], [41]), redis.script(:exists, sha)], [["key", 42], true])
redis.script(:flush)
same(raises(Redis::CommandError) { redis.evalsha(sha) }.message, "NOSCRIPT No matching script. Please use EVAL.")

redis.mset(*(0...5000).flat_map { |n| ["scan:#{n}", n] })
same(redis.scan_each(match: "scan:*", count: 100).to_a.uniq.size, 5000)
redis.sadd("large", (0...1000).to_a)
same(redis.sscan_each("large", match: "99?").to_a.sort, (990..999).map(&:to_s))

redis.xgroup(:create, "jobs", "workers", "$", mkstream: true)
ids = 3.times.map { |n| redis.xadd("jobs", { "n" => n }) }
same(redis.xreadgroup("workers", "one", "jobs", ">", count: 2), { "jobs" => [[ids[0], { "n" => "0" }], [ids[1], { "n" => "1" }]] })
same([redis.xack("jobs", "workers", ids[0]), redis.xpending("jobs", "workers")["size"]], [1, 1])
same(redis.xautoclaim("jobs", "workers", "two", 0, "0-0")["entries"], [[ids[1], { "n" => "1" }]])
same(redis.xread("jobs", ids[1])["jobs"].map(&:first), [ids[2]])

# Messages, until the subscriber leaves.
got = []
subscriber = Thread.new do
  Redis.new(**REDIS).subscribe("news", "weather") do |on|
    on.message do |channel, text|
      got << [channel, text]
      raise StopIteration if text == "leave"
    end
  end
rescue StopIteration
  nil
end
until_true("the subscriptions") { redis.pubsub(:numsub, "news", "weather") == ["news", 1, "weather", 1] }
same([redis.publish("news", "hello"), redis.publish("weather", "leave")], [1, 1])
subscriber.join
same(got, [%w[news hello], %w[weather leave]])
raises(Redis::TimeoutError) { other.psubscribe_with_timeout(0.05, "n*") { |on| } }

# Threads on one client, and one that waits with a client of its own.
redis.del("sum")
10.times.map { |n| Thread.new { 100.times { redis.incr("sum") } } }.each(&:join)
same(redis.get("sum"), "1000")
worker = Thread.new { Redis.new(**REDIS).blpop("urgent", "queue", timeout: 20) }
until_true("the worker waits") { redis.info("clients")["blocked_clients"] == "1" }
redis.rpush("queue", "job")
same(worker.value, %w[queue job])
same(redis.blpop("queue", timeout: 0.02), nil)

# It connects again when it was killed, but not within a transaction.
hasty = Redis.new(**REDIS, timeout: 0.05)
raises(Redis::TimeoutError) { hasty.call("debug", "sleep", "0.3") }
stubborn = Redis.new(**REDIS, reconnect_attempts: 1)
same(other.client(:kill, "ID", stubborn.client(:id)), 1)
same(stubborn.ping, "PONG")
once = Redis.new(**REDIS, reconnect_attempts: 0)
other.client(:kill, "ID", once.client(:id))
raises(Redis::BaseConnectionError) { once.ping }
same(once.ping, "PONG")
raises(Redis::CannotConnectError) { Redis.new(port: 1).ping }
done
