// Program: connect-redis
// Needs: npm connect-redis@10.0.0 express-session@1.19.0 express@5.3.0 redis@6.3.1
// Exercises: Express sessions over HTTP: logging in and out, another server with the same sessions, rolling, expiry, regeneration, many visitors at once, all sessions of the store, own serializers and times, a restart of Redis
const http = require("http");
const { once } = require("events");
const express = require("express");
const session = require("express-session");
const { RedisStore } = require("connect-redis");
const { createClient } = require("redis");
const { Server, numbers, rejects, run, same, until } = require("checks");

const open = (port) => createClient({ socket: { port, reconnectStrategy: 10 } }).on("error", () => {}).connect();

// A site whose sessions are in the store.
async function site(store, options) {
  const app = express();
  app.use(session({ store, secret: "keyboard cat", resave: false, saveUninitialized: false, cookie: { maxAge: 60_000 }, ...options }));
  app.get("/", (request, answer) => answer.json({ user: request.session.user ?? null, visits: request.session.visits ?? 0 }));
  app.get("/visit", (request, answer) => answer.json((request.session.visits = (request.session.visits ?? 0) + 1)));
  app.get("/id", (request, answer) => answer.json(request.sessionID));
  app.get("/login/:user", (request, answer, next) => {
    const { visits } = request.session;
    // Who logs in gets another session: nobody else can have known it.
    request.session.regenerate((error) => {
      if (error) return next(error);
      Object.assign(request.session, { user: request.params.user, visits });
      answer.json("welcome");
    });
  });
  app.get("/logout", (request, answer, next) => request.session.destroy((error) => (error ? next(error) : answer.json("bye"))));
  app.get("/brief", (request, answer) => {
    request.session.cookie.maxAge = 10_000;
    request.session.user = "brief";
    answer.json("soon gone");
  });
  app.use((error, request, answer, _) => answer.status(503).json(error.message));
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { server, port: server.address().port, close: () => new Promise((closed) => server.close(closed).closeAllConnections()) };
}

// Somebody with a browser, that keeps the cookie.
class Visitor {
  async get({ port }, path) {
    const headers = this.cookie ? { cookie: this.cookie } : {};
    const answer = await new Promise((answers, fails) => http.get({ port, path, headers, agent: false }, answers).on("error", fails));
    this.given = answer.headers["set-cookie"]?.[0];
    if (this.given) this.cookie = this.given.split(";")[0];
    return JSON.parse((await answer.setEncoding("utf8").toArray()).join(""));
  }
}

async function visits(redis) {
  const store = new RedisStore({ client: redis });
  const [first, second] = [await site(store), await site(new RedisStore({ client: redis }))];
  const [one, two] = [new Visitor(), new Visitor()];
  same([await one.get(first, "/"), one.given, await redis.dbSize()], [{ user: null, visits: 0 }, undefined, 0]);
  same([await one.get(first, "/visit"), await one.get(second, "/visit"), await two.get(second, "/visit")], [1, 2, 1]);
  const before = await one.get(first, "/id");
  const kept = JSON.parse(await redis.get(`sess:${before}`));
  // Worked out from when the session ends, and that may be a moment later.
  same([kept.visits, kept.cookie.originalMaxAge > 50_000, kept.cookie.originalMaxAge <= 60_000], [2, true, true]);
  same((await redis.ttl(`sess:${before}`)) > 50, true);

  same([await one.get(first, "/login/alice"), await one.get(second, "/")], ["welcome", { user: "alice", visits: 2 }]);
  const after = await one.get(second, "/id");
  same([after === before, await redis.exists(`sess:${before}`), await redis.exists(`sess:${after}`)], [false, 0, 1]);
  same(await two.get(first, "/"), { user: null, visits: 1 });
  // Reading makes it last as long again.
  await redis.expire(`sess:${after}`, 30);
  await one.get(first, "/");
  same((await redis.ttl(`sess:${after}`)) > 50, true);

  const stolen = new Visitor();
  stolen.cookie = one.cookie.replace(/.$/, (last) => (last === "A" ? "B" : "A"));
  same(await stolen.get(first, "/"), { user: null, visits: 0 });
  const { cookie } = one;
  same([await one.get(second, "/logout"), await redis.exists(`sess:${after}`)], ["bye", 0]);
  one.cookie = cookie;
  same(await one.get(first, "/"), { user: null, visits: 0 });

  const brief = new Visitor();
  await brief.get(first, "/brief");
  same(await brief.get(second, "/"), { user: "brief", visits: 0 });
  const over = `sess:${await brief.get(first, "/id")}`;
  same((await redis.ttl(over)) <= 10, true);
  await redis.pExpire(over, 20);
  await until("it is over", async () => !(await redis.exists(over)));
  same(await brief.get(second, "/"), { user: null, visits: 0 });
  // Many at once, each with a session of its own.
  const many = await Promise.all(numbers(100).map(async (n) => {
    const visitor = new Visitor();
    for (const path of ["/visit", `/login/user${n}`, "/visit"]) await visitor.get(n % 2 ? first : second, path);
    return visitor.get(n % 2 ? second : first, "/");
  }));
  same(many, numbers(100).map((n) => ({ user: `user${n}`, visits: 2 })));
  for (const { close } of [first, second]) await close();
}

