// Program: ioredis
// Needs: npm ioredis@6.0.0
// Exercises: RESP2 and RESP3, auto-pipelining, pipelines, transactions, subscribers, blocking connections, streams with groups, `defineCommand`, scan streams, `keyPrefix`, `monitor`, `reconnectOnError`, the offline queue over a restart
const Redis = require("ioredis");
const { Server, blocked, numbers, rejects, run, same, until } = require("checks");

const port = Number(process.env.PORT);
const read = async (stream) => (await stream.toArray()).flat();

async function values(connect) {
  const redis = connect();
  same(await redis.ping(), "PONG");
  same(await redis.mset({ a: 1, b: 2 }), "OK");
  same(await redis.mget("a", "b", "none"), ["1", "2", null]);
  same([await redis.incr("a"), await redis.incrbyfloat("a", "0.5"), await redis.append("b", "x")], [2, "2.5", 2]);
  const key = Buffer.from([0, 255, 13, 10]);
  same(await redis.set(key, Buffer.from([13, 10, 128])), "OK");
  same(await redis.getBuffer(key), Buffer.from([13, 10, 128]));
  same(await redis.hset("hash", new Map([["one", "1"], ["two", "2"]])), 2);
  same(await redis.hgetall("hash"), { one: "1", two: "2" });
  same(await redis.zadd("sorted", 1.5, "x", 2, "y", "inf", "z"), 3);
  same(await redis.zrange("sorted", 0, -1, "WITHSCORES"), ["x", "1.5", "y", "2", "z", "inf"]);
  same(await redis.zscore("sorted", "x"), "1.5");
  same(await redis.call("OBJECT", "ENCODING", "a"), "embstr");
  same(await redis.config("GET", "maxmemory-policy"), ["maxmemory-policy", "noeviction"]);
  same(await redis.geoadd("Sicily", 13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania"), 2);
  same(await redis.geodist("Sicily", "Palermo", "Catania", "km"), "166.2742");
  await rejects(redis.lpush("a", "x"), { name: "ReplyError", message: /^WRONGTYPE / });
  await rejects(redis.call("nosuch", "x"), { name: "ReplyError", message: /^ERR unknown command 'nosuch'/ });
  await rejects(redis.get(), { message: "ERR wrong number of arguments for 'get' command" });
  const short = connect({ commandTimeout: 50 });
  await rejects(short.blpop("nothing", 0), { message: "Command timed out" });
  const named = connect({ connectionName: "somebody", db: 3 });
  same(await named.client("GETNAME"), "somebody");
  same(/ db=3 /.test(await named.client("INFO")), true);
  same(await named.quit(), "OK");
  await rejects(named.ping(), { message: "Connection is closed." });
}

// What is asked for within one turn of the loop goes out together.
async function pipelines(connect) {
  const redis = connect({ enableAutoPipelining: true });
  await redis.ping();
  const asked = numbers(500).map((n) => redis.set(`auto:${n}`, n));
  same(redis.autoPipelineQueueSize, 500);
  same(await Promise.all(asked), numbers(500).map(() => "OK"));
  same(await Promise.all(numbers(500).map((n) => redis.get(`auto:${n}`))), numbers(500).map(String));
  const mixed = await Promise.allSettled([redis.incr("auto:1"), redis.lpush("auto:1", "x"), redis.incr("auto:1")]);
  same(mixed.map((one) => one.value ?? one.reason.message.split(" ")[0]), [2, "WRONGTYPE", 3]);
  const [waits, [, got]] = [redis.multi().set("auto:t", 1).incr("auto:t").exec(), await Promise.all([redis.ping(), redis.getBuffer("auto:7")])];
  same([await waits, got], [[[null, "OK"], [null, 2]], Buffer.from("7")]);

  const results = await redis.pipeline([["set", "p", "1"], ["lpush", "p", "x"], ["get", "p"]]).exec();
  same(results.map(([error, value]) => [error && error.name, value]), [[null, "OK"], ["ReplyError", undefined], [null, "1"]]);
  const large = redis.pipeline();
  for (const n of numbers(20_000)) large.rpush("large", "x".repeat(n % 100));
  same((await large.exec()).at(-1), [null, 20_000]);
}

async function transactions(connect) {
  const [redis, other] = [connect(), connect()];
  same(await redis.multi().set("t", 1).incr("t").hset("h", "f", "v").hgetall("h").exec(), [[null, "OK"], [null, 2], [null, 1], [null, { f: "v" }]]);
  const failing = await redis.multi().set("t", "text").incr("t").get("t").exec();
  same(failing.map(([error, value]) => error?.message ?? value), ["OK", "ERR value is not an integer or out of range", "text"]);
  await rejects(redis.multi().set("t", 1).get().exec(), { message: /^EXECABORT / });
  same(await redis.get("t"), "text");
  await redis.watch("t");
  await other.set("t", "changed");
  same(await redis.multi().set("t", "mine").exec(), null);
  await redis.watch("t");
  same(await redis.multi().set("t", "mine").get("t").exec(), [[null, "OK"], [null, "mine"]]);
  same(await redis.multi({ pipeline: false }), "OK");
  same([await redis.set("t", 5), await redis.incr("t")], ["QUEUED", "QUEUED"]);
  same(await redis.exec(), [[null, "OK"], [null, 6]]);
  // Two that add to one number, each over again until nobody was in between.
  await redis.set("sum", 0);
  const add = async (client) => {
    await client.watch("sum");
    const sum = Number(await client.get("sum"));
    return (await client.multi().set("sum", sum + 1).exec()) ?? add(client);
  };
  for (const _ of numbers(20)) await Promise.all([add(redis), add(other)]);
  same(await redis.get("sum"), "40");
}

async function subscribers(connect, protocol) {
  const [redis, subscriber, sharded] = [connect(), connect(), connect()];
  const heard = [];
  for (const event of ["message", "pmessage", "messageBuffer"]) subscriber.on(event, (...told) => heard.push([event, ...told]));
  sharded.on("smessage", (...told) => heard.push(["smessage", ...told]));
  same([await subscriber.subscribe("news", "weather"), await subscriber.psubscribe("w*"), await sharded.ssubscribe("part")], [2, 3, 1]);
  same(subscriber.mode, protocol === 2 ? "subscriber" : "normal");
  if (protocol === 2) await rejects(subscriber.get("a"), { message: /subscriber mode/ });
  else same(await subscriber.set("heard", 1), "OK");
  same([await redis.publish("news", "one"), await redis.publish("weather", "two")], [1, 2]);
  await until("two messages are heard", () => heard.length === 5);
  same(await redis.spublish("part", "three"), 1);
  await until("all is heard", () => heard.length === 6);
  same(heard, [
    ["message", "news", "one"], ["messageBuffer", Buffer.from("news"), Buffer.from("one")],
    ["message", "weather", "two"], ["messageBuffer", Buffer.from("weather"), Buffer.from("two")],
    ["pmessage", "w*", "weather", "two"], ["smessage", "part", "three"],
  ]);
  same(await redis.pubsub("NUMSUB", "news", "none"), ["news", 1, "none", 0]);
  same([await redis.pubsub("NUMPAT"), await redis.pubsub("SHARDCHANNELS")], [1, ["part"]]);
  same(await subscriber.ping(), protocol === 2 ? ["pong", ""] : "PONG");
  same([await subscriber.unsubscribe("news"), await redis.publish("news", "none")], [2, 0]);
  same([await subscriber.unsubscribe("weather"), await subscriber.punsubscribe("w*"), await sharded.sunsubscribe("part")], [1, 0, 0]);
  same([await subscriber.set("again", 1), subscriber.mode], ["OK", "normal"]);
}

async function blocking(connect) {
  const [redis, first, second] = [connect(), connect(), connect()];
  const jobs = [first.blpop("urgent", "tasks", 10)];
  await blocked(redis, 1);
  jobs.push(second.blpop("tasks", 10));
  await blocked(redis, 2);
  same(await redis.rpush("tasks", "one", "two", "three"), 3);
  same(await Promise.all(jobs), [["tasks", "one"], ["tasks", "two"]]);
  same(await first.blmove("tasks", "done", "LEFT", "RIGHT", 1), "three");
  const [smallest, several] = [first.bzpopmin("scores", 0), second.blmpop(0, 2, "none", "list", "LEFT", "COUNT", 2)];
  await blocked(redis, 2);
  await redis.multi().zadd("scores", 2, "b", 1, "a").rpush("list", 1, 2, 3).exec();
  same([await smallest, await several], [["scores", "a", "1"], ["list", ["1", "2"]]]);
  same([await first.brpop("nothing", 0.01), await second.bzpopmax("nothing", 0.01)], [null, null]);
  const [id, other] = [await first.client("ID"), await second.client("ID")];
  const [freed, failed] = [first.blpop("nothing", 0), second.blpop("nothing", 0)];
  await blocked(redis, 2);
  same([await redis.client("UNBLOCK", id), await redis.client("UNBLOCK", other, "ERROR")], [1, 1]);
  same(await freed, null);
  await rejects(failed, { message: /^UNBLOCKED / });
  // A worker whose connection is closed while it waits takes nothing.
  const gone = connect();
  gone.blpop("left", 0).catch(() => {});
  await blocked(redis, 1);
  gone.disconnect();
  await blocked(redis, 0);
  same([await redis.rpush("left", "x"), await redis.llen("left")], [1, 1]);
}

async function streams(connect) {
  const [redis, worker, other] = [connect(), connect(), connect()];
  same(await redis.xgroup("CREATE", "orders", "shop", "$", "MKSTREAM"), "OK");
  await rejects(redis.xgroup("CREATE", "orders", "shop", "$"), { message: /^BUSYGROUP / });
  const waiting = worker.xreadgroup("GROUP", "shop", "alice", "COUNT", 2, "BLOCK", 0, "STREAMS", "orders", ">");
  await blocked(redis, 1);
  for (const n of numbers(5)) same(await redis.xadd("orders", `1-${n + 1}`, "n", n), `1-${n + 1}`);
  same(await waiting, [["orders", [["1-1", ["n", "0"]]]]]);
  same(await other.xreadgroup("GROUP", "shop", "bob", "COUNT", 2, "STREAMS", "orders", ">"), [["orders", [["1-2", ["n", "1"]], ["1-3", ["n", "2"]]]]]);
  same(await redis.xack("orders", "shop", "1-1", "1-2"), 2);
  same(await redis.xpending("orders", "shop"), [1, "1-3", "1-3", [["bob", "1"]]]);
  // Bob is gone; Alice takes what he had.
  same(await worker.xautoclaim("orders", "shop", "alice", 0, "0"), ["0-0", [["1-3", ["n", "2"]]], []]);
  same((await redis.xpending("orders", "shop", "-", "+", 10)).map(([id, name, , times]) => [id, name, times]), [["1-3", "alice", 2]]);
  same(await worker.xclaim("orders", "shop", "bob", 0, "1-3", "JUSTID"), ["1-3"]);
  same(await other.xreadgroup("GROUP", "shop", "bob", "STREAMS", "orders", "0"), [["orders", [["1-3", ["n", "2"]]]]]);
  same(await other.xreadgroup("GROUP", "shop", "bob", "NOACK", "STREAMS", "orders", ">"), [["orders", [["1-4", ["n", "3"]], ["1-5", ["n", "4"]]]]]);
  same(await worker.xreadgroup("GROUP", "shop", "alice", "BLOCK", 10, "STREAMS", "orders", ">"), null);
  same(await redis.xread("COUNT", 1, "STREAMS", "orders", "none", "1-3", "0"), [["orders", [["1-4", ["n", "3"]]]]]);
  same(await redis.xrevrange("orders", "+", "-", "COUNT", 1), [["1-5", ["n", "4"]]]);
  same([await redis.xtrim("orders", "MAXLEN", 2), await redis.xlen("orders"), await redis.xdel("orders", "1-4")], [3, 2, 1]);
  const [name, group, ...more] = (await redis.xinfo("GROUPS", "orders"))[0];
  same([name, group, more.slice(0, 4)], ["name", "shop", ["consumers", 2, "pending", 1]]);
  same(await redis.xgroup("DESTROY", "orders", "shop"), 1);
}

async function scripts(connect) {
  const limit = `local n = redis.call("INCR", KEYS[1]); if n == 1 then redis.call("PEXPIRE", KEYS[1], ARGV[1]) end; return n`;
  const redis = connect({ scripts: { limit: { numberOfKeys: 1, lua: limit } } });
  redis.defineCommand("several", { lua: "return {KEYS, ARGV}" });
  redis.defineCommand("fails", { numberOfKeys: 0, lua: 'return redis.error_reply("MINE no")' });
  same([await redis.limit("tries", 100_000), await redis.limit("tries", 100_000)], [1, 2]);
  same((await redis.pttl("tries")) > 0, true);
  same(await redis.several(2, "a", "b", "c"), [["a", "b"], ["c"]]);
  same(await redis.severalBuffer(1, "a", Buffer.from([255])), [[Buffer.from("a")], [Buffer.from([255])]]);
  await rejects(redis.fails(), { message: "MINE no" });
  // Forgotten by the server, and sent again.
  await redis.script("FLUSH");
  same(await redis.limit("tries", 100_000), 3);
  await redis.script("FLUSH");
  same(await redis.pipeline().set("x", 1).limit("tries", 100_000).limit("other", 100_000).exec(), [[null, "OK"], [null, 4], [null, 1]]);
  same(await redis.several(0, "z"), [[], ["z"]]);
  same(await redis.multi().limit("tries", 100_000).several(0, "z").exec(), [[null, 5], [null, [[], ["z"]]]]);
  same(await Promise.all(numbers(100).map(() => redis.limit("many", 100_000))), numbers(100).map((n) => n + 1));
}

async function scans(connect) {
  const redis = connect();
  const keys = numbers(10_000).map((n) => `key:${n}`);
  await redis.mset(keys.flatMap((key) => [key, "x"]));
  await redis.rpush("list:1", "x");
  const found = await read(redis.scanStream({ match: "key:*", count: 500 }));
  same([found.length, new Set(found).size], [10_000, 10_000]);
  same(await read(redis.scanStream({ type: "list", match: "list:*", count: 1000 })), ["list:1"]);
  await redis.hset("big", Object.fromEntries(numbers(2000).map((n) => [`f${n}`, n])));
  same((await read(redis.hscanStream("big", { match: "f1*", count: 100 }))).length, 2 * 1111);
  await redis.sadd("members", numbers(1000));
  same((await read(redis.sscanStream("members"))).map(Number).sort((a, b) => a - b), numbers(1000));
  await redis.zadd("ranks", ...numbers(1000).flatMap((n) => [n, `m${n}`]));
  same((await read(redis.zscanStream("ranks", { match: "m99?" }))).length, 20);
  same((await read(redis.scanBufferStream({ match: "list:*", count: 5000 })))[0], Buffer.from("list:1"));
  // Deleted in batches while they are found.
  const stream = redis.scanStream({ match: "key:*", count: 1000 });
  for await (const batch of stream) if (batch.length) await redis.unlink(batch);
  same(await read(redis.scanStream({ match: "key:*", count: 1000 })), []);
}

async function prefixes(connect) {
  const [redis, app] = [connect(), connect({ keyPrefix: "app:" })];
  same([await app.set("a", 1), await redis.get("app:a"), await app.mget("a", "b")], ["OK", "1", ["1", null]]);
  app.defineCommand("keyed", { numberOfKeys: 2, lua: "return {KEYS[1], KEYS[2], ARGV[1]}" });
  same(await app.keyed("x", "y", "z"), ["app:x", "app:y", "z"]);
  await app.pipeline().rpush("ids", 2, 1).set("weight:1", 5).set("weight:2", 4).set("name:1", "one").set("name:2", "two").exec();
  same(await app.sort("ids", "BY", "weight:*", "GET", "name:*", "GET", "#"), ["two", "2", "one", "1"]);
  same([await app.zadd("s1", 1, "m"), await app.zadd("s2", 2, "m"), await app.zunionstore("both", 2, "s1", "s2")], [1, 1, 1]);
  same(await redis.zscore("app:both", "m"), "3");
  await app.xadd("log", "1-1", "k", "v");
  same(await app.xread("STREAMS", "log", "0"), [["app:log", [["1-1", ["k", "v"]]]]]);
  same((await app.keys("app:s?")).sort(), ["app:s1", "app:s2"]);
  same(await app.del("s1", "s2", "both"), 3);
}

async function watching(connect) {
  const redis = connect();
  // What it asks when it connects is over before anybody watches.
  await redis.ping();
  const monitor = await redis.monitor();
  const seen = [];
  monitor.on("monitor", (time, words, source, db) => seen.push([words, db]));
  await redis.set("a", "x\ny");
  await redis.multi().incr("n").exec();
  await redis.eval("return redis.call('GET', KEYS[1])", 1, "a");
  await until("all is seen", () => seen.length === 6);
  same(seen, [
    [["set", "a", "x\\ny"], "0"], [["multi"], "0"], [["incr", "n"], "0"], [["exec"], "0"],
    [["eval", "return redis.call('GET', KEYS[1])", "1", "a"], "0"], [["GET", "a"], "0"],
  ]);
  monitor.disconnect();
}

async function shapes() {
  const redis = new Redis({ port, replyMapping: "resp3" });
  await redis.zadd("typed", 1.5, "x");
  same([await redis.zscore("typed", "x"), await redis.zrange("typed", 0, -1, "WITHSCORES")], [1.5, [["x", 1.5]]]);
  same({ ...(await redis.config("GET", "maxmemory-policy")) }, { "maxmemory-policy": "noeviction" });
  await redis.hset("typed:hash", "a", 1);
  same({ ...(await redis.hgetall("typed:hash")) }, { a: "1" });
  redis.disconnect();
}

// An error upon which the client connects anew, and asks again: as when what was a replica is none any more.
async function reconnecting(connect) {
  let connections = 0;
  const redis = connect({ retryStrategy: () => 1, reconnectOnError: (error) => (error.message.startsWith("READONLY") ? 2 : false) });
  redis.on("ready", () => connections++);
  await redis.select(4);
  const third = 'if redis.call("INCR", KEYS[1]) < 3 then return redis.error_reply("READONLY not yet") end return "written"';
  same(await redis.eval(third, 1, "tries:4"), "written");
  same([connections, await redis.get("tries:4")], [3, "3"]);
  const once = connect({ retryStrategy: () => 1, reconnectOnError: () => true });
  const again = new Promise((ready) => once.once("reconnecting", ready));
  await rejects(once.lpush("tries:4", "x").then(() => once.incr("one", "two")), { message: /^ERR wrong number/ });
  await again;
  same(await once.ping(), "PONG");
}

// What was asked for while nobody listens is done when somebody does.
async function restart(connect, protocol) {
  const server = await Server.start("--requirepass", "secret");
  const errors = [];
  const open = (options) => {
    const client = connect({ port: server.port, password: "secret", retryStrategy: () => 10, maxRetriesPerRequest: null, ...options });
    return client.on("error", (error) => errors.push(error.code ?? error.message));
  };
  const [redis, subscriber, worker, proud, hasty] = [
    open({ db: 2 }), open(), open(), open({ enableOfflineQueue: false }), open({ maxRetriesPerRequest: 1 }),
  ];
  const clients = [redis, subscriber, worker, proud, hasty];
  await Promise.all([redis, subscriber, worker, hasty].map((client) => client.ping()));
  await until("all are ready", () => proud.status === "ready");
  redis.defineCommand("twice", { numberOfKeys: 1, lua: 'redis.call("INCR", KEYS[1]); return redis.call("INCR", KEYS[1])' });
  same(await redis.twice("n"), 2);
  const heard = [];
  subscriber.on("message", (_, message) => heard.push(message)).on("pmessage", (_, __, message) => heard.push(message));
  await subscriber.subscribe("news");
  await subscriber.psubscribe("n*");
  const job = worker.blpop("jobs", 0);
  await blocked(redis, 1);

  await server.stop();
  await until("all have noticed", () => clients.every((client) => client.status !== "ready"));
  const late = [redis.set("offline", 1), redis.twice("n"), redis.multi().incr("offline").get("offline").exec(), redis.pipeline().incr("offline").exec()];
  await rejects(proud.get("a"), { message: "Stream isn't writeable and enableOfflineQueue options is false" });
  await rejects(hasty.get("a"), { name: "MaxRetriesPerRequestError" });
  await server.start();
  same(await Promise.all(late), ["OK", 2, [[null, 2], [null, "2"]], [[null, 3]]]);
  same(/ db=2 /.test(await redis.client("INFO")), true);
  await until("the subscriber is back", async () => (await redis.publish("news", "again")) === 2);
  await until("it hears", () => heard.length === 2);
  same(heard, ["again", "again"]);
  await blocked(redis, 1);
  same([await redis.select(0), await redis.rpush("jobs", "job"), await job], ["OK", 1, ["jobs", "job"]]);
  await until("all are back", () => clients.every((client) => client.status === "ready"));
  same(errors.includes("ECONNREFUSED"), true);

  // Closed by the server, one by one.
  same(await redis.client("KILL", "ID", await worker.client("ID")), 1);
  same(await worker.incr("n"), 1);
  const wrong = new Redis({ port: server.port, protocol, password: "wrong", retryStrategy: null });
  const refused = new Promise((told) => wrong.once("error", told));
  await rejects(wrong.ping(), { message: /WRONGPASS/ });
  same((await refused).message.split(" ")[0], "WRONGPASS");
  for (const client of clients) client.disconnect();
  await server.stop();
}

run(async () => {
  for (const protocol of [2, 3]) {
    for (const part of [values, pipelines, transactions, subscribers, blocking, streams, scripts, scans, prefixes, watching, reconnecting, restart]) {
      const clients = [];
      const connect = (options) => {
        clients.push(new Redis({ port, protocol, ...options }));
        return clients.at(-1);
      };
      await connect().flushall();
      await part(connect, protocol);
      for (const client of clients) client.disconnect();
    }
  }
  await shapes();
});
