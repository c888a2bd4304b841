// What a program asserts. `run` runs it, and prints how many results there were.
const assert = require("assert");
const { fork, spawn } = require("child_process");
const { once } = require("events");
const net = require("net");

const numbers = (count) => Array.from({ length: count }, (_, n) => n);

let asserted = 0;

const same = (got, expected) => {
  assert.deepStrictEqual(got, expected);
  asserted++;
};

const rejects = async (promise, check) => {
  await assert.rejects(promise, check);
  asserted++;
};

// Asks again until it holds; what it answered then.
const until = async (what, holds, seconds = 60) => {
  const deadline = Date.now() + seconds * 1000;
  let answer;
  while (!(answer = await holds())) {
    if (Date.now() > deadline) throw new Error(`waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return answer;
};

// Until so many clients of the server wait in blocking commands.
const blocked = (redis, clients) => until(`${clients} clients wait`, async () => (await redis.info("clients")).includes(`blocked_clients:${clients}\r`));

// Runs a file in a process of its own, and kills that when it has told its
// parent something: it has no time to clean up.
const killed = async (file, ...words) => {
  const child = fork(file, words);
  const [told] = await once(child, "message");
  child.kill("SIGKILL");
  await once(child, "exit");
  return told;
};

// One more server of the kind that the program runs on, with flags of its own.
// It can be stopped, and started again on the port that it had.
class Server {
  static async start(...flags) {
    const server = new Server();
    const probe = net.createServer().listen(0, "127.0.0.1");
    await once(probe, "listening");
    server.port = probe.address().port;
    await new Promise((closed) => probe.close(closed));
    const [, command, given] = JSON.parse(process.env.SERVER);
    server.command = [...command, "--port", String(server.port), ...given, ...flags];
    await server.start();
    return server;
  }

  get url() {
    return `redis://127.0.0.1:${this.port}`;
  }

  async start() {
    const [program, ...flags] = this.command;
    this.process = spawn(program, flags, { stdio: "ignore" });
    process.once("exit", () => this.process.kill());
    await until(`${program} answers`, () => new Promise((answers) => {
      const client = net.connect(this.port, "127.0.0.1", () => client.write("PING\r\n"));
      client.once("data", () => client.end() && answers(true)).once("error", () => answers(false));
    }));
  }

  async stop() {
    const ended = once(this.process, "exit");
    this.process.kill();
    await ended;
  }
}

const run = (program) => {
  program().then(
    () => {
      console.log(`${asserted} results as expected`);
      process.exit(0);
    },
    (error) => {
      console.error(error);
      process.exit(1);
    },
  );
};

module.exports = { Server, blocked, killed, numbers, rejects, run, same, until };
