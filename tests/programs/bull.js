// Program: Bull
// Needs: npm bull@4.16.5
// Exercises: named and concurrent processors, delayed and repeated jobs, retries with back-off, priorities, rate limits, pausing, debouncing, global events, sandboxed processors, jobs of a worker that was killed, a restart of the server
const Queue = require("bull");
const { Server, blocked, killed, numbers, rejects, run, same, until } = require("checks");

const redis = { port: Number(process.env.PORT), host: "127.0.0.1" };
// How often it is looked whether a job's worker still answers.
const impatient = { stalledInterval: 100 };

const opened = [];
const open = (name, options) => {
  opened.push(new Queue(name, { redis, ...options }));
  // Each that waits for a job listens.
  return opened.at(-1).setMaxListeners(200);
};

// What a job ended with. Asked at once, Bull may miss its end, and looks again 5 s later.
const finished = async (job) => {
  await until("it has ended", async () => ["completed", "failed"].includes(await job.getState()));
  return job.finished();
};

// What all queues of that name are told of, once they listen to it.
const hear = async (queue, ...events) => {
  const told = [];
  for (const event of events) {
    const listens = new Promise((resolve) => queue.once(`registered:global:${event}`, resolve));
    queue.on(`global:${event}`, (id, what) => told.push([event, id, what]));
    await listens;
  }
  return told;
};

async function jobs() {
  const [producer, worker] = [open("jobs"), open("jobs", { metrics: { maxDataPoints: 60 } })];
  const told = await hear(producer, "waiting", "active", "progress", "completed");
  worker.process("add", 2, async (job) => {
    await job.progress(50);
    await job.log("half of it");
    return job.data.a + job.data.b;
  });
  worker.process("*", async (job) => job.name);
  const job = await producer.add("add", { a: 1, b: 2 }, { jobId: "first" });
  same([await finished(job), await job.getState(), (await producer.getJob("first")).progress()], [3, "completed", 50]);
  same(await producer.getJobLogs("first"), { logs: ["half of it"], count: 1 });
  await until("all is told", () => told.length === 4);
  same(told, [["waiting", "first", null], ["active", "first", "waiting"], ["progress", "first", 50], ["completed", "first", "3"]]);
  same((await producer.add("add", { a: 5, b: 5 }, { jobId: "first" })).data, { a: 5, b: 5 });
  same([(await producer.getJob("first")).data, await producer.getCompletedCount()], [{ a: 1, b: 2 }, 1]);
  const many = await producer.addBulk(numbers(100).map((n) => ({ name: "add", data: { a: n, b: n } })));
  await until("all have ended", async () => (await producer.getCompletedCount()) === 101);
  same(await Promise.all(many.map(finished)), numbers(100).map((n) => 2 * n));
  same(await finished(await producer.add("any other", {})), "any other");
  same((await producer.getMetrics("completed")).meta.count, 102);
  same(await producer.getJobCounts(), { waiting: 0, active: 0, completed: 102, failed: 0, delayed: 0, paused: 0 });
  same((await producer.getJobs(["completed"], 0, 0, true)).map(({ id }) => id), ["first"]);
  const gone = await producer.add("add", { a: 1, b: 1 }, { removeOnComplete: true });
  await until("it is gone", async () => (await producer.getJob(gone.id)) === null);
  const late = await producer.add("add", { a: 1, b: 1 }, { delay: 1_000_000 });
  await late.update({ a: 2, b: 3 });
  await late.promote();
  same(await finished(late), 5);
  await (await producer.add("add", { a: 1, b: 1 }, { delay: 1_000_000 })).remove();
  same([await producer.getDelayedCount(), (await producer.clean(0, "completed")).length], [0, 103]);
  await worker.close();
  await producer.add("left", {});
  await producer.empty();
  same(await producer.count(), 0);
  await producer.obliterate();
  same(await producer.client.keys("bull:jobs:*"), []);
}

