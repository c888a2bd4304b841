// Program: BullMQ
// Needs: npm bullmq@6.7.0 ioredis@6.0.0 redis@6.3.1
// Exercises: delayed jobs, job schedulers, retries with back-off, rate limits, priorities, pausing, deduplication, flows, events, concurrency, sandboxed workers, jobs of a worker that was killed, metrics, a restart of the server, node-redis as its client
const { once } = require("events");
const Redis = require("ioredis");
const { createClient } = require("redis");
const { DelayedError, FlowProducer, Queue, QueueEvents, RateLimitError, UnrecoverableError, WaitingChildrenError, Worker } = require("bullmq");
const { Server, blocked, killed, numbers, rejects, run, same, until } = require("checks");

// BullMQ wants its blocking commands to be repeated for ever.
const options = { port: Number(process.env.PORT), host: "127.0.0.1", maxRetriesPerRequest: null };
// How often it is looked whether a job's worker still answers.
const impatient = { stalledInterval: 100 };

// What is opened here is closed at the end of each part.
class Shop {
  constructor(connection = options) {
    this.opened = [];
    this.connection = connection;
  }

  open(Kind, name, ...more) {
    const settings = typeof more.at(-1) === "object" ? more.pop() : {};
    const given = { connection: this.connection, drainDelay: 1, ...settings };
    const one = name === undefined ? new Kind(given) : new Kind(name, ...more, given);
    this.opened.push(one.on("error", () => {}));
    return one;
  }

  worker(name, work, settings) {
    return this.open(Worker, name, work, settings ?? {});
  }

  // A queue, and what waits for its jobs: it is told of all that happened from the first.
  async queue(name) {
    const [queue, events] = [this.open(Queue, name), this.open(QueueEvents, name, { lastEventId: "0" })];
    await Promise.all([queue.waitUntilReady(), events.waitUntilReady()]);
    // Each that waits for a job listens.
    for (const one of [queue, events]) one.setMaxListeners(200);
    const finished = (job) => job.waitUntilFinished(events, 20_000);
    return { queue, events, finished, done: async (...words) => finished(await queue.add(...words)) };
  }

  async close() {
    await Promise.all(this.opened.reverse().map((one) => one.close()));
  }
}

// With progress, a log and a result; told of; many at once; read back.
async function jobs(shop, redis) {
  const { queue, events, finished } = await shop.queue("jobs");
  const told = [];
  for (const event of ["added", "waiting", "active", "progress", "completed", "failed", "removed"]) {
    events.on(event, ({ jobId, data, returnvalue }) => told.push([event, jobId, ...[data ?? returnvalue].filter(Boolean)]));
  }
  const worker = shop.worker("jobs", async (job) => {
    await job.updateProgress({ done: 50 });
    await job.log("half of it");
    return { sum: job.data.a + job.data.b };
  }, { concurrency: 2, metrics: { maxDataPoints: 60 } });
  const job = await queue.add("add", { a: 1, b: 2 }, { jobId: "first" });
  same(await finished(job), { sum: 3 });
  same([await job.getState(), (await queue.getJob("first")).progress], ["completed", { done: 50 }]);
  same(await queue.getJobLogs("first"), { logs: ["half of it"], count: 1 });
  await until("all is told", () => told.some(([event]) => event === "completed"));
  same(told, [["added", "first"], ["waiting", "first"], ["active", "first"], ["progress", "first", { done: 50 }], ["completed", "first", { sum: 3 }]]);
  same((await queue.add("add", { a: 5, b: 5 }, { jobId: "first" })).id, "first");
  same(await queue.getCompletedCount(), 1);

  const many = await queue.addBulk(numbers(100).map((n) => ({ name: "add", data: { a: n, b: n } })));
  same(await Promise.all(many.map(finished)), numbers(100).map((n) => ({ sum: 2 * n })));
  same((await queue.getMetrics("completed")).meta.count, 101);
  same((await queue.getCompleted(0, 4)).length, 5);
  same((await queue.getJobs(["completed"], 0, 0, true)).map(({ id }) => id), ["first"]);
  same([(await queue.getWorkers()).length, await queue.getWorkersCount()], [1, 1]);
  const kept = await queue.addBulk(numbers(10).map(() => ({ name: "add", data: { a: 1, b: 1 }, opts: { removeOnComplete: 3 } })));
  await until("they are done", async () => (await queue.getJobCountByTypes("waiting", "active")) === 0);
  same(await queue.getCompletedCount(), 3);
  same((await Promise.all(kept.map((one) => queue.getJob(one.id)))).filter(Boolean).length, 3);
  const left = await queue.add("add", { a: 1, b: 1 }, { delay: 1_000_000 });
  await left.updateData({ a: 2, b: 2 });
  same((await queue.getJob(left.id)).data, { a: 2, b: 2 });
  await left.remove();
  same([await queue.getJob(left.id), await left.getState()], [undefined, "unknown"]);
  await worker.close();

  for (const _ of numbers(3)) await queue.add("late", {}, { delay: 1_000_000 });
  await queue.add("soon", {});
  same(await queue.getJobCounts("waiting", "delayed", "completed"), { waiting: 1, delayed: 3, completed: 3 });
  same((await queue.clean(0, 2, "completed")).length, 2);
  await queue.drain(true);
  same(await queue.getJobCounts("waiting", "active", "delayed", "failed", "completed", "prioritized"), {
    waiting: 0, active: 0, delayed: 0, failed: 0, completed: 1, prioritized: 0,
  });
  await queue.obliterate();
  same(await redis.keys("bull:jobs:*"), []);
}

