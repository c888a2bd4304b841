// Program: node-redis
// Needs: npm redis@6.3.1
// Exercises: RESP2 and RESP3, pipelines and transactions, pools, subscribers, client-side caches, scan iterators, blocking and isolated connections, streams with groups, scripts and functions, type mapping, reconnecting after a restart
const {
  AbortError, BasicPooledClientSideCache, ClientOfflineError, DisconnectsClientError, MultiErrorReply, RESP_TYPES, WatchError,
  createClient, createClientPool, defineScript,
} = require("redis");
const { Server, blocked, numbers, rejects, run, same, until } = require("checks");

const socket = { port: Number(process.env.PORT), reconnectStrategy: 10 };
const plain = (object) => ({ ...object });
const read = async (pages) => {
  const all = [];
  for await (const page of pages) all.push(...page);
  return all;
};

async function values(open) {
  const redis = await open();
  same([await redis.ping(), await redis.echo("x")], ["PONG", "x"]);
  same([await redis.mSet({ a: "1", b: "2" }), await redis.mGet(["a", "b", "none"])], ["OK", ["1", "2", null]]);
  same([await redis.incrBy("a", 4), await redis.incrByFloat("a", 0.5), await redis.append("b", "x")], [5, "5.5", 2]);
  same(await redis.set("c", "x", { expiration: { type: "EX", value: 100 }, condition: "NX" }), "OK");
  same(await redis.set("c", "y", { condition: "NX" }), null);
  same([await redis.set("c", "z", { expiration: "KEEPTTL", GET: true }), (await redis.ttl("c")) > 90], ["x", true]);
  same([await redis.expire("c", 10, "GT"), await redis.expire("c", 1000, "GT"), await redis.getDel("c")], [0, 1, "z"]);
  same([await redis.hSet("h", { one: 1, two: "x" }), plain(await redis.hGetAll("h")), await redis.hmGet("h", ["two", "no"])], [2, { one: "1", two: "x" }, ["x", null]]);
  same(await redis.zAdd("z", [{ score: 1.5, value: "x" }, { score: Infinity, value: "y" }]), 2);
  same((await redis.zRangeWithScores("z", 0, -1)).map(plain), [{ value: "x", score: 1.5 }, { value: "y", score: Infinity }]);
  same([await redis.zScore("z", "x"), await redis.zmScore("z", ["y", "no"]), await redis.zIncrBy("z", 1, "x")], [1.5, [Infinity, null], 2.5]);
  same([await redis.sAdd("s", ["a", "b"]), await redis.sIsMember("s", "a"), await redis.smIsMember("s", ["a", "c"])], [2, 1, [1, 0]]);
  same(await redis.geoAdd("geo", [{ longitude: 13.361389, latitude: 38.115556, member: "Palermo" }, { longitude: 15.087269, latitude: 37.502669, member: "Catania" }]), 2);
  same(await redis.geoSearch("geo", { longitude: 15, latitude: 37 }, { radius: 100, unit: "km" }), ["Catania"]);
  same([await redis.pfAdd("hll", ["a", "b", "c"]), await redis.pfCount("hll")], [1, 3]);
  same([await redis.objectEncoding("h"), await redis.type("h"), plain(await redis.configGet("maxmemory-policy"))], ["listpack", "hash", { "maxmemory-policy": "noeviction" }]);
  same((await redis.commandInfo(["get"]))[0].arity, 2);
  await rejects(redis.lPush("a", "x"), { message: /^WRONGTYPE / });
  await rejects(redis.sendCommand(["nosuch", "x"]), { message: /^ERR unknown command 'nosuch'/ });

  const bytes = redis.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  same([await bytes.set(Buffer.from([0, 255]), Buffer.from([13, 10, 128])), await bytes.get(Buffer.from([0, 255]))], ["OK", Buffer.from([13, 10, 128])]);
  same(await redis.withTypeMapping({ [RESP_TYPES.MAP]: Map }).hGetAll("h"), new Map([["one", "1"], ["two", "x"]]));
  const named = await open({ name: "somebody", database: 3 });
  same([await named.clientGetName(), (await named.clientInfo()).db], ["somebody", 3]);
  const legacy = redis.legacy();
  same(await new Promise((told) => legacy.get("a", (error, value) => told([error, value]))), [null, "5.5"]);
}

