// Program: bee-queue
// Needs: npm bee-queue@2.0.0
// Exercises: jobs with results and progress, concurrency, delayed jobs, retries with back-off, time limits, events, many saved at once, removal, jobs of a worker that was killed, a restart of the server; over node-redis 3
const Queue = require("bee-queue");
const { Server, blocked, killed, numbers, run, same, until } = require("checks");

const port = Number(process.env.PORT);
const opened = [];
const open = (name, options) => {
  opened.push(new Queue(name, { redis: { port }, ...options }));
  return opened.at(-1).on("error", () => {});
};
const ended = (job) => new Promise((resolve) => job.once("succeeded", (result) => resolve(["succeeded", result])).once("failed", (error) => resolve(["failed", error.message])));
// Saves it, and waits for its end.
const done = async (job) => {
  const end = ended(job);
  await job.save();
  return end;
};

async function jobs() {
  const [producer, worker] = [open("jobs", { isWorker: false }), open("jobs", { getEvents: false })];
  await Promise.all([producer.ready(), worker.ready()]);
  const told = [];
  for (const event of ["progress", "succeeded", "failed"]) producer.on(`job ${event}`, (id, what) => told.push([event, id, what.message ?? what]));
  worker.process(async (job) => {
    if (job.data.fails) throw new Error("it does");
    job.reportProgress({ done: 50 });
    return job.data.a + job.data.b;
  });
  same(await done(producer.createJob({ a: 1, b: 2 }).setId("first")), ["succeeded", 3]);
  same(await done(producer.createJob({ fails: true }).setId("second")), ["failed", "it does"]);
  await until("all is told", () => told.length === 3);
  same(told, [["progress", "first", { done: 50 }], ["succeeded", "first", 3], ["failed", "second", "it does"]]);
  same((await producer.createJob({ a: 9, b: 9 }).setId("first").save()).id, null);
  const many = numbers(100).map((n) => producer.createJob({ a: n, b: n }));
  const ends = many.map(ended);
  same((await producer.saveAll(many)).size, 0);
  same(await Promise.all(ends), numbers(100).map((n) => ["succeeded", 2 * n]));
  const { newestJob, ...health } = await producer.checkHealth();
  same([health, newestJob], [{ waiting: 0, active: 0, succeeded: 101, failed: 1, delayed: 0 }, 100]);
  same((await producer.getJobs("succeeded", { size: 1000 })).length, 101);
  const [failed] = await producer.getJobs("failed");
  same([failed.id, failed.status, failed.options.stacktraces.length], ["second", "failed", 1]);
  await failed.remove();
  same([await producer.getJob("second"), (await producer.getJob("first")).status], [null, "succeeded"]);
  await worker.close();
  await producer.createJob({ a: 1, b: 1 }).setId("left").save();
  same((await producer.getJobs("waiting", { start: 0, end: 10 })).map(({ id }) => id), ["left"]);
  await producer.destroy();
  same((await producer.checkHealth()).succeeded, 0);
}

async function retries() {
  const queue = open("retries", { activateDelayedJobs: true, delayedDebounce: 1 });
  const times = new Map();
  const retried = [];
  queue.on("retrying", (job, error) => retried.push([job.id, error.message]));
  queue.process(async (job) => {
    times.set(job.id, [...(times.get(job.id) ?? []), Date.now()]);
    if (job.data.slow) await new Promise(() => {});
    if (times.get(job.id).length <= job.data.failures) throw new Error(`attempt ${times.get(job.id).length}`);
    return times.get(job.id).length;
  });
  for (const [strategy, delay, least] of [["immediate", undefined, [0, 0]], ["fixed", 30, [30, 30]], ["exponential", 20, [20, 40]]]) {
    const job = queue.createJob({ failures: 2 }).retries(3).backoff(strategy, delay);
    same(await done(job), ["succeeded", 3]);
    const all = times.get(job.id);
    same(all.slice(1).map((time, n) => time - all[n] >= least[n]), [true, true]);
  }
  same(retried.length, 6);
  same(await done(queue.createJob({ failures: 5 }).retries(1)), ["failed", "attempt 2"]);
  same((await done(queue.createJob({ slow: true }).timeout(30)))[1].endsWith("timed out (30 ms)"), true);
  const before = Date.now();
  const late = queue.createJob({ failures: 0 }).delayUntil(before + 80);
  const end = ended(late);
  await late.save();
  same([await end, times.get(late.id)[0] - before >= 80], [["succeeded", 1], true]);
  const later = await queue.createJob({}).delayUntil(before + 1_000_000).save();
  same([(await queue.checkHealth()).delayed, (await queue.getJobs("delayed")).map(({ id }) => id)], [1, [later.id]]);
  await later.remove();
  same((await queue.checkHealth()).delayed, 0);
}

// Five at a time do not get on before all five are there; two queues share what there is.
async function together() {
  const [producer, one, two] = [open("gate"), open("gate"), open("gate")];
  let [here, go] = [0];
  const all = new Promise((resolve) => (go = resolve));
  one.process(5, async () => (++here === 5 ? go() : all));
  await Promise.all(numbers(5).map(() => done(producer.createJob({}))));
  same(here, 5);
  const ran = new Set();
  two.process(async (job) => ran.add(job.id));
  const jobs = numbers(50).map(() => producer.createJob({}));
  const ends = jobs.map(ended);
  await producer.saveAll(jobs);
  await Promise.all(ends);
  same([here - 5 + ran.size, (await producer.checkHealth()).succeeded], [50, 55]);
}

// A worker is killed over its job, and another does it.
async function stalled() {
  const queue = open("stalled", { stallInterval: 300 });
  await queue.ready();
  const told = [];
  queue.on("stalled", (id) => told.push(id));
  const job = queue.createJob({}).setId("hard");
  const end = ended(job);
  await job.save();
  same(await killed(__filename, "stalled"), "hard");
  same((await queue.checkHealth()).active, 1);
  queue.process(async (job) => `did ${job.id}`);
  queue.checkStalledJobs(50);
  same([await end, told[0]], [["succeeded", "did hard"], "hard"]);
}

// It puts its scripts there once: who starts the server anew makes the queues anew.
async function restart() {
  const server = await Server.start();
  const [producer, worker] = [0, 1].map(() => open("work", { redis: { port: server.port, retry_strategy: () => 10 }, initialRedisFailureRetryDelay: 10 }));
  worker.process(async (job) => `did ${job.data.name}`);
  same(await done(producer.createJob({ name: "it before" })), ["succeeded", "did it before"]);
  await blocked({ info: (section) => new Promise((told) => producer.client.info(section, (_, text) => told(text))) }, 1);
  await server.stop();
  await server.start();
  const again = open("work", { redis: { port: server.port }, isWorker: false });
  await again.ready();
  same(await done(again.createJob({ name: "it after" })), ["succeeded", "did it after"]);
  await Promise.all(opened.splice(0).map((queue) => queue.close()));
  await server.stop();
}

if (process.argv[2] === "stalled") {
  // Tells of its job, and never gets done with it.
  open("stalled", { stallInterval: 100 }).process((job) => new Promise(() => process.send(job.id)));
} else {
  run(async () => {
    for (const part of [jobs, retries, together, stalled, restart]) {
      await part();
      // Without waiting for jobs that never end.
      await Promise.all(opened.splice(0).map((queue) => queue.close(1).catch(() => {})));
    }
  });
}