// Not before its time; promoted; put off by itself; another time.
async function delays(shop) {
  const { queue, finished, done } = await shop.queue("delays");
  const late = await queue.add("late", {}, { delay: 80 });
  const promoted = await queue.add("promoted", {}, { delay: 1_000_000 });
  const sooner = await queue.add("sooner", {}, { delay: 1_000_000 });
  same([await late.getState(), await promoted.getState(), await queue.getDelayedCount()], ["delayed", "delayed", 3]);
  const ran = [];
  shop.worker("delays", async (job) => {
    ran.push(job.name);
    if (job.name === "again" && !job.data.seen) {
      await job.updateData({ seen: true });
      await job.moveToDelayed(Date.now() + 20, job.token);
      throw new DelayedError();
    }
    return Date.now() - job.timestamp;
  });
  same((await finished(late)) >= 80, true);
  await promoted.promote();
  same((await finished(promoted)) < 1_000_000, true);
  await sooner.changeDelay(30);
  same((await finished(sooner)) < 1_000_000, true);
  same((await done("again", {})) >= 20, true);
  const order = await queue.addBulk([90, 60, 30].map((delay) => ({ name: `${delay}`, data: {}, opts: { delay } })));
  await Promise.all(order.map(finished));
  same(ran.slice(-3), ["30", "60", "90"]);
}

async function retries(shop) {
  const { queue, events, finished, done } = await shop.queue("retries");
  const exhausted = [];
  events.on("retries-exhausted", ({ jobId, attemptsMade }) => exhausted.push([jobId, attemptsMade]));
  const times = new Map();
  shop.worker("retries", async (job) => {
    times.set(job.id, [...(times.get(job.id) ?? []), Date.now()]);
    if (job.name === "never") throw new UnrecoverableError("never");
    if (job.attemptsMade < job.data.failures) throw new Error(`attempt ${job.attemptsMade}`);
    return job.attemptsMade;
  }, { settings: { backoffStrategy: (attempts, type) => (type === "mine" ? 20 * attempts : -1) } });
  const waits = (job) => times.get(job.id).map((time, n, all) => time - all[n - 1]).slice(1);
  for (const [backoff, least] of [[30, [30, 30, 30]], [{ type: "exponential", delay: 15 }, [15, 30, 60]], [{ type: "mine" }, [20, 40, 60]]]) {
    const job = await queue.add("try", { failures: 3 }, { attempts: 4, backoff });
    same(await finished(job), 3);
    same(waits(job).map((wait, n) => wait >= least[n]), [true, true, true]);
  }
  const failed = await queue.add("try", { failures: 3 }, { attempts: 2, jobId: "tired" });
  await rejects(finished(failed), { message: "attempt 1" });
  await until("it is told", () => exhausted.length === 1);
  same([exhausted, await failed.getState()], [[["tired", "2"]], "failed"]);
  const read = await queue.getJob("tired");
  same([read.failedReason, read.attemptsMade, read.stacktrace.length], ["attempt 1", 2, 2]);
  await failed.retry();
  await rejects(finished(failed), { message: "attempt 2" });
  await rejects(done("never", {}, { attempts: 5, jobId: "never" }), { message: "never" });
  same((await queue.getJob("never")).attemptsMade, 1);
  same((await queue.getFailed()).map(({ id }) => id).sort(), ["never", "tired"]);
  await queue.remove("never");
  await queue.retryJobs({ state: "failed" });
  await until("it succeeds", () => failed.isCompleted());
  same(await queue.getFailedCount(), 0);
}