async function pipelines(open) {
  const [redis, other] = [await open(), await open()];
  same(await Promise.all(numbers(2000).map((n) => redis.set(`key:${n}`, n))), numbers(2000).map(() => "OK"));
  same(await Promise.all(numbers(2000).map((n) => redis.get(`key:${n}`))), numbers(2000).map(String));
  same(await redis.multi().set("a", 1).incr("a").hSet("h", "f", "v").hGetAll("h").exec().then((all) => all.map((one) => (typeof one === "object" ? plain(one) : one))), ["OK", 2, 1, { f: "v" }]);
  same(await redis.multi().ping().set("a", 1).get("a").execAsPipeline(), ["PONG", "OK", "1"]);
  await rejects(redis.multi().set("a", "text").incr("a").get("a").exec(), (error) => {
    same([error instanceof MultiErrorReply, error.errorIndexes, error.replies[2]], [true, [1], "text"]);
    return true;
  });
  await rejects(redis.multi().set("a", "mine").sendCommand(["GET"]).exec(), { message: /wrong number of arguments|EXECABORT/ });
  same(await redis.get("a"), "text");
  same(await redis.multi().select(5).set("there", 1).exec(), ["OK", "OK"]);
  same([(await redis.clientInfo()).db, await redis.get("there")], [5, "1"]);
  await redis.select(0);

  await redis.watch("a");
  await other.set("a", "changed");
  await rejects(redis.multi().set("a", "mine").exec(), WatchError);
  same(await redis.get("a"), "changed");
  await redis.watch(["a", "none"]);
  await redis.unwatch();
  await other.set("a", "again");
  same(await redis.multi().get("a").exec(), ["again"]);
}

// Each task has a connection to itself, as long as it takes.
async function pools(open, RESP) {
  const pool = await createClientPool({ socket, RESP }, { minimum: 1, maximum: 4, acquireTimeout: 10_000 }).connect();
  same([await pool.set("sum", 0), pool.totalClients], ["OK", 1]);
  const add = () => pool.execute(async (client) => {
    for (;;) {
      await client.watch("sum");
      const sum = Number(await client.get("sum"));
      try {
        return await client.multi().set("sum", sum + 1).exec();
      } catch (error) {
        if (!(error instanceof WatchError)) throw error;
      }
    }
  });
  await Promise.all(numbers(50).map(add));
  same([await pool.get("sum"), pool.totalClients], ["50", 4]);
  const waiting = numbers(4).map(() => pool.execute((client) => client.blPop("jobs", 0)));
  const after = pool.get("sum");
  const redis = await open();
  await blocked(redis, 4);
  same([pool.clientsInUse, pool.tasksQueueLength], [4, 1]);
  same(await redis.rPush("jobs", ["a", "b", "c", "d"]), 4);
  same((await Promise.all(waiting)).map((job) => job.element).sort(), ["a", "b", "c", "d"]);
  same([await after, await pool.multi().incr("sum").get("sum").exec()], ["50", [51, "51"]]);
  await pool.close();
  same(pool.isOpen, false);
}

