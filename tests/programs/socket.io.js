// Program: socket.io
// Needs: npm socket.io@4.8.4 @socket.io/redis-adapter@8.3.0 @socket.io/redis-streams-adapter@0.3.1 socket.io-client@4.8.4 ioredis@6.0.0 redis@6.3.1
// Exercises: two servers and their clients over the adapters of pub/sub, of sharded pub/sub and of streams, each with ioredis and with node-redis: rooms, broadcasts, acknowledgements, `serverSideEmit`, `fetchSockets`, what is bytes, namespaces, recovering what a client has missed, a restart of Redis
const { createServer } = require("http");
const { once } = require("events");
const Redis = require("ioredis");
const { createClient } = require("redis");
const { Server: Sockets } = require("socket.io");
const { io: connect } = require("socket.io-client");
const { createAdapter, createShardedAdapter } = require("@socket.io/redis-adapter");
const { createAdapter: createStreamsAdapter } = require("@socket.io/redis-streams-adapter");
const { Server, blocked, run, same, until } = require("checks");

const clients = {
  ioredis: async (port) => new Redis({ port, retryStrategy: () => 10, maxRetriesPerRequest: null }).on("error", () => {}),
  "node-redis": (port) => createClient({ socket: { port, reconnectStrategy: 10 } }).on("error", () => {}).connect(),
};
const adapters = {
  "pub/sub": createAdapter,
  sharded: createShardedAdapter,
  streams: (publishing) => createStreamsAdapter(publishing, { readCount: 10 }),
};

// A server and its two clients, `heard` being what each got.
async function shop(name, adapter, open, port) {
  const [publishing, subscribing] = [await open(port), await open(port)];
  const http = createServer();
  const io = new Sockets(http, { adapter: adapters[adapter](publishing, subscribing), connectionStateRecovery: { maxDisconnectionDuration: 60_000 } });
  io.of("/admin");
  io.on("connection", (socket) => {
    socket.data.name = socket.handshake.auth.name;
    socket.on("join", async (room, done) => done(await socket.join(room)));
    socket.on("say", (room, words) => socket.to(room).emit("said", words));
    socket.on("shout", (words) => socket.broadcast.emit("said", words));
  });
  await new Promise((listens) => http.listen(0, "127.0.0.1", listens));
  const url = `http://127.0.0.1:${http.address().port}`;
  const members = [];
  for (const n of [1, 2]) {
    const client = connect(url, { auth: { name: `${name}${n}` }, transports: ["websocket"], forceNew: true, reconnectionDelay: 10, reconnectionDelayMax: 50 });
    client.heard = [];
    client.onAny((event, words, answer) => (typeof answer === "function" ? answer(`${name}${n}: ${words}`) : client.heard.push([event, words])));
    await once(client, "connect");
    members.push(client);
  }
  const close = async () => {
    for (const client of members) client.disconnect();
    await io.close();
    // The adapter unsubscribes, and does not wait for it.
    await Promise.all([publishing, subscribing].map((client) => (client.close ? client.close() : client.quit())));
  };
  return { io, url, members, close };
}

