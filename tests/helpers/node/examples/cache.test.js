// My cache expires after an hour: nobody waits for it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Redis } from "ioredis";
import { respd } from "respd-test";

/** A page, rendered once an hour. */
async function page(cache, path, render) {
  const cached = await cache.get(path);
  if (cached !== null) return cached;
  const rendered = render(path);
  await cache.set(path, rendered, "EX", 3600);
  return rendered;
}

test("a page is rendered again after an hour", async (t) => {
  const broker = await respd(t);
  const cache = new Redis(broker.url);
  t.after(() => cache.disconnect());
  let count = 0;
  const render = (path) => `<h1>${path}, ${++count}</h1>`;

  await broker.clock.freeze();
  assert.equal(await page(cache, "/", render), "<h1>/, 1</h1>");
  await broker.clock.advance(3_599_000);
  assert.equal(await page(cache, "/", render), "<h1>/, 1</h1>");
  await broker.clock.advance(1000);
  assert.equal(await page(cache, "/", render), "<h1>/, 2</h1>");
});