async function subscribers(open, RESP) {
  const [redis, subscriber, sharded] = [await open(), await open(), await open()];
  const heard = [];
  const hear = (...told) => heard.push(told);
  const hearToo = (message, channel) => heard.push(["too", message, channel]);
  await subscriber.subscribe(["news", "weather"], hear);
  await subscriber.subscribe("news", hearToo);
  await subscriber.pSubscribe("w*", hear);
  await sharded.sSubscribe("part", hear, true);
  same([await redis.publish("news", "one"), await redis.publish("weather", "two")], [1, 2]);
  await until("two messages are heard", () => heard.length === 4);
  same(await redis.sPublish("part", "three"), 1);
  await until("all is heard", () => heard.length === 5);
  same(heard, [["one", "news"], ["too", "one", "news"], ["two", "weather"], ["two", "weather"], [Buffer.from("three"), Buffer.from("part")]]);
  same([plain(await redis.pubSubNumSub(["news", "none"])), await redis.pubSubNumPat(), (await redis.pubSubChannels()).sort()], [{ news: 1, none: 0 }, 1, ["news", "weather"]]);
  same([await redis.pubSubShardChannels(), plain(await redis.pubSubShardNumSub(["part"]))], [["part"], { part: 1 }]);
  if (RESP === 3) same([await subscriber.set("heard", 1), await subscriber.get("heard")], ["OK", "1"]);
  else same(await subscriber.ping(), "pong");
  await subscriber.unsubscribe("news", hear);
  same(await redis.publish("news", "more"), 1);
  await until("one more is heard", () => heard.length === 6);
  same(heard[5], ["too", "more", "news"]);
  await subscriber.unsubscribe();
  await subscriber.pUnsubscribe("w*");
  await sharded.sUnsubscribe("part");
  same([await redis.publish("news", "x"), await redis.publish("weather", "x"), await redis.sPublish("part", "x")], [0, 0, 0]);
  // With RESP2, the client goes on reading replies as bytes.
  same([String(await subscriber.set("again", 1)), subscriber.isPubSubActive], ["OK", false]);
  // What the server tells of its keys.
  await redis.configSet("notify-keyspace-events", "KEA");
  heard.length = 0;
  await subscriber.pSubscribe("__keyevent@0__:*", (key, channel) => heard.push([channel.split(":")[1], key]));
  await redis.set("brief", "x", { PX: 20 });
  await until("it expires", () => heard.some(([event]) => event === "expired"));
  same(heard, [["set", "brief"], ["expire", "brief"], ["expired", "brief"]]);
  await redis.configSet("notify-keyspace-events", "");
}

async function blocking(open) {
  const [redis, first, second] = [await open(), await open(), await open()];
  const jobs = [first.blPop(["urgent", "tasks"], 10)];
  await blocked(redis, 1);
  jobs.push(second.brPop("tasks", 10));
  await blocked(redis, 2);
  same(await redis.rPush("tasks", ["one", "two", "three"]), 3);
  same((await Promise.all(jobs)).map(plain), [{ key: "tasks", element: "one" }, { key: "tasks", element: "three" }]);
  same(await first.blMove("tasks", "done", "LEFT", "RIGHT", 1), "two");
  const [smallest, several] = [first.bzPopMin("scores", 0), second.blmPop(0, ["none", "list"], "LEFT", { COUNT: 2 })];
  await blocked(redis, 2);
  await redis.multi().zAdd("scores", { score: 1, value: "a" }).rPush("list", ["1", "2", "3"]).exec();
  same([plain(await smallest), await several], [{ key: "scores", value: "a", score: 1 }, ["list", ["1", "2"]]]);
  same([await first.blPop("nothing", 0.01), await first.bzPopMax("nothing", 0.01)], [null, null]);
  // Its reply would have come to nobody: it takes nothing.
  const gone = await open();
  const never = gone.blPop("left", 0);
  await blocked(redis, 1);
  gone.destroy();
  await rejects(never, DisconnectsClientError);
  await blocked(redis, 0);
  same([await redis.rPush("left", "x"), await redis.lLen("left")], [1, 1]);
  const id = await first.clientId();
  const freed = first.blPop("nothing", 0);
  await blocked(redis, 1);
  same([await redis.clientUnblock(id), await freed], [1, null]);
}