async function order(shop) {
  const { queue, events, finished } = await shop.queue("order");
  const told = [];
  for (const event of ["paused", "resumed"]) events.on(event, () => told.push(event));
  const ran = [];
  const work = async (job) => ran.push(job.name);
  await queue.pause();
  same(await queue.isPaused(), true);
  const waiting = [];
  for (const [name, settings] of [["low", { priority: 9 }], ["none", {}], ["high", { priority: 1 }], ["middle", { priority: 5 }], ["last in", { lifo: true }], ["middle, later", { priority: 5 }]]) {
    waiting.push(await queue.add(name, {}, settings));
  }
  const raised = await queue.add("raised", {}, { priority: 100 });
  await raised.changePriority({ priority: 2 });
  waiting.push(raised);
  same(await queue.getCountsPerPriority([0, 1, 2, 5, 9]), { 0: 2, 1: 1, 2: 1, 5: 2, 9: 1 });
  const worker = shop.worker("order", work);
  await worker.waitUntilReady();
  await queue.resume();
  await Promise.all(waiting.map(finished));
  same(ran, ["last in", "none", "high", "raised", "middle", "middle, later", "low"]);
  await until("both are told", () => told.length === 2);
  same(told, ["paused", "resumed"]);

  // One of the workers pauses, and another goes on.
  await worker.pause();
  const other = shop.worker("order", async () => "other");
  same(await finished(await queue.add("while one pauses", {})), "other");
  await other.close();
  const kept = await queue.add("kept", {});
  same([await kept.getState(), worker.isPaused()], ["waiting", true]);
  worker.resume();
  await finished(kept);
  same(ran.at(-1), "kept");
}

async function deduplication(shop) {
  const { queue, events, finished } = await shop.queue("once");
  const told = [];
  events.on("deduplicated", ({ jobId, deduplicationId }) => told.push([jobId, deduplicationId]));
  const add = (n, more) => queue.add("job", { n }, { delay: 1_000_000, deduplication: { id: "id", ...more } });
  const first = await add(1);
  same([(await add(2)).id, await queue.getDeduplicationJobId("id")], [first.id, first.id]);
  await until("it is told", () => told.length === 1);
  same([told, (await queue.getJob(first.id)).data], [[[first.id, "id"]], { n: 1 }]);
  await first.remove();
  const replaced = await add(3);
  const replacing = await add(4, { replace: true });
  same([await queue.getJob(replaced.id), (await queue.getDelayed()).map(({ data }) => data.n)], [undefined, [4]]);
  same([await queue.removeDeduplicationKey("id"), (await add(5)).id !== replacing.id], [1, true]);
  // For a time, whatever becomes of the job.
  shop.worker("once", async (job) => job.data.n);
  const brief = () => queue.add("brief", { n: 6 }, { deduplication: { id: "brief", ttl: 200 } });
  const [one, two] = await Promise.all([brief(), brief()]);
  same([one.id === two.id, await finished(one)], [true, 6]);
  await until("its time is over", async () => (await brief()).id !== one.id);
}

async function schedulers(shop) {
  const { queue } = await shop.queue("clock");
  const ran = [];
  await queue.upsertJobScheduler("every", { every: 50, limit: 3 }, { name: "tick", data: { n: 1 } });
  same((await queue.getJobSchedulers()).map(({ key, every, name }) => [key, every, name]), [["every", 50, "tick"]]);
  const worker = shop.worker("clock", async (job) => ran.push([job.name, job.repeatJobKey, job.data.n]));
  await until("it ticked three times", () => ran.length === 3);
  same(ran, numbers(3).map(() => ["tick", "every", 1]));
  await worker.close();
  await queue.upsertJobScheduler("cron", { pattern: "0 0 1 1 *" }, { name: "yearly" });
  await queue.upsertJobScheduler("cron", { pattern: "0 0 0 1 2 *" }, { name: "yearly", data: { n: 2 } });
  const cron = await queue.getJobScheduler("cron");
  same([cron.pattern, new Date(cron.next).getMonth(), cron.template.data], ["0 0 0 1 2 *", 1, { n: 2 }]);
  same((await queue.getDelayed()).filter(({ name }) => name === "yearly").map(({ timestamp, delay }) => timestamp + delay), [cron.next]);
  same([await queue.removeJobScheduler("cron"), await queue.removeJobScheduler("cron")], [true, false]);
  same((await queue.getDelayed()).filter(({ name }) => name === "yearly"), []);
}

