import assert from "node:assert/strict";
import { spawn as start } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { Redis } from "ioredis";
import { RespdError, respd, spawn } from "respd-test";

/** A broker, and what makes clients of it. */
async function setUp(t) {
  const broker = await respd(t);
  const client = (options) => {
    const client = new Redis(broker.url, options);
    t.after(() => client.disconnect());
    return client;
  };
  return { broker, client };
}

const refused = (text) => (error) => error instanceof RespdError && error.message === text;

test("the clock is moved", async (t) => {
  const { broker, client } = await setUp(t);
  const { clock } = broker;
  assert.equal(await clock.isFrozen(), false);
  assert.ok(Math.abs((await clock.now()) - Date.now()) < 60_000);
  await clock.freeze();
  assert.equal(await clock.isFrozen(), true);
  await clock.set(new Date(1_700_000_000_000));
  const redis = client();
  await redis.set("lock", "mine", "PX", 1500);
  await clock.advance(750);
  assert.equal(await clock.now(), 1_700_000_000_750);
  assert.equal(await redis.pttl("lock"), 750);
  assert.deepEqual(await clock.advanceToNext(), { due: "key", db: 0, key: "lock" });
  assert.equal(await clock.advanceToNext(), null);
  await clock.resume();
  assert.equal(await clock.isFrozen(), false);
});

test("each wait is for what it says", async (t) => {
  const { broker, client } = await setUp(t);
  const [redis, other, listener] = [client(), client({ connectionName: "worker" }), client()];
  await redis.xadd("stream", "*", "a", 1);
  await redis.xgroup("CREATE", "stream", "workers", 0);
  await redis.xreadgroup("GROUP", "workers", "ann", "STREAMS", "stream", ">");
  await other.select(3);
  await other.set("key", 1);
  await listener.subscribe("news");
  await listener.psubscribe("n*");
  await listener.ssubscribe("shard");
  const { until } = broker;
  await until.subscribers("news", 1);
  await until.patternSubscribers("n*", 1);
  await until.shardSubscribers("shard", 1);
  await until.blocked("jobs", 0);
  await until.exists("key", { db: 3 });
  await until.gone("key");
  await until.length("stream", 1);
  await until.pending("stream", "workers", 1);
  await until.clients(4);
  await until.sent("worker", "set", { times: 1 });
  await until.read("worker");
});

test("what does not come says what there is instead", async (t) => {
  const { broker } = await setUp(t);
  const message = "waited 0 s for the key 'k'; it is not there; keys: none";
  await assert.rejects(broker.until.exists("k", { within: 0 }), { name: "AssertionError", message });
  await assert.rejects(broker.until.clients(-1), refused("ERR value is out of range, must be positive"));
});

test("a wait holds up nobody else", async (t) => {
  const { broker, client } = await setUp(t);
  const waits = [broker.until.exists("key"), broker.until.exists("key")];
  await broker.until.clients(3);
  await client().set("key", 1);
  await Promise.all(waits);
});

test("data are loaded, exported and gone back to", async (t) => {
  const { broker, client } = await setUp(t);
  const redis = client();
  await broker.load({ jobs: { type: "list", value: ["one", "two"] } });
  await broker.load(`{"n": {"type": "string", "value": 1}}`);
  assert.equal(await broker.loadCommands(`# a comment\nset greeting "hel\\nlo"`), 1);
  assert.equal(await broker.export("[gn]*"), `db 0\n  "greeting" string "hel\\nlo"\n  "n" string "1"\n`);
  const before = await broker.snapshot();
  await redis.lpop("jobs");
  assert.equal(await before.difference(), `~ db 0 "jobs" list\n    - "one"\n`);
  assert.deepEqual((await broker.snapshots()).map(({ id }) => id), [before.id]);
  assert.equal(await before.rollBack(), 1);
  assert.equal(await before.difference(), "");
  await before.drop();
  assert.deepEqual(await broker.snapshots(), []);
  await assert.rejects(before.rollBack(), refused("ERR no such snapshot"));
});