async function streams(open) {
  const [redis, worker, other] = [await open(), await open(), await open()];
  const entry = (n) => ({ id: `1-${n}`, message: { n: String(n) } });
  const entries = (found) => found.map(({ id, message }) => ({ id, message: plain(message) }));
  const take = async (client, name, id, options) => {
    const found = await client.xReadGroup("shop", name, { key: "orders", id }, options);
    return found && entries(found[0].messages);
  };
  same(await redis.xGroupCreate("orders", "shop", "$", { MKSTREAM: true }), "OK");
  await rejects(redis.xGroupCreate("orders", "shop", "$"), { message: /^BUSYGROUP / });
  const waiting = take(worker, "alice", ">", { COUNT: 2, BLOCK: 0 });
  await blocked(redis, 1);
  for (const n of [1, 2, 3, 4, 5]) same(await redis.xAdd("orders", `1-${n}`, { n: String(n) }), `1-${n}`);
  same(await waiting, [entry(1)]);
  same(await take(other, "bob", ">", { COUNT: 2 }), [entry(2), entry(3)]);
  same(await redis.xAck("orders", "shop", ["1-1", "1-2"]), 2);
  const { pending, firstId, lastId, consumers } = await redis.xPending("orders", "shop");
  same([pending, firstId, lastId, consumers.map(plain)], [1, "1-3", "1-3", [{ name: "bob", deliveriesCounter: 1 }]]);
  const claimed = await worker.xAutoClaim("orders", "shop", "alice", 0, "0");
  same([claimed.nextId, entries(claimed.messages), claimed.deletedMessages], ["0-0", [entry(3)], []]);
  same((await redis.xPendingRange("orders", "shop", "-", "+", 10)).map(({ id, consumer, deliveriesCounter }) => [id, consumer, deliveriesCounter]), [["1-3", "alice", 2]]);
  same(await worker.xClaimJustId("orders", "shop", "bob", 0, "1-3"), ["1-3"]);
  same(await take(other, "bob", "0"), [entry(3)]);
  same(await take(worker, "alice", ">", { NOACK: true }), [entry(4), entry(5)]);
  same(await take(worker, "alice", ">", { BLOCK: 10 }), null);
  same((await redis.xRead([{ key: "orders", id: "1-4" }, { key: "none", id: "0" }])).map(({ name, messages }) => [name, entries(messages)]), [["orders", [entry(5)]]]);
  same([entries(await redis.xRange("orders", "-", "+", { COUNT: 1 })), entries(await redis.xRevRange("orders", "+", "1-5"))], [[entry(1)], [entry(5)]]);
  same([await redis.xTrim("orders", "MAXLEN", 2), await redis.xLen("orders"), await redis.xDel("orders", "1-4")], [3, 2, 1]);
  same((await redis.xInfoGroups("orders")).map((group) => [group.name, group.consumers, group.pending]), [["shop", 2, 1]]);
  same((await redis.xInfoStream("orders"))["last-generated-id"], "1-5");
}

const limit = defineScript({
  SCRIPT: 'local n = redis.call("INCR", KEYS[1]); if n == 1 then redis.call("PEXPIRE", KEYS[1], ARGV[1]) end; return n <= tonumber(ARGV[2])',
  NUMBER_OF_KEYS: 1,
  parseCommand(parser, key, window, most) {
    parser.pushKey(key);
    parser.push(String(window), String(most));
  },
  transformReply: (reply) => reply === 1,
});
const library = {
  add: { NUMBER_OF_KEYS: 1, parseCommand: (parser, key, by) => (parser.pushKey(key), parser.push(String(by))), transformReply: undefined },
};

async function scripts(open) {
  const redis = await open({ scripts: { limit }, functions: { library }, keyPrefix: "app:" });
  same([await redis.limit("tries", 100_000, 2), await redis.limit("tries", 100_000, 2), await redis.limit("tries", 100_000, 2)], [true, true, false]);
  same((await redis.pTTL("tries")) > 0, true);
  await redis.scriptFlush();
  same(await redis.multi().limit("other", 100_000, 1).limit("other", 100_000, 1).exec(), [true, false]);
  same(await redis.eval("return {KEYS[1], ARGV[1], {1, 2}}", { keys: ["a"], arguments: ["b"] }), ["app:a", "b", [1, 2]]);
  await rejects(redis.eval('return redis.error_reply("MINE no")'), { message: "MINE no" });
  same(await redis.functionLoad('#!lua name=library\nredis.register_function("add", function(keys, args) return redis.call("INCRBY", keys[1], args[1]) end)', { REPLACE: true }), "library");
  same([await redis.library.add("n", 5), await redis.library.add("n", 2), await redis.get("n")], [5, 7, "7"]);
  same([(await redis.functionList())[0].library_name, await redis.functionDelete("library")], ["library", "OK"]);
  await rejects(redis.library.add("n", 5), { message: /^ERR Function not found/ });
  same((await redis.keys("*")).sort(), ["app:n", "app:other", "app:tries"]);
}

