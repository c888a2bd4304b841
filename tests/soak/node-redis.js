// Program: node-redis
// Needs: npm redis@6.3.1
// Exercises: transactions, subscribers, workers that wait, consumers of a group, RESP2 and RESP3
const { createClient } = require("redis");
const { Stream, serve } = require("ledger");

const open = async (round, name, number, lost = () => {}) => {
  const client = createClient({ socket: { port: Number(process.env.PORT), reconnectStrategy: 100, connectTimeout: 30_000 }, RESP: 2 + (number % 2) });
  return client.on("error", (error) => lost(round.lost(name, error))).connect();
};

async function counter(round, name, number) {
  const redis = await open(round, name, number);
  await round.repeat(name, { sends: true }, async () => {
    const [count] = await redis.multi().incrBy("count:node-redis", 2).hSet(`seen:${name}`, "at", Date.now()).expire(`seen:${name}`, 3).exec();
    round.expect(count > 0, `count:node-redis is ${count}`);
    round.add("count:node-redis", 2);
  });
  redis.destroy();
}

async function subscriber(round, name, number) {
  const stream = new Stream(round, name);
  const redis = await open(round, name, number, () => stream.lost());
  await redis.pSubscribe("news:*", (text, channel) => stream.message(channel, text));
  await stream.end();
  redis.destroy();
}

async function worker(round, name, number) {
  const redis = await open(round, name, number);
  await round.repeat(name, { pause: 0.01 }, async () => {
    const popped = await redis.brPop("jobs", 1);
    if (popped) round.got("jobs", popped.element);
  });
  redis.destroy();
}

// In the group that the consumers in Python have made.
async function consumer(round, name, number) {
  const redis = await open(round, name, number);
  await round.repeat(name, { pause: 0.02 }, async () => {
    let found;
    try {
      found = await redis.xReadGroup("group", name, { key: "events", id: ">" }, { COUNT: 5, BLOCK: 500 });
    } catch (error) {
      if (/^NOGROUP/.test(error.message)) return;
      throw error;
    }
    for (const { id, message } of found?.[0].messages ?? []) {
      const [acknowledged] = await redis.multi().xAck("events", "group", id).xDel("events", id).exec();
      if (acknowledged) round.got("events", message.entry);
    }
  });
  redis.destroy();
}

serve(async (round) => {
  const all = [[counter, 8], [subscriber, 5], [worker, 5], [consumer, 4]];
  await Promise.all(all.flatMap(([kind, count]) => round.several(count).map((n) => kind(round, `node-redis ${kind.name} ${n}`, n))));
});
