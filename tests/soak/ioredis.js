// Program: ioredis
// Needs: npm ioredis@6.0.0
// Exercises: auto-pipelining, subscribers, workers that wait
const Redis = require("ioredis");
const { Stream, serve } = require("ledger");

const open = (round, name, options) => {
  const redis = new Redis({ port: Number(process.env.PORT), retryStrategy: () => 100, connectTimeout: 30_000, ...options });
  return redis.on("error", (error) => round.lost(name, error)).on("close", () => round.lost(name));
};

const leave = (redis) => redis.removeAllListeners("close").disconnect();

// What is called in one go is sent together.
async function producer(round, name) {
  const redis = open(round, name, { enableAutoPipelining: true });
  await round.repeat(name, { sends: true, pause: 0.2 }, async () => {
    const turn = round.report.turns[name];
    const jobs = [0, 1, 2, 3, 4].map((n) => `${name}:${turn}:${n}`);
    await Promise.all(jobs.flatMap((job, n) => [redis.rpush("jobs", job), redis.incrby("count:ioredis", n), redis.setex(`last:${name}:${n}`, 2, job)]));
    round.sent("jobs", ...jobs);
    round.add("count:ioredis", 10);
  });
  leave(redis);
}

async function subscriber(round, name) {
  const redis = open(round, name);
  const stream = new Stream(round, name);
  redis.on("pmessage", (_, channel, text) => stream.message(channel, text)).on("close", () => stream.lost());
  await redis.psubscribe("news:*");
  await stream.end();
  leave(redis);
}

async function worker(round, name) {
  const redis = open(round, name);
  await round.repeat(name, { pause: 0.01 }, async () => {
    const popped = await redis.blpop("jobs", 1);
    if (popped) round.got("jobs", popped[1]);
  });
  leave(redis);
}

serve(async (round) => {
  const all = [[producer, 8], [subscriber, 6], [worker, 8]];
  await Promise.all(all.flatMap(([kind, count]) => round.several(count).map((n) => kind(round, `ioredis ${kind.name} ${n}`))));
});