async function scans(open) {
  const redis = await open();
  await redis.mSet(numbers(10_000).map((n) => [`key:${n}`, "x"]));
  await redis.rPush("list:1", "x");
  const found = await read(redis.scanIterator({ MATCH: "key:*", COUNT: 500 }));
  same([found.length, new Set(found).size], [10_000, 10_000]);
  same(await read(redis.scanIterator({ TYPE: "list", COUNT: 1000 })), ["list:1"]);
  await redis.hSet("big", Object.fromEntries(numbers(2000).map((n) => [`f${n}`, n])));
  const fields = await read(redis.hScanIterator("big", { MATCH: "f1*" }));
  same([fields.length, fields.every(({ field, value }) => field === `f${value}`)], [1111, true]);
  await redis.sAdd("members", numbers(1000).map(String));
  same((await read(redis.sScanIterator("members"))).map(Number).sort((a, b) => a - b), numbers(1000));
  await redis.zAdd("ranks", numbers(1000).map((n) => ({ score: n, value: `m${n}` })));
  same((await read(redis.zScanIterator("ranks", { MATCH: "m99?" }))).map(({ score }) => score).sort(), numbers(10).map((n) => 990 + n));
  for await (const keys of redis.scanIterator({ MATCH: "key:*", COUNT: 1000 })) if (keys.length) await redis.unlink(keys);
  same(await read(redis.scanIterator({ MATCH: "key:*", COUNT: 1000 })), []);
}

async function watching(open) {
  const [redis, monitor] = [await open(), await open()];
  const seen = [];
  await monitor.monitor((line) => seen.push(line.replace(/^\d+\.\d+ \[0 [\d.]+:\d+\] /, "")));
  await redis.set("a", 'x"y');
  await redis.eval("return redis.call('GET', KEYS[1])", { keys: ["a"] });
  await until("all is seen", () => seen.length === 3);
  same([seen[0], seen[1].startsWith('"EVAL"'), seen[2].endsWith('"GET" "a"')], ['"SET" "a" "x\\"y"', true, true]);
  await monitor.reset();
  same(await monitor.get("a"), 'x"y');
}

// What is read is kept, until the server tells that it has changed.
async function caches(open) {
  const [redis, cached] = [await open(), await open({ clientSideCache: { ttl: 0, maxEntries: 100, evictPolicy: "LRU" } })];
  const cache = cached.clientSideCache;
  const hits = () => cache.stats().hitCount;
  await redis.mSet({ a: "1", b: "2" });
  same([await cached.get("a"), await cached.get("a"), await cached.mGet(["a", "b"]), hits(), cache.size()], ["1", "1", ["1", "2"], 1, 2]);
  await redis.set("a", "changed");
  await until("it is told", () => cache.size() === 0);
  same([await cached.get("a"), await cached.get("a"), hits()], ["changed", "changed", 2]);
  await redis.hSet("h", "f", "v");
  same([plain(await cached.hGetAll("h")), await cached.zRange("none", 0, -1), cache.size()], [{ f: "v" }, [], 3]);
  await redis.pExpire("h", 20);
  await until("it expires", async () => !(await cached.exists("h")));
  same(plain(await cached.hGetAll("h")), {});
  await redis.flushDb();
  await until("all is forgotten", () => cache.size() === 0);
  same([await cached.get("a"), await cached.get("a")], [null, null]);

  const told = [];
  const listening = await open({ emitInvalidate: true });
  listening.on("invalidate", (key) => told.push(key === null ? key : key.toString()));
  await listening.get("a");
  await redis.set("a", "x");
  await redis.set("a", "y");
  await redis.flushAll();
  await until("both are told", () => told.length === 2);
  same(told, ["a", null]);

  const shared = new BasicPooledClientSideCache();
  const pool = await createClientPool({ socket, RESP: 3 }, { clientSideCache: shared, minimum: 2, maximum: 2 }).connect();
  await redis.set("a", "1");
  same([await pool.get("a"), await pool.get("a"), shared.stats().hitCount], ["1", "1", 1]);
  await redis.set("a", "2");
  await until("the pool is told", () => shared.size() === 0);
  same(await pool.get("a"), "2");
  await pool.close();
}

