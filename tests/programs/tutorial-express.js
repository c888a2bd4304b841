// Program: Tutorial: Express
// Needs: npm redis@6.3.1 express@5.3.0 express-session@1.19.0 connect-redis@10.0.0 dotenv@18.0.10
// Exercises: a cache middleware, sessions, rate limits, a leaderboard, publish/subscribe, a queue and transactions with node-redis, settings from `.env`
//
// The web application that tutorials for Node build: each page of it, asked
// for as a browser asks.
const fs = require("fs");
const http = require("http");
const express = require("express");
const session = require("express-session");
const { RedisStore } = require("connect-redis");
const { createClient, WatchError } = require("redis");
const { rejects, run, same, until } = require("checks");

fs.writeFileSync(".env", `REDIS_SERVER=${process.env.REDIS_URL}\nSESSION_SECRET="keep it"\nCACHE_SECONDS=60\n`);
require("dotenv").config({ quiet: true });

const client = createClient({ url: process.env.REDIS_SERVER });

// What a page costs without the cache.
let asked = 0;
const fetchBook = async (id) => {
  asked++;
  return id === "404" ? null : { id, title: `Book ${id}` };
};

const cached = (seconds) => async (request, response, next) => {
  const key = `cache:${request.originalUrl}`;
  const found = await client.get(key);
  if (found !== null) return response.set("X-Cache", "HIT").json(JSON.parse(found));
  const send = response.json.bind(response);
  response.json = (body) => {
    if (response.statusCode === 200) client.setEx(key, seconds, JSON.stringify(body)).then(() => send(body));
    else send(body);
  };
  response.set("X-Cache", "MISS");
  next();
};

const limited = (limit, seconds) => async (request, response, next) => {
  const key = `limit:${request.get("X-User") ?? request.ip}`;
  const [count] = await client.multi().incr(key).expire(key, seconds, "NX").exec();
  response.set("X-RateLimit-Remaining", String(Math.max(limit - count, 0)));
  if (count > limit) return response.status(429).set("Retry-After", String(await client.ttl(key))).json({ error: "too many" });
  next();
};

const application = () => {
  const app = express();
  app.use(express.json());
  app.use(session({
    store: new RedisStore({ client, prefix: "session:", ttl: 1800 }),
    secret: process.env.SESSION_SECRET, resave: false, saveUninitialized: false,
  }));
  app.get("/books/:id", cached(Number(process.env.CACHE_SECONDS)), async (request, response) => {
    const book = await fetchBook(request.params.id);
    book ? response.json(book) : response.status(404).json({ error: "no such book" });
  });
  app.put("/books/:id", async (request, response) => {
    await client.del(`cache:/books/${request.params.id}`);
    response.json(request.body);
  });
  app.get("/limited", limited(3, 60), (request, response) => response.json({ fine: true }));
  app.post("/login", (request, response) => {
    request.session.user = request.body.user;
    request.session.views = 0;
    response.json({ user: request.body.user });
  });
  app.get("/me", (request, response) => {
    if (!request.session.user) return response.status(401).json({ error: "nobody" });
    request.session.views++;
    response.json({ user: request.session.user, views: request.session.views });
  });
  app.post("/logout", (request, response) => request.session.destroy(() => response.json({})));
  app.post("/score/:player/:points", async (request, response) => {
    response.json({ score: await client.zIncrBy("scores", Number(request.params.points), request.params.player) });
  });
  app.get("/top", async (request, response) => {
    response.json(await client.zRangeWithScores("scores", 0, 2, { REV: true }));
  });
  return app;
};