test("text of any kind and length comes as it is", async (t) => {
  const { broker, client } = await setUp(t);
  await broker.loadCommands(Buffer.concat([Buffer.from(`set "\\xff€" `), Buffer.alloc(1_000_000, "x")]));
  assert.deepEqual(await client().keysBuffer("*"), [Buffer.from([0xff, 0xe2, 0x82, 0xac])]);
  assert.ok((await broker.export(Buffer.from([0xff, 0x2a]))).length > 1_000_000);
});

test("each call adds the fault that it says", async (t) => {
  const { faults } = (await setUp(t)).broker;
  await faults.error("boom", { command: "config|get", user: "default" });
  const every = { key: "order:*", channel: "n?ws", name: "w", id: 7, library: "py", db: 15 };
  await faults.delay(500, { ...every, nth: 3 });
  await faults.dropBefore({ name: "w", every: 2 });
  await faults.dropAfter({ name: "w", times: 4 });
  await faults.dropAmid({ chance: 50, seed: 9, name: "w" });
  await faults.refuse({ nth: 1000 });
  await faults.hang({ name: "w" });
  await faults.stall({ name: "w" });
  await faults.trickle({ name: "w" });
  await faults.lose({ name: "w" });
  await faults.duplicate({ name: "w" });
  await faults.reorder({ name: "w" });
  assert.deepEqual((await faults.list()).map(({ fault }) => fault), [
    "ERROR boom COMMAND config|get USER default",
    "DELAY 500 KEY order:* CHANNEL n?ws NAME w ID 7 LIBRARY py DB 15 NTH 3",
    "DROP BEFORE NAME w EVERY 2",
    "DROP AFTER NAME w TIMES 4",
    "DROP MIDDLE NAME w CHANCE 50 SEED 9",
    "REFUSE NTH 1000",
    ...["HANG", "STALL", "TRICKLE", "LOSE", "DUPLICATE", "REORDER"].map((action) => `${action} NAME w`),
  ]);
  await faults.clear();
  assert.deepEqual(await faults.list(), []);
  await assert.rejects(faults.refuse({ nth: 1, times: 2 }), refused("ERR syntax error"));
});

test("a fault strikes until it is removed", async (t) => {
  const { broker, client } = await setUp(t);
  const redis = client();
  const fault = await broker.faults.error("ERR boom", { command: "get", key: "order:*", every: 2 });
  assert.equal(await redis.get("order:1"), null);
  assert.equal(await redis.get("page:1"), null);
  await assert.rejects(redis.get("order:1"), { message: "ERR boom" });
  assert.deepEqual([await fault.hits(), await fault.matches()], [1, 2]);
  await fault.remove();
  assert.deepEqual([await redis.get("order:1"), await redis.get("order:1")], [null, null]);
  await assert.rejects(fault.hits(), refused("ERR no such fault"));
});

test("what was sent and delivered is on record", async (t) => {
  const { broker, client } = await setUp(t);
  const [shop, reader, listener] = [client({ connectionName: "shop" }), client(), client()];
  const record = await broker.record({ limit: 100 });
  await shop.set("order:1", "new");
  await shop.set("order:2", "new");
  await reader.get("order:1");
  await listener.subscribe("news");
  await shop.publish("news", "today");
  await record.assertSent(["SET", "order:?", "new"], { times: 2 });
  await record.assertSent(["set", "order:1", "..."]);
  await record.assertSent(["GET", "order:1"], { times: 0, name: "shop" });
  await record.assertDelivered(["message", "news", "to*"], { times: 1 });
  await record.assertInOrder(["SET order:1 new", "GET order:1"]);
  await record.assertUntouched("secret:*");
  const notSo = (message) => ({ name: "AssertionError", message });
  await assert.rejects(record.assertSent(["GET", "other"]), notSo(/^'GET other' was not sent; sent: get order:1 /));
  await assert.rejects(record.assertDelivered(["message", "old", "*"]), notSo(/^'message old \*' was not delivered/));
  await assert.rejects(record.assertInOrder(["GET order:1"], { name: "shop" }), notSo(/^'GET order:1' was not sent/));
  await assert.rejects(record.assertUntouched("order:*"), notSo(/order:/));
  await assert.rejects(record.assertSent([]), /^RespdError: ERR RESPD RECORD ASSERT takes, /);
  const [request, reply] = await record.entries({ key: "order:2" });
  assert.deepEqual(request.words, ["set", "order:2", "new"]);
  assert.deepEqual([reply.request, reply.text], [request.seq, "OK"]);
  const [last] = await record.entries({ count: 1, command: "set" });
  assert.equal(last.seq, reply.seq);
  assert.equal(await record.count({ command: "set" }), 4);
  assert.match(await record.transcript({ command: "set" }), /set order:1 new/);
  assert.equal((await record.state()).state, "recording");
  await record.clear();
  assert.equal(await record.count(), 0);
  await record.stop();
  await assert.rejects(record.count(), /no record/);
});