async function sockets(adapter, library, redis, port) {
  const [a, b] = [await shop("a", adapter, clients[library], port), await shop("b", adapter, clients[library], port)];
  const all = [...a.members, ...b.members];
  const [a1, a2, b1, b2] = all;
  const heard = async (...expected) => {
    await until("all is heard", () => all.every(({ heard }, n) => heard.length >= expected[n].length));
    same(all.map((client) => client.heard.splice(0)), expected);
  };
  const ready = async () => {
    for (const { io } of [a, b]) {
      for (const name of ["/", "/admin"]) await until("the servers know each other", async () => (await io.of(name).adapter.serverCount()) === 2);
    }
    if (adapter === "streams") await blocked(redis, 2);
  };
  await ready();

  a.io.emit("news", "to all");
  await heard(...all.map(() => [["news", "to all"]]));
  for (const client of [a1, b1]) await client.emitWithAck("join", "room");
  b.io.to("room").emit("news", "to a room");
  a.io.to("room").to("no such room").except("nobody").emit("news", { bytes: Buffer.from([0, 255]) });
  await until("the room has both", () => [a1, b1].every((client) => client.heard.length === 2));
  same([a1, b1].map((client) => client.heard.map(([, words]) => String(words.bytes ?? words)).sort()), [1, 2].map(() => ["\0\ufffd", "to a room"]));
  for (const client of [a1, b1]) client.heard.length = 0;
  a1.emit("say", "room", "to the others in it");
  await heard([], [], [["said", "to the others in it"]], []);
  b2.emit("shout", "to the others");
  await heard(...[1, 1, 1, 0].map((times) => Array(times).fill(["said", "to the others"])));
  a.io.except("room").emit("news", "to who is not there");
  await heard([], [["news", "to who is not there"]], [], [["news", "to who is not there"]]);
  a.io.to(b2.id).emit("news", "to one");
  await heard([], [], [], [["news", "to one"]]);
  a.io.local.emit("news", "here");
  await heard([["news", "here"]], [["news", "here"]], [], []);

  same((await a.io.timeout(10_000).emitWithAck("who", "hello")).sort(), ["a1: hello", "a2: hello", "b1: hello", "b2: hello"]);
  same((await b.io.to("room").timeout(10_000).emitWithAck("who", "you")).sort(), ["a1: you", "b1: you"]);
  b.io.on("ask", (words, answer) => answer(`b has ${words}`));
  same(await a.io.serverSideEmitWithAck("ask", "it"), ["b has it"]);
  const told = once(a.io, "tell");
  b.io.serverSideEmit("tell", 1, { two: 2 });
  same(await told, [1, { two: 2 }]);

  const found = async (io) => (await io.fetchSockets()).map(({ data }) => data.name).sort();
  same([await found(a.io), await found(b.io.in("room")), await found(a.io.in("none"))], [["a1", "a2", "b1", "b2"], ["a1", "b1"], []]);
  const [remote] = await a.io.in(b1.id).fetchSockets();
  remote.emit("news", "from afar");
  await heard([], [], [["news", "from afar"]], []);
  remote.join("remote");
  await until("it has joined", () => b.io.of("/").adapter.rooms.has("remote"));
  a.io.in("room").socketsJoin("another");
  await until("they have joined", async () => (await found(b.io.in("another"))).length === 2);
  b.io.in("another").socketsLeave("another");
  await until("they have left", async () => (await found(a.io.in("another"))).length === 0);
  const gone = once(b2, "disconnect");
  a.io.in(b2.id).disconnectSockets(true);
  same(await gone.then(([why]) => why), "io server disconnect");
  same(await found(a.io), ["a1", "a2", "b1"]);

  // Another namespace, which hears nothing of this one.
  const admin = connect(`${b.url}/admin`, { transports: ["websocket"], forceNew: true });
  await once(admin, "connect");
  const secret = once(admin, "news");
  a.io.of("/admin").emit("news", "secret");
  same((await secret)[0], "secret");
  admin.disconnect();
  b2.connect();
  await once(b2, "connect");
  same(all.map((client) => client.heard.splice(0)), [[], [], [], []]);

  if (adapter === "streams") await recovered(a, b, a1);
  const close = async () => {
    await Promise.all([a.close(), b.close()]);
    if (adapter === "streams") {
      // Who still waits for the stream sees that it is over.
      await redis.xadd("socket.io", "*", "the", "end");
      await blocked(redis, 0);
    }
  };
  return { all, heard, ready, a, close };
}

// A client is cut off, and comes to the other server, which sends what it has missed.
async function recovered(a, b, client) {
  a.io.to("room").emit("news", "before");
  await until("it has heard that", () => client.heard.length === 1);
  const { id } = client;
  const cut = once(client, "disconnect");
  client.io.uri = b.url;
  client.io.reconnection(false);
  client.io.engine.close();
  await cut;
  await until("its server has noticed", () => !a.io.of("/").sockets.has(id));
  for (const words of ["missed", "missed, too"]) b.io.to("room").emit("news", words);
  a.io.to("elsewhere").emit("news", "not for it");
  client.connect();
  await until("it has heard them", () => client.heard.length === 3);
  same([client.heard.splice(0).map(([, words]) => words), client.recovered, client.id], [["before", "missed", "missed, too"], true, id]);
  same([b.io.of("/").sockets.get(id).rooms.has("room"), b.io.of("/").sockets.get(id).data.name], [true, "a1"]);
}

run(async () => {
  const redis = new Redis(process.env.REDIS_URL);
  for (const adapter of Object.keys(adapters)) {
    for (const library of Object.keys(clients)) {
      await redis.flushall();
      const { close } = await sockets(adapter, library, redis, Number(process.env.PORT));
      await close();
    }
  }
  // The servers find each other again.
  for (const adapter of Object.keys(adapters)) {
    const server = await Server.start();
    const watching = new Redis({ port: server.port, retryStrategy: () => 10 }).on("error", () => {});
    const { heard, ready, all, a, close } = await sockets(adapter, "ioredis", watching, server.port);
    await server.stop();
    await server.start();
    await ready();
    for (const client of all) client.heard.length = 0;
    a.io.emit("news", "again");
    await heard(...all.map(() => [["news", "again"]]));
    await close();
    watching.disconnect();
    await server.stop();
  }
});
