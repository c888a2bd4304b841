// The subscriber is there before I publish: a message that comes earlier is lost.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Redis } from "ioredis";
import { respd } from "respd-test";

/** What a service hears first. */
async function firstOrder(listener) {
  listener.subscribe("orders"); // and forgets to wait for it
  const [, order] = await once(listener, "message");
  return order;
}

test("the service hears the first order", async (t) => {
  const broker = await respd(t);
  const [listener, client] = [new Redis(broker.url), new Redis(broker.url)];
  t.after(() => [listener, client].forEach((each) => each.disconnect()));
  const heard = firstOrder(listener);

  await broker.until.subscribers("orders", 1);
  assert.equal(await client.publish("orders", "one"), 1);
  assert.equal(await heard, "one");
});