async function retries() {
  const queue = open("retries", { settings: { backoffStrategies: { mine: (attempts) => 20 * attempts } } });
  const times = new Map();
  queue.process(async (job) => {
    times.set(job.id, [...(times.get(job.id) ?? []), Date.now()]);
    if (job.attemptsMade < job.data.failures) throw new Error(`attempt ${job.attemptsMade}`);
    return job.attemptsMade;
  });
  const waits = (job) => times.get(job.id).map((time, n, all) => time - all[n - 1]).slice(1);
  for (const [backoff, least] of [[30, [30, 30]], [{ type: "exponential", delay: 20 }, [20, 60]], [{ type: "mine" }, [20, 40]]]) {
    const job = await queue.add({ failures: 2 }, { attempts: 3, backoff });
    same(await finished(job), 2);
    same(waits(job).map((wait, n) => wait >= least[n]), [true, true]);
  }
  const failed = await queue.add({ failures: 3 }, { attempts: 2 });
  await rejects(finished(failed), { message: "attempt 1" });
  const read = await queue.getJob(failed.id);
  same([await read.isFailed(), read.failedReason, read.attemptsMade, read.stacktrace.length], [true, "attempt 1", 2, 2]);
  await read.retry();
  await rejects(finished(failed), { message: "attempt 2" });
  const discarded = await queue.add({ failures: 1 }, { attempts: 1 });
  await rejects(finished(discarded), { message: "attempt 0" });
  same((await queue.getFailed()).map(({ id }) => id).sort(), [failed.id, discarded.id].sort());
  const slow = open("slow");
  slow.process(() => new Promise(() => {}));
  await rejects(finished(await slow.add({}, { timeout: 30 })), { message: /timed out/ });
}

async function order() {
  const queue = open("order");
  const told = await hear(queue, "paused", "resumed");
  const ran = [];
  await queue.pause();
  const waiting = [];
  for (const [name, options] of [["low", { priority: 9 }], ["high", { priority: 1 }], ["middle", { priority: 5 }], ["none", {}], ["last in", { lifo: true }]]) {
    waiting.push(await queue.add({ name }, options));
  }
  same([await queue.isPaused(), await queue.getPausedCount()], [true, 5]);
  queue.process(async (job) => ran.push(job.data.name));
  await queue.resume();
  await Promise.all(waiting.map(finished));
  same(ran, ["last in", "high", "middle", "low", "none"]);
  await until("both are told", () => told.length === 2);
  same(told.map(([event]) => event), ["paused", "resumed"]);
  const late = await Promise.all([90, 60, 30].map((delay) => queue.add({ name: delay }, { delay })));
  await Promise.all(late.map(finished));
  same(ran.slice(5), [30, 60, 90]);

  const debounced = () => queue.add({ name: "debounced" }, { delay: 1_000_000, debounce: { id: "id" } });
  const [one, two] = [await debounced(), await debounced()];
  same([two.id, await queue.getDelayedCount()], [one.id, 1]);
  await one.remove();
  same((await debounced()).id !== one.id, true);
}

async function repeated() {
  const queue = open("clock");
  const ran = [];
  queue.process("tick", async (job) => ran.push(job.data.n));
  await queue.add("tick", { n: 1 }, { repeat: { every: 50, limit: 3 } });
  await until("it ticked three times", () => ran.length === 3);
  same(ran, [1, 1, 1]);
  await queue.add("yearly", {}, { repeat: { cron: "0 0 1 2 *" }, jobId: "feast" });
  const [feast] = (await queue.getRepeatableJobs()).filter(({ name }) => name === "yearly");
  same([feast.id, feast.cron, new Date(feast.next).getMonth(), (await queue.getDelayed()).length], ["feast", "0 0 1 2 *", 1, 1]);
  await queue.removeRepeatableByKey(feast.key);
  same([(await queue.getRepeatableJobs()).filter(({ name }) => name === "yearly"), await queue.getDelayedCount()], [[], 0]);
}

