// My worker retries after the connection is cut between execution and reply: the job that
// it has taken, but never seen, is not lost.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Redis } from "ioredis";
import { respd } from "respd-test";

/** The next job. One that was taken before, and not finished, comes first. */
async function take(client) {
  for (let attempt = 1; ; attempt++) {
    try {
      return (await client.lindex("taken", 0)) ?? (await client.lmove("jobs", "taken", "LEFT", "LEFT"));
    } catch (error) {
      if (error.name === "ReplyError" || attempt === 3) throw error;
    }
  }
}

test("a job whose reply was cut off is not lost", async (t) => {
  const broker = await respd(t);
  await broker.load({ jobs: { type: "list", value: ["one", "two"] } });
  const cut = await broker.faults.dropAfter({ command: "lmove", times: 1 });
  // Without that, ioredis itself takes "two", too.
  const worker = new Redis(broker.url, { maxRetriesPerRequest: 0 });
  t.after(() => worker.disconnect());

  assert.equal(await take(worker), "one");
  assert.equal(await cut.hits(), 1);
  assert.deepEqual(await worker.lrange("jobs", 0, -1), ["two"]);
});
