// Program: rate-limiter-flexible
// Needs: npm rate-limiter-flexible@11.4.0 ioredis@6.0.0 redis@6.3.1
// Exercises: points and windows, penalties, rewards, blocks, bursts, a queue, a limit of one's own in Lua, two clients at once, insurance while the server is stopped; over ioredis and node-redis
const Redis = require("ioredis");
const { createClient } = require("redis");
const { BurstyRateLimiter, RateLimiterMemory, RateLimiterQueue, RateLimiterRedis, RateLimiterUnion } = require("rate-limiter-flexible");
const { Server, numbers, rejects, run, same, until } = require("checks");

async function limits(Limiter) {
  const limiter = new Limiter({ keyPrefix: "rate", points: 3, duration: 100 });
  for (const left of [2, 1, 0]) {
    const told = await limiter.consume("user");
    same([told.remainingPoints, told.consumedPoints], [left, 3 - left]);
    same(told.msBeforeNext > 90_000 && told.msBeforeNext <= 100_000, true);
  }
  await rejects(limiter.consume("user"), (told) => told.remainingPoints === 0 && told.consumedPoints === 4);
  same((await limiter.reward("user", 2)).consumedPoints, 2);
  same((await limiter.consume("user")).remainingPoints, 0);
  same((await limiter.penalty("user", 3)).consumedPoints, 6);
  same((await limiter.get("user")).consumedPoints, 6);
  same(await limiter.get("nobody"), null);
  same(await limiter.delete("user"), true);
  same((await limiter.consume("user", 3)).remainingPoints, 0);
  await limiter.block("blocked", 50);
  await rejects(limiter.consume("blocked"), (told) => told.msBeforeNext > 40_000 && told.msBeforeNext <= 50_000);
  await limiter.set("given", 2, 100);
  same((await limiter.consume("given")).consumedPoints, 3);
  const strict = new Limiter({ keyPrefix: "strict", points: 1, duration: 100, blockDuration: 200 });
  await strict.consume("user");
  await rejects(strict.consume("user"), (told) => told.msBeforeNext > 190_000);
  await rejects(strict.consume("user"), (told) => told.msBeforeNext > 190_000);
  const brief = new Limiter({ keyPrefix: "brief", points: 1, duration: 1 });
  const bursty = new BurstyRateLimiter(brief, new Limiter({ keyPrefix: "burst", points: 2, duration: 100 }));
  const burst = await Promise.allSettled([1, 2, 3, 4].map(() => bursty.consume("user")));
  same(burst.map((one) => one.status), ["fulfilled", "fulfilled", "fulfilled", "rejected"]);
  await until("the window passes", () => brief.consume("user").then(() => true, () => false));
  const queue = new RateLimiterQueue(new Limiter({ keyPrefix: "queue", points: 5, duration: 100 }));
  same(await Promise.all([1, 2, 3].map(() => queue.removeTokens(1))), [4, 3, 2]);
  // Each limit of a union counts.
  const union = new RateLimiterUnion(new Limiter({ keyPrefix: "union 1", points: 1, duration: 100 }), new Limiter({ keyPrefix: "union 2", points: 5, duration: 100 }));
  same((await union.consume("user"))["union 2"].remainingPoints, 4);
  await rejects(union.consume("user"), (told) => told["union 1"].remainingPoints === 0 && told["union 2"] === undefined);
  const forever = new Limiter({ keyPrefix: "forever", points: 2, duration: 0 });
  same((await forever.consume("user", 2)).msBeforeNext, -1);
  await rejects(forever.consume("user"), (told) => told.consumedPoints === 3);
  // As many get through as there are points, however many ask at once.
  const crowd = new Limiter({ keyPrefix: "crowd", points: 20, duration: 100 });
  const asked = await Promise.allSettled(numbers(50).map(() => crowd.consume("all")));
  same(asked.filter(({ status }) => status === "fulfilled").length, 20);
  // The window begins anew with each that is refused.
  const own = new Limiter({
    keyPrefix: "own", points: 1, duration: 50,
    customIncrTtlLuaScript: `local n = redis.call("INCRBY", KEYS[1], ARGV[1])
      if n == 1 or n > tonumber(ARGV[3]) then redis.call("EXPIRE", KEYS[1], ARGV[2] * n) end
      return {n, redis.call("PTTL", KEYS[1])}`,
  });
  await own.consume("user");
  await rejects(own.consume("user"), (told) => told.msBeforeNext > 50_000 && told.consumedPoints === 2);
}

// What remembers for itself that somebody is blocked, and stands in for a server that is stopped.
async function insured() {
  const server = await Server.start();
  const client = new Redis({ port: server.port, retryStrategy: () => 10, enableOfflineQueue: false }).on("error", () => {});
  await until("it is connected", () => client.status === "ready");
  const options = { storeClient: client, points: 2, duration: 100, rejectIfRedisNotReady: true };
  const [bare, limiter] = [
    new RateLimiterRedis({ ...options, keyPrefix: "bare" }),
    new RateLimiterRedis({ ...options, keyPrefix: "insured", inMemoryBlockOnConsumed: 3, insuranceLimiter: new RateLimiterMemory({ points: 1, duration: 100 }) }),
  ];
  same([(await bare.consume("user")).remainingPoints, (await limiter.consume("user", 2)).remainingPoints], [1, 0]);
  await rejects(limiter.consume("user"), (told) => told.consumedPoints === 3);
  await rejects(limiter.consume("user"), (told) => told.consumedPoints === 0);
  same(await client.get("insured:user"), "3");
  await server.stop();
  await until("it is noticed", () => client.status !== "ready");
  await rejects(bare.consume("user"), { message: "Redis connection is not ready" });
  same((await limiter.consume("other")).remainingPoints, 0);
  await rejects(limiter.consume("other"), (told) => told.consumedPoints === 2);
  await server.start();
  await until("it is back", () => client.status === "ready");
  same([(await limiter.consume("other")).remainingPoints, (await bare.consume("user")).remainingPoints], [1, 1]);
  client.disconnect();
  await server.stop();
}

run(async () => {
  const redis = new Redis(process.env.REDIS_URL);
  const other = await createClient({ url: process.env.REDIS_URL }).connect();
  for (const client of [{ storeClient: redis }, { storeClient: other, useRedisPackage: true }]) {
    await redis.flushall();
    await limits(class extends RateLimiterRedis {
      constructor(options) {
        super({ ...client, ...options });
      }
    });
  }
  await insured();
});