async function limits() {
  const queue = open("limits", { limiter: { max: 2, duration: 150 } });
  const times = [];
  queue.process(async () => times.push(Date.now()));
  const began = Date.now();
  await Promise.all((await queue.addBulk(numbers(5).map((n) => ({ data: { n } })))).map(finished));
  same([times.length, times[4] - began >= 200], [5, true]);
  // Five at a time do not get on before all five are there.
  const gate = open("gate");
  let [here, go] = [0];
  const all = new Promise((resolve) => (go = resolve));
  gate.process(5, () => (++here === 5 ? go() : all));
  await Promise.all((await gate.addBulk(numbers(5).map((n) => ({ data: { n } })))).map(finished));
  same(here, 5);
}

// A worker is killed over its job, and another does it; or nobody, if there is too much of it.
async function stalled() {
  const queue = open("stalled", { settings: impatient });
  const told = await hear(queue, "stalled");
  const job = await queue.add({}, { jobId: "hard" });
  same(await killed(__filename, "stalled"), "hard");
  same(await job.getState(), "active");
  queue.process(async ({ id }) => `did ${id}`);
  same(await finished(job), "did hard");
  same(told.map(([, id]) => id), ["hard"]);
  await queue.close();
  const careful = open("stalled", { settings: { ...impatient, maxStalledCount: 0 } });
  const deadly = await careful.add({}, { jobId: "deadly" });
  same(await killed(__filename, "stalled"), "deadly");
  careful.process(async () => "done");
  await rejects(finished(deadly), { message: "job stalled more than allowable limit" });
}

// In a process of its own: this file, which is the processor then.
async function sandboxed() {
  const queue = open("box");
  queue.process(__filename);
  const job = await queue.add({ n: 2 });
  same([await finished(job), (await queue.getJob(job.id)).progress(), (await queue.getJobLogs(job.id)).logs], [4, 50, ["half of it"]]);
  await rejects(finished(await queue.add({ fails: true })), { message: "it does" });
  await rejects(finished(await queue.add({ exits: true })), { message: /Unexpected exit code: 3/ });
  same(await finished(await queue.add({ n: 4 })), 8);
}

const processor = async (job) => {
  if (job.data.exits) process.exit(3);
  if (job.data.fails) throw new Error("it does");
  await job.progress(50);
  await job.log("half of it");
  return job.data.n * 2;
};

async function restart() {
  const server = await Server.start();
  const queue = open("work", { redis: { ...redis, port: server.port, maxRetriesPerRequest: null, retryStrategy: () => 10 } });
  const told = await hear(queue, "completed");
  queue.process(async (job) => `did ${job.data.name}`);
  same(await finished(await queue.add({ name: "it before" })), "did it before");
  await blocked(queue.client, 1);
  const listening = async () => (await queue.client.pubsub("NUMPAT")) + (await queue.client.pubsub("CHANNELS")).length;
  const before = await listening();
  await server.stop();
  const added = queue.add({ name: "it while nobody was there" });
  await server.start();
  same(await finished(await added), "did it while nobody was there");
  // What is told while it connects again is lost.
  await until("it listens again", async () => (await listening()) === before);
  await queue.client.client("KILL", "TYPE", "normal");
  same(await finished(await queue.add({ name: "it after all" })), "did it after all");
  await until("it is told", () => told.at(-1)[2] === '"did it after all"');
  await queue.close();
  await server.stop();
}

async function main() {
  for (const part of [jobs, retries, order, repeated, limits, stalled, sandboxed, restart]) {
    await part();
    // Without waiting for jobs that never end.
    await Promise.all(opened.splice(0).map((queue) => queue.close(true)));
  }
}

if (require.main !== module) {
  module.exports = processor;
} else if (process.argv[2] === "stalled") {
  // Tells of its job, and never gets done with it.
  open("stalled", { settings: { lockDuration: 500, ...impatient } }).process((job) => new Promise(() => process.send(job.id)));
} else {
  run(main);
}
