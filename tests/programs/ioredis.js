// Program: ioredis
// Needs: npm ioredis@5.8.2
// Exercises: strings, publish/subscribe, queues, transactions
//
// Publish/subscribe, a queue, expiry and a transaction with ioredis.
const Redis = require("ioredis");
const port = Number(process.env.PORT);

const say = (...things) => console.log(...things.map((thing) => JSON.stringify(thing)));
const until = async (what, done) => {
  const deadline = Date.now() + 20_000;
  while (!(await done())) {
    if (Date.now() > deadline) throw new Error(`waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};

(async () => {
  const redis = new Redis(port, "127.0.0.1");
  say(await redis.flushall(), await redis.ping());

  say(await redis.set("a", "1"), await redis.get("a"), await redis.mset("b", 2, "c", 3), await redis.mget("a", "b", "nope"));
  say(await redis.incr("a"), await redis.incrbyfloat("a", "0.1"), await redis.append("b", "x"), await redis.getset("c", "d"));
  say(await redis.getBuffer("b"), await redis.set(Buffer.from([0, 255, 10]), Buffer.from([13, 10])), await redis.strlen(Buffer.from([0, 255, 10])));

  const subscriber = new Redis(port, "127.0.0.1");
  const messages = [];
  subscriber.on("message", (channel, message) => messages.push([channel, message]));
  subscriber.on("pmessage", (pattern, channel, message) => messages.push([pattern, channel, message]));
  say(await subscriber.subscribe("news", "weather"), await subscriber.psubscribe("w*"));
  say(await redis.publish("news", "one"), await redis.publish("weather", "two"));
  await until("three messages", () => messages.length === 3);
  say(messages, await subscriber.unsubscribe("news"), await redis.publish("news", "none"));
  subscriber.disconnect();

  const worker = new Redis(port, "127.0.0.1", { db: 5 });
  const producer = new Redis(port, "127.0.0.1", { db: 5 });
  const job = worker.blpop("urgent", "tasks", 10);
  await until("the worker is blocked", async () => /blocked_clients:1/.test(await redis.info("clients")));
  say(await producer.lpush("tasks", "job"), await job);
  say(await producer.rpush("tasks", 1, 2, 3, 4), await producer.lrange("tasks", 0, -1), await worker.blmove("tasks", "done", "LEFT", "RIGHT", 1));
  say(await worker.lmpop(2, "none", "tasks", "RIGHT", "COUNT", 2), await worker.brpop("nothing", 0.01));

  say(await redis.setex("session", 100, "data"), (await redis.ttl("session")) > 0, await redis.persist("session"), await redis.ttl("session"));
  await redis.set("short", "x", "PX", 40);
  await until("short expires", async () => (await redis.exists("short")) === 0);
  say(await redis.pttl("short"), await redis.set("lock", "me", "EX", 10, "NX"), await redis.set("lock", "you", "EX", 10, "NX"));

  say((await redis.multi().set("t", 1).incr("t").lpush("t", "x").get("t").exec()).map(([error, value]) => [error && error.message, value]));
  await redis.watch("t");
  await producer.select(0);
  await producer.set("t", 9);
  say(await redis.multi().get("t").exec());
  for (const [name, ...words] of [["nosuch", "x"], ["lpush", "a", "x"], ["get"], ["config", "get", "maxmemory-policy"]]) {
    say(await redis.call(name, ...words).catch((error) => error.message));
  }
  let cursor = "0";
  const found = [];
  do {
    const [next, keys] = await redis.scan(cursor, "COUNT", 2);
    cursor = next;
    found.push(...keys);
  } while (cursor !== "0");
  say(found.length, await redis.dbsize(), await redis.type("a"), await redis.object("encoding", "b"));
  for (const client of [redis, worker, producer]) client.disconnect();
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
