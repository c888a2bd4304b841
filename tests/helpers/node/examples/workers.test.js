// Two workers never get the same job, and none is left.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Redis } from "ioredis";
import { respd } from "respd-test";

/** Takes jobs until it is told to go home. */
async function work(client) {
  const done = [];
  for (;;) {
    const [, job] = await client.blpop("jobs", 0);
    if (job === "go home") return done;
    done.push(job);
  }
}

test("each job is done once", async (t) => {
  const broker = await respd(t);
  const [client, ...workers] = Array.from({ length: 3 }, () => new Redis(broker.url));
  t.after(() => [client, ...workers].forEach((each) => each.disconnect()));
  const jobs = Array.from({ length: 100 }, (_, n) => `job ${n}`);

  const all = Promise.all(workers.map(work));
  await broker.until.blocked("jobs", 2);
  await client.rpush("jobs", ...jobs, "go home", "go home");
  const [first, second] = await all;
  assert.deepEqual([...first, ...second].sort(), jobs.sort());
});
