// My lock is lost when its time is up while I work: I must not release that of another.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { Redis } from "ioredis";
import { respd } from "respd-test";

const RELEASE = `return redis.call("GET", KEYS[1]) == ARGV[1] and redis.call("DEL", KEYS[1])`;

class Lock {
  token = randomUUID();

  constructor(client) {
    this.client = client;
  }

  async acquire() {
    return (await this.client.set("report", this.token, "EX", 30, "NX")) === "OK";
  }

  async release() {
    return (await this.client.eval(RELEASE, 1, "report", this.token)) === 1;
  }
}

test("who works for too long does not release the lock of another", async (t) => {
  const broker = await respd(t);
  const client = new Redis(broker.url);
  t.after(() => client.disconnect());
  const [mine, theirs] = [new Lock(client), new Lock(client)];
  assert.deepEqual([await mine.acquire(), await theirs.acquire()], [true, false]);
  await broker.clock.advance(30_000); // I work.
  assert.equal(await theirs.acquire(), true);
  assert.deepEqual([await mine.release(), await theirs.release()], [false, true]);
});
