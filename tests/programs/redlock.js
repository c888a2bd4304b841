// Program: redlock
// Needs: npm redlock@4.2.0 ioredis@6.0.0
// Exercises: acquiring, extending, contention, several resources, a lock that times out, a majority of three servers of which one is stopped
const Redis = require("ioredis");
const Redlock = require("redlock");
const { Server, numbers, rejects, run, same, until } = require("checks");

async function one() {
  const redis = new Redis(Number(process.env.PORT));
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
  const brief = await redlock.acquire("brief", 500);
  await until("the lock times out", async () => !(await redis.exists("brief")));
  await rejects(brief.unlock(), { name: "LockError" });
  // Many that add to one number, each under the lock.
  await redis.set("sum", 0);
  const add = async () => {
    const held = await patient.acquire("sum:lock", 10_000);
    await redis.set("sum", Number(await redis.get("sum")) + 1);
    await held.unlock();
  };
  await Promise.all(numbers(10).map(add));
  same(await redis.get("sum"), "10");
  redis.disconnect();
}


// Of three servers, two are enough, and one is not.
async function three() {
  const servers = await Promise.all(numbers(3).map(() => Server.start()));
  const clients = servers.map(({ port }) => new Redis({ port, maxRetriesPerRequest: 0, retryStrategy: () => 10 }).on("error", () => {}));
  const redlock = new Redlock(clients, { retryCount: 0 });
  const failures = [];
  redlock.on("clientError", (error) => failures.push(error));
  const values = async (key) => Promise.all(clients.filter(({ status }) => status === "ready").map((client) => client.get(key)));
  const lock = await redlock.acquire("resource", 10_000);
  same(await values("resource"), numbers(3).map(() => lock.value));
  await lock.unlock();

  // Somebody has it on one of them, and then on two.
  await clients[0].set("resource", "another's");
  const most = await redlock.acquire("resource", 10_000);
  same(await values("resource"), ["another's", most.value, most.value]);
  await most.unlock();
  same(await values("resource"), ["another's", null, null]);
  await clients[1].set("resource", "another's");
  await rejects(redlock.acquire("resource", 10_000), { name: "LockError" });
  same(await values("resource"), ["another's", "another's", null]);

  await servers[2].stop();
  await until("it is noticed", () => clients[2].status !== "ready");
  same(failures, []);
  const without = await redlock.acquire("other", 10_000);
  same([await values("other"), failures.length], [[without.value, without.value], 1]);
  await without.extend(20_000);
  await without.unlock();
  same(await values("other"), [null, null]);
  await servers[1].stop();
  await until("it is noticed", () => clients[1].status !== "ready");
  await rejects(redlock.acquire("other", 10_000), { name: "LockError" });
  same(await values("other"), [null]);
  await Promise.all([servers[1].start(), servers[2].start()]);
  await until("all are back", () => clients.every(({ status }) => status === "ready"));
  const again = await redlock.acquire("other", 10_000);
  same(await values("other"), numbers(3).map(() => again.value));
  for (const client of clients) client.disconnect();
  for (const server of servers) await server.stop();
}

run(async () => {
  await one();
  await three();
});