test("a broker goes and comes back", async (t) => {
  const { broker, client } = await setUp(t);
  await broker.clock.freeze();
  const cut = connect(broker.port, broker.host).on("error", () => {});
  const closed = once(cut.resume(), "close");
  await client().set("key", 1);
  await broker.restart({ after: 3_600_000 });
  await closed;
  assert.equal(await client().get("key"), "1");
  await broker.restart({ keep: false });
  assert.equal(await client().get("key"), null);
  assert.equal(await broker.clock.isFrozen(), true);
});

test("spaces know nothing of each other, and end", async (t) => {
  const shared = await spawn();
  t.after(() => shared.end());
  const [one, other] = [await shared.space(), await shared.space()];
  const ports = async () => (await shared.spaces()).map(({ port }) => port);
  assert.deepEqual(await ports(), [one.port, other.port]);
  await one.loadCommands("set key mine");
  await other.clock.freeze();
  assert.equal(await other.export(), "");
  assert.equal(await one.clock.isFrozen(), false);
  await other.end();
  assert.deepEqual(await ports(), [one.port]);
});

test("a broker of one's own has its flags", async () => {
  const broker = await spawn("--requirepass", "se/cret", "--databases", "2");
  const client = new Redis(broker.url);
  assert.deepEqual(await client.config("GET", "databases"), ["databases", "2"]);
  await broker.clock.freeze();
  assert.equal(await broker.clock.isFrozen(), true);
  client.on("error", () => {});
  await Promise.all([broker.end(), once(client, "close")]);
  client.disconnect();
});

test("what cannot be started says what to do", async (t) => {
  await assert.rejects(spawn("--databases", "many"), /has ended with status 1; what it wrote says why/);
  const { RESPD_BIN } = process.env;
  t.after(() => Object.assign(process.env, { RESPD_BIN }));
  process.env.RESPD_BIN = "/nowhere/respd";
  await assert.rejects(spawn(), /^RespdError: \/nowhere\/respd cannot be started \(ENOENT\): set RESPD_BIN .* PATH$/);
});

test("it ends with a process that is killed", async () => {
  const program = `
    import { spawn } from "respd-test";
    console.log((await spawn()).port);
    setInterval(() => {}, 1000);`;
  const child = start(process.execPath, ["--input-type=module", "-e", program], { stdio: ["ignore", "pipe", "inherit"] });
  const [port] = await once(child.stdout, "data");
  const connection = connect(Number(port), "127.0.0.1").on("error", () => {});
  await once(connection, "connect");
  child.kill("SIGKILL");
  await once(connection.resume(), "close");
});

test("what is idle keeps no process from its end", async () => {
  const program = `
    import { respd, spawn } from "respd-test";
    await (await spawn()).clock.now();
    await (await respd()).clock.now();`;
  const child = start(process.execPath, ["--input-type=module", "-e", program], { stdio: "inherit" });
  assert.deepEqual(await once(child, "exit"), [0, null]);
});

test("a connection that was closed meanwhile is replaced", async (t) => {
  const { broker, client } = await setUp(t);
  await broker.clock.freeze();
  await client().call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
  assert.equal(await broker.clock.isFrozen(), true);
});