// So many in a window; told so by the job itself; of all workers together.
async function limits(shop) {
  const { queue, finished, done } = await shop.queue("limits");
  const times = [];
  let late = false;
  const worker = shop.worker("limits", async (job) => {
    if (job.name === "wait" && !late) {
      late = true;
      await queue.rateLimit(50);
      throw new RateLimitError();
    }
    times.push(Date.now());
  }, { limiter: { max: 2, duration: 150 } });
  const began = Date.now();
  const rated = await queue.addBulk(numbers(5).map((n) => ({ name: `job ${n}`, data: {} })));
  await Promise.all(rated.map(finished));
  same([times.length, times[4] - began >= 200], [5, true]);
  await done("wait", {});
  same([times.length, late], [6, true]);
  await worker.close();

  let [now, most, ran] = [0, 0, 0];
  const work = async () => {
    most = Math.max(most, ++now);
    await new Promise(setImmediate);
    now--;
    ran++;
  };
  await queue.setGlobalConcurrency(1);
  same(await queue.getGlobalConcurrency(), 1);
  for (const _ of numbers(2)) shop.worker("limits", work, { concurrency: 5 });
  await Promise.all((await queue.addBulk(numbers(20).map(() => ({ name: "one", data: {} })))).map(finished));
  same([most, ran], [1, 20]);
  await queue.removeGlobalConcurrency();
  // Five at a time do not get on before all five are there.
  let [here, go] = [0];
  const gate = new Promise((resolve) => (go = resolve));
  shop.worker("gate", () => (++here === 5 ? go() : gate), { concurrency: 5 });
  const together = await shop.queue("gate");
  await Promise.all((await together.queue.addBulk(numbers(5).map(() => ({ name: "one", data: {} })))).map(together.finished));
  same(here, 5);
}

// A parent runs when its children have, over several queues; what it does when they fail.
async function flows(shop) {
  const flow = shop.open(FlowProducer);
  const [parents, children] = [await shop.queue("parents"), await shop.queue("children")];
  const ran = [];
  shop.worker("parents", async (job, token) => {
    ran.push(job.name);
    if (job.name === "step" && !job.data.asked) {
      await children.queue.add("asked for", {}, { parent: { id: job.id, queue: job.queueQualifiedName } });
      await job.updateData({ asked: true });
      if (await job.moveToWaitingChildren(token)) throw new WaitingChildrenError();
    }
    return [Object.values(await job.getChildrenValues()).sort(), Object.values(await job.getIgnoredChildrenFailures())];
  });
  shop.worker("children", async (job) => {
    ran.push(job.name);
    if (job.name === "fails") throw new Error("it does");
    return `${job.name}'s`;
  }, { concurrency: 3 });
  const child = (name, opts, more) => ({ name, queueName: "children", data: {}, opts, children: more });
  const tree = await flow.add({ name: "parent", queueName: "parents", children: [child("one"), child("two", {}, [child("grandchild")])] });
  same(await parents.finished(tree.job), [["one's", "two's"], []]);
  same([ran.at(-1), ran.indexOf("grandchild") < ran.indexOf("two")], ["parent", true]);
  const read = await flow.getFlow({ id: tree.job.id, queueName: "parents" });
  same(read.children.map((node) => [node.job.name, node.children?.length ?? 0]).sort(), [["one", 0], ["two", 1]]);
  same((await tree.job.getDependenciesCount()).processed, 2);

  const several = await flow.addBulk([
    { name: "fails too", queueName: "parents", children: [child("fails", { failParentOnFailure: true }), child("one")] },
    { name: "does not mind", queueName: "parents", children: [child("fails", { ignoreDependencyOnFailure: true }), child("one")] },
  ]);
  await rejects(parents.finished(several[0].job), { message: `child bull:children:${several[0].children[0].job.id} failed` });
  same(await parents.finished(several[1].job), [["one's"], ["it does"]]);
  const waits = await flow.add({ name: "waits", queueName: "parents", children: [child("late", { delay: 1_000_000 })] });
  same([await waits.job.getState(), await parents.queue.getWaitingChildrenCount()], ["waiting-children", 1]);
  await waits.children[0].job.promote();
  same(await parents.finished(waits.job), [["late's"], []]);
  same(await parents.done("step", {}), [["asked for's"], []]);
}

