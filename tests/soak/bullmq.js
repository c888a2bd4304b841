// Program: BullMQ
// Needs: npm bullmq@6.7.0 ioredis@6.0.0
// Exercises: queues, workers, retries, delays, events
const { Queue, QueueEvents, Worker } = require("bullmq");
const { serve, sleep } = require("ledger");

const connection = { port: Number(process.env.PORT), host: "127.0.0.1", maxRetriesPerRequest: null, retryStrategy: () => 100, connectTimeout: 30_000 };

serve(async (round) => {
  const opened = [];
  const open = (Kind, ...words) => {
    const one = new Kind(...words, { connection, drainDelay: 1, concurrency: 4, stalledInterval: 5000 });
    opened.push(one.on("error", (error) => round.lost("bullmq", error)));
    return one;
  };
  const finished = new Set();
  for (const n of round.several(3)) {
    open(Worker, "mails", async (job) => {
      if (job.data.fails && job.attemptsMade === 0) throw new Error("is to be tried again");
      return job.data.mail;
    }).on("completed", (_, mail) => round.got("mails", mail));
  }
  const events = open(QueueEvents, "mails");
  events.on("completed", ({ returnvalue }) => finished.add(returnvalue));
  await events.waitUntilReady();

  await Promise.all(round.several(3).map(async (n) => {
    const [queue, name] = [open(Queue, "mails"), `bullmq ${n}`];
    await round.repeat(name, { sends: true, pause: 0.3 }, async () => {
      const mail = `${name}:${round.report.turns[name]}`;
      const random = Math.random();
      await queue.add("mail", { mail, fails: random < 0.1 }, { attempts: 2, backoff: 50, delay: random > 0.9 ? 200 : 0, removeOnComplete: true });
      round.sent("mails", mail);
    });
  }));
  const { sent, got } = round.report;
  while (round.running || (!round.interrupted && finished.size < sent.mails.length)) await sleep(0.05);
  round.expect(got.mails?.length === finished.size, "a mail is done of which there is no event");
  await Promise.all(opened.map((one) => Promise.race([one instanceof Worker ? one.close(round.interrupted) : one.close(), sleep(5)])));
});