async function restart(open, RESP) {
  const server = await Server.start("--requirepass", "secret");
  const errors = [];
  const at = (options) => open({ url: `redis://:secret@127.0.0.1:${server.port}`, socket: { reconnectStrategy: 10 }, ...options });
  const [redis, subscriber, worker, proud] = [await at({ database: 2 }), await at(), await at(), await at({ disableOfflineQueue: true })];
  const clients = [redis, subscriber, worker, proud];
  const cached = RESP === 3 && (await at({ clientSideCache: { ttl: 0, maxEntries: 0, evictPolicy: "LRU" } }));
  if (cached) clients.push(cached), same(await cached.get("a"), null);
  for (const client of clients) client.on("error", (error) => errors.push(error));
  const heard = [];
  await subscriber.subscribe("news", (message) => heard.push(message));
  await subscriber.pSubscribe("n*", (message) => heard.push(message));
  const job = worker.blPop("jobs", 0);
  await blocked(redis, 1);

  const lost = rejects(job, { message: "Socket closed unexpectedly" });
  await server.stop();
  await lost;
  await until("all have noticed", () => clients.every((client) => !client.isReady));
  const late = [redis.set("offline", 1), redis.multi().incr("offline").get("offline").exec()];
  await rejects(proud.get("a"), ClientOfflineError);
  const aborted = new AbortController();
  const given = redis.withAbortSignal(aborted.signal).set("offline", "never");
  aborted.abort();
  await rejects(given, AbortError);
  await server.start();
  same(await Promise.all(late), ["OK", [2, "2"]]);
  same((await redis.clientInfo()).db, 2);
  await until("all are back", () => clients.every((client) => client.isReady));
  same([await redis.publish("news", "again"), await proud.get("a")], [2, null]);
  await until("it hears", () => heard.length === 2);
  same(heard, ["again", "again"]);
  if (cached) {
    same([cached.clientSideCache.size(), await cached.get("a")], [0, null]);
    await worker.set("a", "new");
    await until("it is told", () => cached.clientSideCache.size() === 0);
    same(await cached.get("a"), "new");
  }
  same(errors.length > 0, true);
  const again = new Promise((ready) => worker.once("ready", ready));
  same(await proud.clientKill({ filter: "ID", id: await worker.clientId() }), 1);
  await again;
  same(await worker.ping(), "PONG");
  const wrong = createClient({ socket: { port: server.port, reconnectStrategy: false }, RESP, password: "wrong" });
  wrong.on("error", () => {});
  await rejects(wrong.connect(), { message: /^WRONGPASS / });
  for (const client of clients) client.destroy();
  await server.stop();
}

run(async () => {
  for (const RESP of [2, 3]) {
    for (const part of [values, pipelines, pools, subscribers, blocking, streams, scripts, scans, watching, ...(RESP === 3 ? [caches] : []), restart]) {
      const clients = [];
      const open = async (options) => {
        clients.push(createClient({ socket, RESP, ...options }));
        return clients.at(-1).on("error", () => {}).connect();
      };
      await (await open()).flushAll();
      await part(open, RESP);
      for (const client of clients) if (client.isOpen) client.destroy();
    }
  }
});