// A worker is killed over its job, and another does it.
async function stalled(shop) {
  const { queue, events, finished } = await shop.queue("stalled");
  const told = [];
  events.on("stalled", ({ jobId }) => told.push(jobId));
  const job = await queue.add("hard", {}, { jobId: "hard" });
  same(await killed(__filename, "stalled"), "hard");
  same(await job.getState(), "active");
  const worker = shop.worker("stalled", async ({ stalledCounter, attemptsMade }) => ["done", stalledCounter, attemptsMade], impatient);
  same(await finished(job), ["done", 1, 0]);
  await until("it is told", () => told.length === 1);
  same(told, ["hard"]);
  await worker.close();
  // One that takes its worker with it is given up.
  const deadly = await queue.add("deadly", {}, { jobId: "deadly" });
  same(await killed(__filename, "stalled"), "deadly");
  shop.worker("stalled", async () => "done", { ...impatient, maxStalledCount: 0 });
  await rejects(finished(deadly), { message: "job stalled more than allowable limit" });
  same(await deadly.getState(), "failed");
}

// In a process or a thread of its own: this file, which is the processor then.
async function sandboxed(shop) {
  const { queue, finished, done } = await shop.queue("box");
  for (const useWorkerThreads of [false, true]) {
    const worker = shop.worker("box", __filename, { useWorkerThreads });
    const jobs = await queue.addBulk([1, 2, 3].map((n) => ({ name: "double", data: { n } })));
    same(await Promise.all(jobs.map(finished)), [2, 4, 6]);
    same([(await queue.getJob(jobs[0].id)).progress, (await queue.getJobLogs(jobs[0].id)).logs], [50, ["half of it"]]);
    await rejects(done("fails", {}), { message: "it does" });
    if (!useWorkerThreads) {
      await rejects(done("exits", {}), { message: "Unexpected exit code: 3 signal: null" });
      same(await done("double", { n: 4 }), 8);
    }
    await worker.close();
  }
}

const processor = async (job) => {
  if (job.name === "exits") process.exit(3);
  if (job.name === "fails") throw new Error("it does");
  await job.updateProgress(50);
  await job.log("half of it");
  return job.data.n * 2;
};

// What waits and what is added while the server is away is done when it is back.
async function restart() {
  const server = await Server.start();
  const redis = new Redis({ port: server.port, retryStrategy: () => 10 }).on("error", () => {});
  const shop = new Shop({ ...options, port: server.port, retryStrategy: () => 10 });
  const { queue, finished, done } = await shop.queue("work");
  const worker = shop.worker("work", async (job) => `did ${job.name}`);
  same(await done("before", {}), "did before");
  await blocked(redis, 2);
  await server.stop();
  const added = queue.add("while it was away", {});
  await server.start();
  same(await finished(await added), "did while it was away");
  same(await done("after", {}), "did after");
  const connections = (await redis.client("LIST")).split("\n").filter((line) => / name=bull:/.test(line));
  same(connections.length > 0, true);
  await redis.client("KILL", "TYPE", "normal");
  same(await done("after all were disconnected", {}), "did after all were disconnected");
  same(worker.isRunning(), true);
  await shop.close();
  redis.disconnect();
  await server.stop();
}

async function main() {
  const redis = new Redis(options);
  for (const part of [jobs, delays, retries, order, deduplication, schedulers, limits, flows, stalled, sandboxed]) {
    await redis.flushall();
    const shop = new Shop();

    await part(shop, redis);
    await shop.close();
  }
  await restart();
  const client = await createClient({ url: process.env.REDIS_URL }).connect();
  for (const part of [jobs, flows]) {
    await redis.flushall();
    const shop = new Shop(client);

    await part(shop, redis);
    await shop.close();
  }
}

if (require.main !== module) {
  module.exports = processor;
} else if (process.argv[2] === "stalled") {
  // Tells of its job, and never gets done with it.
  new Worker("stalled", (job) => new Promise(() => process.send(job.id)), { connection: options, lockDuration: 500, ...impatient });
} else {
  run(main);
}