// What an administrator asks the store for, and what one may set.
async function stores(redis) {
  const store = new RedisStore({ client: redis, prefix: "admin:", scanCount: 10, ttl: 100 });
  const sessions = numbers(50).map((n) => [`id${n}`, { cookie: {}, user: `user${n}` }]);
  await Promise.all(sessions.map(([id, data]) => store.set(id, data)));
  same([await store.length(), (await store.ids()).sort()], [50, sessions.map(([id]) => id).sort()]);
  same((await store.all()).map(({ id, user }) => [id, user]).sort(), sessions.map(([id, { user }]) => [id, user]).sort());
  const ttl = await redis.ttl("admin:id7");
  same([await store.get("id7"), await store.get("none"), ttl > 90 && ttl <= 100], [sessions[7][1], null, true]);
  await store.touch("id7", { cookie: { expires: new Date(Date.now() + 500_000) } });
  same((await redis.ttl("admin:id7")) > 400, true);
  // What is over when it is saved is gone.
  await store.set("id7", { cookie: { expires: new Date(Date.now() - 1000) } });
  same(await store.get("id7"), null);
  await store.destroy("id8");
  same(await store.length(), 48);
  await redis.set("sess:another", "{}");
  await store.clear();
  same([await store.length(), await redis.exists("sess:another")], [0, 1]);

  const serializer = { stringify: (data) => `v1:${JSON.stringify(data)}`, parse: (text) => JSON.parse(text.slice(3)) };
  const own = new RedisStore({ client: redis, prefix: "own:", serializer, ttl: ({ admin }) => (admin ? 10 : 1000), disableTouch: true });
  await own.set("a", { admin: true });
  await own.set("b", { admin: false });
  same([await redis.get("own:a"), await own.get("a"), (await redis.ttl("own:a")) <= 10, (await redis.ttl("own:b")) > 900], ['v1:{"admin":true}', { admin: true }, true, true]);
  await own.touch("a", { admin: false });
  same((await redis.ttl("own:a")) <= 10, true);
  const lasting = new RedisStore({ client: redis, prefix: "lasting:", disableTTL: true });
  await lasting.set("a", { cookie: {} });
  same(await redis.ttl("lasting:a"), -1);
  await redis.set("own:a", "v1:no JSON");
  await rejects(own.get("a"), SyntaxError);
}

// Without Redis there are no sessions; with it, there are again, for who comes anew.
async function restart() {
  const server = await Server.start();
  const redis = createClient({ url: server.url, socket: { reconnectStrategy: 10 }, disableOfflineQueue: true }).on("error", () => {});
  await redis.connect();
  const shop = await site(new RedisStore({ client: redis }));
  const visitor = new Visitor();
  await visitor.get(shop, "/login/alice");
  await server.stop();
  await until("it is noticed", () => !redis.isReady);
  same(await visitor.get(shop, "/"), "The client is offline");
  await server.start();
  await until("it is back", () => redis.isReady);
  same([await visitor.get(shop, "/"), await visitor.get(shop, "/login/bob"), await visitor.get(shop, "/")], [{ user: null, visits: 0 }, "welcome", { user: "bob", visits: 0 }]);
  await shop.close();
  redis.destroy();
  await server.stop();
}

run(async () => {
  const redis = await open(Number(process.env.PORT));
  await visits(redis);
  await stores(redis);
  await restart();
  redis.destroy();
});