run(async () => {
  client.on("error", (error) => { throw error; });
  await client.connect();
  const server = http.createServer(application()).listen(0, "127.0.0.1");
  await new Promise((listens) => server.once("listening", listens));
  const ask = async (method, path, { body, ...headers } = {}) => {
    const response = await fetch(`http://127.0.0.1:${server.address().port}${path}`, {
      method, headers: { "Content-Type": "application/json", ...headers }, body: body && JSON.stringify(body),
    });
    return { status: response.status, body: await response.json(), headers: response.headers };
  };

  // Cache.
  const visits = [];
  for (const path of ["/books/1", "/books/1", "/books/2", "/books/404", "/books/404"]) {
    const { status, headers } = await ask("GET", path);
    visits.push([status, headers.get("X-Cache")]);
  }
  same(visits, [[200, "MISS"], [200, "HIT"], [200, "MISS"], [404, "MISS"], [404, "MISS"]]);
  same(asked, 4);
  const ttl = await client.ttl("cache:/books/1");
  same(ttl > 50 && ttl <= 60, true);
  await ask("PUT", "/books/1", { body: { title: "New" } });
  same((await ask("GET", "/books/1")).headers.get("X-Cache"), "MISS");
  same((await Promise.all(Array.from({ length: 50 }, () => ask("GET", "/books/1")))).every(({ headers }) => headers.get("X-Cache") === "HIT"), true);

  // Rate limit.
  const limits = [];
  for (let i = 0; i < 5; i++) {
    const { status, headers } = await ask("GET", "/limited", { "X-User": "ada" });
    limits.push([status, headers.get("X-RateLimit-Remaining")]);
  }
  same(limits, [[200, "2"], [200, "1"], [200, "0"], [429, "0"], [429, "0"]]);
  same((await ask("GET", "/limited", { "X-User": "ben" })).status, 200);

  // Sessions.
  same((await ask("GET", "/me")).status, 401);
  const login = await ask("POST", "/login", { body: { user: "ada" } });
  const Cookie = login.headers.get("set-cookie").split(";")[0];
  same((await ask("GET", "/me", { Cookie })).body, { user: "ada", views: 1 });
  same((await ask("GET", "/me", { Cookie })).body, { user: "ada", views: 2 });
  const [key] = await client.keys("session:*");
  const { user, views } = JSON.parse(await client.get(key));
  same([user, views, (await client.ttl(key)) > 1700], ["ada", 2, true]);
  await ask("POST", "/logout", { Cookie });
  same([(await ask("GET", "/me", { Cookie })).status, await client.exists(key)], [401, 0]);

  // Leaderboard.
  for (const [player, points] of [["ada", 10], ["ben", 25], ["cy", 5], ["ada", 20], ["dee", 1]]) await ask("POST", `/score/${player}/${points}`);
  same((await ask("GET", "/top")).body, [{ value: "ada", score: 30 }, { value: "ben", score: 25 }, { value: "cy", score: 5 }]);

  // Publish and subscribe, on a connection of its own.
  const subscriber = client.duplicate();
  await subscriber.connect();
  const heard = [];
  await subscriber.subscribe("chat", (message, channel) => heard.push([channel, message]));
  await subscriber.pSubscribe("room:*", (message, channel) => heard.push([channel, message]));
  same([await client.publish("chat", "hello"), await client.publish("room:7", JSON.stringify({ text: "hi" })), await client.publish("none", "x")], [1, 1, 0]);
  await until("both are heard", () => heard.length === 2);
  same(heard, [["chat", "hello"], ["room:7", '{"text":"hi"}']]);
  await subscriber.unsubscribe("chat");
  same(await client.publish("chat", "gone"), 0);
  await subscriber.close();

  // A queue, and a stream with a group.
  const worker = client.duplicate();
  await worker.connect();
  const job = worker.blPop("jobs", 10);
  await until("the worker waits", async () => /blocked_clients:1\r/.test(await client.info("clients")));
  await client.lPush("jobs", JSON.stringify({ id: 1 }));
  same({ ...(await job) }, { key: "jobs", element: '{"id":1}' });
  await client.xGroupCreate("orders", "mail", "0", { MKSTREAM: true });
  await rejects(client.xGroupCreate("orders", "mail", "0"), /BUSYGROUP/);
  const waiting = worker.xReadGroup("mail", "one", { key: "orders", id: ">" }, { COUNT: 1, BLOCK: 10_000 });
  await until("the worker waits", async () => /blocked_clients:1\r/.test(await client.info("clients")));
  const id = await client.xAdd("orders", "*", { book: "1", count: "2" });
  const [{ name, messages }] = await waiting;
  same([name, messages[0].id, { ...messages[0].message }], ["orders", id, { book: "1", count: "2" }]);
  same((await client.xPending("orders", "mail")).pending, 1);
  same([await client.xAck("orders", "mail", id), (await client.xPending("orders", "mail")).pending], [1, 0]);
  await worker.close();

  // Types, as the quick start of the client shows them.
  await client.hSet("user:1", { name: "Ada", age: 36 });
  same({ ...(await client.hGetAll("user:1")) }, { name: "Ada", age: "36" });
  await client.sAdd("tags", ["a", "b"]);
  same([...(await client.sMembers("tags"))].sort(), ["a", "b"]);
  same([await client.set("once", "1", { NX: true, EX: 10 }), await client.set("once", "2", { NX: true, EX: 10 })], ["OK", null]);
  same(await client.multi().set("n", 1).incr("n").get("n").exec(), ["OK", 2, "2"]);
  same(await Promise.all([client.incr("n"), client.incr("n"), client.incr("n")]), [3, 4, 5]);
  const rival = client.duplicate();
  await rival.connect();
  await rival.watch("n");
  await client.set("n", 100);
  await rejects(rival.multi().incr("n").exec(), WatchError);
  await rival.close();
  const found = [];
  for await (const keys of client.scanIterator({ MATCH: "user:*", COUNT: 100 })) found.push(...keys);
  same(found, ["user:1"]);
  const release = 'if redis.call("get", KEYS[1]) == ARGV[1] then return redis.call("del", KEYS[1]) end return 0';
  same([await client.eval(release, { keys: ["once"], arguments: ["2"] }), await client.eval(release, { keys: ["once"], arguments: ["1"] })], [0, 1]);
  await rejects(client.lPush("n", "x"), /WRONGTYPE/);
  await rejects(client.sendCommand(["NOSUCH"]), /unknown command/);

  server.closeAllConnections();
  server.close();
  await client.close();
});
