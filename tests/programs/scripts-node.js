// Program: scripts of Node
// Needs: npm ioredis@5 redlock@4.2.0 bullmq@6.7.0 rate-limiter-flexible@11.4.0
// Exercises: locks, rate limits, queues
//
// What libraries of Node do with scripts: redlock, rate-limiter-flexible and
// BullMQ. Every result is asserted; what is printed is how many there were.
const assert = require("assert");
const Redis = require("ioredis");
const Redlock = require("redlock");
const { RateLimiterRedis, RateLimiterQueue, BurstyRateLimiter } = require("rate-limiter-flexible");
const { DelayedError, FlowProducer, Queue, QueueEvents, RateLimitError, UnrecoverableError, Worker } = require("bullmq");

const port = Number(process.env.PORT);
// BullMQ wants its blocking commands to be repeated for ever.
const connection = { port, host: "127.0.0.1", maxRetriesPerRequest: null };
// A guard against a hang: nothing here takes more than some seconds.
setTimeout(() => {
  console.error("took too long");
  process.exit(1);
}, 45_000).unref();

let asserted = 0;
const same = (got, expected) => {
  assert.deepStrictEqual(got, expected);
  asserted++;
};
const rejects = async (promise, check) => {
  await assert.rejects(promise, check);
  asserted++;
};
const until = async (what, done) => {
  const deadline = Date.now() + 20_000;
  while (!(await done())) {
    if (Date.now() > deadline) throw new Error(`waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};

// acquire, extend, contention, release, several resources, a lock that times out.
async function locks() {
  const redis = new Redis(connection);
  await redis.flushall();
  await redis.script("FLUSH");
  const redlock = new Redlock([redis], { retryCount: 0 });
  const patient = new Redlock([redis], { retryCount: 200, retryDelay: 5, retryJitter: 5 });
  const lock = await redlock.acquire("resource", 10_000);
  same(await redis.get("resource"), lock.value);
  await rejects(redlock.acquire("resource", 10_000), { name: "LockError" });
  await rejects(redlock.acquire(["free", "resource"], 10_000), { name: "LockError" });
  same(await redis.exists("free"), 0);
  const extended = await lock.extend(60_000);
  same((await redis.pttl("resource")) > 10_000, true);
  const waiting = patient.acquire("resource", 10_000);
  await extended.unlock();
  const next = await waiting;
  same(await redis.get("resource"), next.value);
  await rejects(extended.unlock(), { name: "LockError" });
  await rejects(lock.extend(1000), { name: "LockError" });
  await next.unlock();
  same(await redis.exists("resource"), 0);
  const many = await redlock.acquire(["a", "b", "c"], 10_000);
  same(await redis.mget("a", "b", "c"), [many.value, many.value, many.value]);
  await redis.script("FLUSH");
  await many.unlock();
  same(await redis.exists("a", "b", "c"), 0);
  const brief = await redlock.acquire("brief", 30);
  await until("the lock times out", async () => !(await redis.exists("brief")));
  await rejects(brief.unlock(), { name: "LockError" });
  // Many that add to one number, each under the lock.
  await redis.set("sum", 0);
  const add = async () => {
    const held = await patient.acquire("sum:lock", 10_000);
    await redis.set("sum", Number(await redis.get("sum")) + 1);
    await held.unlock();
  };
  await Promise.all(Array.from({ length: 10 }, add));
  same(await redis.get("sum"), "10");
  redis.disconnect();
}

// consume, penalty, reward, block, points that come back, a queue of those who wait.
async function rates() {
  const redis = new Redis(connection);
  await redis.flushall();
  const limiter = new RateLimiterRedis({ storeClient: redis, keyPrefix: "rate", points: 3, duration: 100 });
  for (const left of [2, 1, 0]) {
    const told = await limiter.consume("user");
    same([told.remainingPoints, told.consumedPoints], [left, 3 - left]);
    same(told.msBeforeNext > 99_000 && told.msBeforeNext <= 100_000, true);
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
  await rejects(limiter.consume("blocked"), (told) => told.msBeforeNext > 49_000 && told.msBeforeNext <= 50_000);
  await limiter.set("given", 2, 100);
  same((await limiter.consume("given")).consumedPoints, 3);
  const strict = new RateLimiterRedis({ storeClient: redis, keyPrefix: "strict", points: 1, duration: 100, blockDuration: 200 });
  await strict.consume("user");
  await rejects(strict.consume("user"), (told) => told.msBeforeNext > 199_000);
  await rejects(strict.consume("user"), (told) => told.msBeforeNext > 199_000);
  const brief = new RateLimiterRedis({ storeClient: redis, keyPrefix: "brief", points: 1, duration: 1 });
  const bursty = new BurstyRateLimiter(brief, new RateLimiterRedis({ storeClient: redis, keyPrefix: "burst", points: 2, duration: 100 }));
  const burst = await Promise.allSettled([1, 2, 3, 4].map(() => bursty.consume("user")));
  same(burst.map((one) => one.status), ["fulfilled", "fulfilled", "fulfilled", "rejected"]);
  await until("the window passes", () => brief.consume("user").then(() => true, () => false));
  const queue = new RateLimiterQueue(new RateLimiterRedis({ storeClient: redis, keyPrefix: "queue", points: 5, duration: 100 }));
  same(await Promise.all([1, 2, 3].map(() => queue.removeTokens(1))), [4, 3, 2]);
  redis.disconnect();
}

// Jobs: plain, delayed, retried, prioritised, rate limited, repeated, a flow, and what is told.
async function queues() {
  const redis = new Redis(connection);
  await redis.flushall();
  const queue = new Queue("work", { connection });
  // Each that waits for a job listens.
  queue.setMaxListeners(100);
  const events = new QueueEvents("work", { connection });
  await until("somebody listens", async () => /blocked_clients:1\r/.test(await redis.info("clients")));
  const told = [];
  for (const event of ["waiting", "active", "completed", "failed", "delayed", "progress", "removed"]) {
    events.on(event, ({ jobId, data }) => told.push(data === undefined ? `${event} ${jobId}` : `${event} ${jobId} ${JSON.stringify(data)}`));
  }

  // A plain one, with progress, a log and a result.
  const ran = [];
  const work = async (job) => {
    ran.push(job.name);
    if (job.name === "add") {
      await job.updateProgress({ done: 50 });
      await job.log("half of it");
      return { sum: job.data.a + job.data.b };
    }
    if (job.name === "try" && job.attemptsMade < 2) throw new Error(`attempt ${job.attemptsMade}`);
    if (job.name === "hopeless") throw new UnrecoverableError("never");
    if (job.name === "again" && !job.data.seen) {
      await job.updateData({ seen: true });
      await job.moveToDelayed(Date.now() + 20, job.token);
      throw new DelayedError();
    }
    return job.name;
  };
  const worker = new Worker("work", work, { connection, concurrency: 2, drainDelay: 1 });
  const finished = (job) => job.waitUntilFinished(events, 20_000);
  const job = await queue.add("add", { a: 1, b: 2 }, { jobId: "first" });
  same(await finished(job), { sum: 3 });
  same([await job.getState(), (await queue.getJob("first")).progress], ["completed", { done: 50 }]);
  same(await queue.getJobLogs("first"), { logs: ["half of it"], count: 1 });
  await until("all is told", () => told.includes("completed first"));
  same(told, ["waiting first", "active first", 'progress first {"done":50}', "completed first"]);
  same((await queue.add("add", { a: 5, b: 5 }, { jobId: "first" })).id, "first");
  same(await queue.getCompletedCount(), 1);

  // Many at once.
  const jobs = await queue.addBulk(Array.from({ length: 30 }, (_, n) => ({ name: "add", data: { a: n, b: n } })));
  same(await Promise.all(jobs.map(finished)), jobs.map((_, n) => ({ sum: 2 * n })));

  // Delayed: not before its time; one that is promoted; one that delays itself.
  const before = Date.now();
  const delayed = await queue.add("late", {}, { delay: 60 });
  const promoted = await queue.add("promoted", {}, { delay: 1_000_000 });
  same([await delayed.getState(), await promoted.getState()], ["delayed", "delayed"]);
  same(await finished(delayed), "late");
  same(Date.now() - before >= 60, true);
  await promoted.promote();
  same(await finished(promoted), "promoted");
  same(await finished(await queue.add("again", {})), "again");

  // Retried with back-off until it succeeds, failed for good, and retried by hand.
  const tried = await queue.add("try", {}, { attempts: 4, backoff: { type: "exponential", delay: 10 } });
  same(await finished(tried), "try");
  same([(await queue.getJob(tried.id)).attemptsMade, ran.filter((name) => name === "try").length], [3, 3]);
  const failed = await queue.add("try", {}, { attempts: 1 });
  await rejects(finished(failed), { message: "attempt 0" });
  same([await failed.getState(), await queue.getFailedCount()], ["failed", 1]);
  await failed.retry();
  await rejects(finished(failed), { message: "attempt 1" });
  const hopeless = await queue.add("hopeless", {}, { attempts: 5 });
  await rejects(finished(hopeless), { message: "never" });
  same((await queue.getJob(hopeless.id)).attemptsMade, 1);
  same((await queue.getFailed()).map((job) => job.id).sort(), [failed.id, hopeless.id].sort());

  // Deduplicated.
  const one = await queue.add("late", { n: 1 }, { delay: 1_000_000, deduplication: { id: "once" } });
  const two = await queue.add("late", { n: 2 }, { delay: 1_000_000, deduplication: { id: "once" } });
  same(two.id, one.id);
  await one.remove();
  same(await queue.getJob(one.id), undefined);
  await worker.close();

  // Priorities, LIFO, and a queue that is paused.
  await queue.pause();
  same(await queue.isPaused(), true);
  ran.length = 0;
  const ordered = [];
  for (const [name, options] of [["low", { priority: 9 }], ["none", {}], ["high", { priority: 1 }], ["middle", { priority: 5 }], ["last in", { lifo: true }]]) {
    ordered.push(await queue.add(name, {}, options));
  }
  const low = await queue.add("raised", {}, { priority: 100 });
  await low.changePriority({ priority: 2 });
  ordered.push(low);
  same(await queue.getCountsPerPriority([0, 1, 2, 5, 9]), { 0: 2, 1: 1, 2: 1, 5: 1, 9: 1 });
  const orderly = new Worker("work", work, { connection, drainDelay: 1 });
  await queue.resume();
  await Promise.all(ordered.map(finished));
  same(ran, ["last in", "none", "high", "raised", "middle", "low"]);
  await orderly.close();

  // Repeated, from a scheduler that is then removed.
  ran.length = 0;
  await queue.upsertJobScheduler("every", { every: 30, limit: 3 }, { name: "tick" });
  same((await queue.getJobSchedulers()).map((scheduler) => [scheduler.key, scheduler.every]), [["every", 30]]);
  const ticking = new Worker("work", work, { connection, drainDelay: 1 });
  await until("it ticked three times", () => ran.length === 3);
  same(ran, ["tick", "tick", "tick"]);
  await queue.upsertJobScheduler("cron", { pattern: "0 0 1 1 *" }, { name: "yearly" });
  same(await queue.removeJobScheduler("cron"), true);
  same(await queue.removeJobScheduler("cron"), false);
  await ticking.close();

  // Rate limited: two in a window, and by the job itself.
  const limited = new Queue("limited", { connection });
  const limitedEvents = new QueueEvents("limited", { connection });
  const times = [];
  let toldOff = false;
  const slow = new Worker("limited", async (job) => {
    if (job.name === "wait" && !toldOff) {
      toldOff = true;
      await slow.rateLimit(50);
      throw new RateLimitError();
    }
    times.push(Date.now());
  }, { connection, limiter: { max: 2, duration: 150 }, drainDelay: 1 });
  const began = Date.now();
  const rated = await limited.addBulk(Array.from({ length: 5 }, (_, n) => ({ name: `job ${n}`, data: {} })));
  await Promise.all(rated.map((job) => job.waitUntilFinished(limitedEvents, 20_000)));
  same([times.length, times[4] - began >= 200], [5, true]);
  await (await limited.add("wait", {})).waitUntilFinished(limitedEvents, 20_000);
  same([times.length, toldOff], [6, true]);
  await slow.close();

  // A flow: the parent runs when its children have.
  const flow = new FlowProducer({ connection });
  const order = [];
  const family = new Worker("family", async (job) => {
    order.push(job.name);
    if (job.name !== "parent") return `${job.name}'s`;
    return Object.values(await job.getChildrenValues()).sort();
  }, { connection, concurrency: 3, drainDelay: 1 });
  const familyEvents = new QueueEvents("family", { connection });
  const tree = await flow.add({
    name: "parent",
    queueName: "family",
    children: [
      { name: "one", queueName: "family", data: {} },
      { name: "two", queueName: "family", children: [{ name: "grandchild", queueName: "family" }] },
    ],
  });
  same(await tree.job.waitUntilFinished(familyEvents, 20_000), ["one's", "two's"]);
  same([order.at(-1), order.indexOf("grandchild") < order.indexOf("two")], ["parent", true]);
  await family.close();

  // What is kept is cleaned, drained, and removed altogether.
  await queue.add("late", {}, { delay: 1_000_000 });
  same((await queue.clean(0, 1000, "failed")).length, 2);
  same((await queue.clean(0, 1000, "completed")).length > 40, true);
  await queue.drain(true);
  same(await queue.getJobCounts("waiting", "active", "delayed", "failed", "completed", "prioritized"), {
    waiting: 0, active: 0, delayed: 0, failed: 0, completed: 0, prioritized: 0,
  });
  for (const done of [queue, limited]) await done.obliterate({ force: true });
  same(await redis.keys("bull:work:*"), []);
  for (const open of [events, limitedEvents, familyEvents, flow, queue, limited]) await open.close();
  redis.disconnect();
}

(async () => {
  await locks();
  await rates();
  await queues();
  console.log(`${asserted} results as expected`);
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
