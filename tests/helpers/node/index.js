// Brokers for tests: respd, and what it has beyond a broker. `respd(t)` is one that
// a test has for itself, in a process that all tests of this one share. Times are
// milliseconds. index.d.ts says what each call does.
import { AssertionError } from "node:assert";
import { spawn as start } from "node:child_process";
import { createConnection } from "node:net";

const FLAGS = ["--test-commands", "yes", "--port", "0", "--print-url", "--exit-with-parent", "--loglevel", "warning"];
// What errors begin with that say what there is instead.
const [TIMEOUT, NOT_SO] = ["ERR timeout: ", "ERR assertion failed: "];
// No answer may take so long, beyond the time that was asked for.
const PATIENCE = 60_000;

export class RespdError extends Error {
  name = "RespdError";
}

let shared;

export async function respd(test) {
  shared ??= spawn();
  const space = await (await shared).space();
  // It is aborted at the end of each test, when also what `after` was given is done.
  test?.signal.addEventListener("abort", () => space.end().catch(() => {}));
  return space;
}

export async function spawn(...flags) {
  const program = process.env.RESPD_BIN || "respd";
  const child = start(program, [...FLAGS, ...flags], { stdio: ["ignore", "pipe", "inherit"] });
  const kill = () => child.kill();
  process.once("exit", kill);
  child.once("exit", () => process.off("exit", kill));
  const url = await new Promise((resolve, reject) => {
    let line = "";
    child.stdout.setEncoding("utf8").on("data", (text) => {
      line += text;
      if (line.endsWith("\n")) resolve(line.trim().replace("REDIS_URL=", ""));
    });
    child.once("error", ({ code }) => {
      const how = "set RESPD_BIN to where the program respd is, or put it on the PATH";
      reject(new RespdError(`${program} cannot be started (${code}): ${how}`));
    });
    child.once("close", (status) => {
      reject(new RespdError(`${program} has ended with status ${status}; what it wrote says why`));
    });
  });
  // What is idle keeps no test run from its end.
  child.unref();
  child.stdout.unref();
  return new Broker(url, async () => {
    child.ref();
    const ended = new Promise((resolve) => child.once("exit", resolve));
    if (child.exitCode === null && child.signalCode === null && child.kill()) await ended;
  });
}

export class Broker {
  #end;
  #idle = [];

  constructor(url, end) {
    const { hostname, port } = new URL(url);
    this.url = url;
    this.host = hostname.replace(/^\[|\]$/g, "");
    this.port = Number(port);
    this.clock = new Clock(this);
    this.until = new Until(this);
    this.faults = new Faults(this);
    this.#end = end;
  }

  command(...words) {
    return this.call(["RESPD", ...words]);
  }

  async space() {
    const { id, url } = await this.command("SPACE", "NEW");
    return new Broker(url, () => this.command("SPACE", "DROP", id));
  }

  spaces() {
    return this.command("SPACE", "LIST");
  }

  load(keys) {
    return this.command("LOAD", "JSON", typeof keys === "string" ? keys : JSON.stringify(keys));
  }

  loadCommands(text) {
    return this.command("LOAD", "COMMANDS", text);
  }

  export(match) {
    return this.command("EXPORT", ...options({ match }));
  }

  async snapshot() {
    return new Snapshot(this, await this.command("SNAPSHOT"));
  }

  snapshots() {
    return this.command("SNAPSHOT", "LIST");
  }

  async record({ limit } = {}) {
    await this.command("RECORD", "START", ...options({ limit }));
    return new Record(this);
  }

  async restart({ keep = true, after = 0 } = {}) {
    this.#hangUp();
    const connection = await Connection.open(this.url);
    try {
      await connection.call(["RESPD", "RESTART", keep ? "KEEP" : "LOSE", "AFTER", after], PATIENCE + after);
    } finally {
      connection.close();
    }
  }

  async end() {
    this.#hangUp();
    await this.#end();
  }

  // Each has a connection of its own, as a wait holds up what follows on the same one.
  async call(words, options) {
    const idle = this.#idle.pop();
    try {
      if (idle) return await this.#callOn(idle, words, options);
    } catch (error) {
      if (error instanceof RespdError) throw error;
    }
    // There was none, or somebody had closed it meanwhile.
    return this.#callOn(await Connection.open(this.url), words, options);
  }

  async #callOn(connection, words, { db = 0, patience } = {}) {
    try {
      if (connection.db !== db) await connection.call(["SELECT", db]);
      connection.db = db;
      return await connection.call(words, patience);
    } finally {
      if (connection.isOpen) this.#idle.push(connection);
    }
  }

  #hangUp() {
    for (const connection of this.#idle.splice(0)) connection.close();
  }
}

class Clock {
  #broker;

  constructor(broker) {
    this.#broker = broker;
  }

  async now() {
    return (await this.#broker.command("CLOCK", "GET")).time;
  }

  async isFrozen() {
    return (await this.#broker.command("CLOCK", "GET")).state === "frozen";
  }

  async freeze() {
    await this.#broker.command("CLOCK", "FREEZE");
  }

  async resume() {
    await this.#broker.command("CLOCK", "RESUME");
  }

  async advance(by) {
    await this.#broker.command("CLOCK", "ADVANCE", by);
  }

  advanceToNext() {
    return this.#broker.command("CLOCK", "NEXT");
  }

  async set(to) {
    await this.#broker.command("CLOCK", "SET", Number(to));
  }
}

class Until {
  #broker;

  constructor(broker) {
    this.#broker = broker;
  }

  subscribers(channel, count, options) {
    return this.#wait(["SUBSCRIBERS", channel, count], options);
  }

  patternSubscribers(pattern, count, options) {
    return this.#wait(["PSUBSCRIBERS", pattern, count], options);
  }

  shardSubscribers(channel, count, options) {
    return this.#wait(["SSUBSCRIBERS", channel, count], options);
  }

  blocked(key, count, options) {
    return this.#wait(["BLOCKED", key, count], options);
  }

  exists(key, options) {
    return this.#wait(["EXISTS", key], options);
  }

  gone(key, options) {
    return this.#wait(["GONE", key], options);
  }

  length(key, count, options) {
    return this.#wait(["LENGTH", key, count], options);
  }

  pending(key, group, count, options) {
    return this.#wait(["PENDING", key, group, count], options);
  }

  clients(count, options) {
    return this.#wait(["CLIENTS", count], options);
  }

  sent(name, command, { times = 1, ...options } = {}) {
    return this.#wait(["SENT", name, command, times], options);
  }

  read(name, options) {
    return this.#wait(["READ", name], options);
  }

  async #wait(words, { within = 5000, db } = {}) {
    const patience = PATIENCE + within;
    const wait = this.#broker.call(["RESPD", "WAIT", ...words, "TIMEOUT", within], { db, patience });
    await unlessSaid(TIMEOUT, wait);
  }
}

class Snapshot {
  #broker;

  constructor(broker, id) {
    this.#broker = broker;
    this.id = id;
  }

  difference() {
    return this.#broker.command("DIFF", this.id);
  }

  rollBack() {
    return this.#broker.command("ROLLBACK", this.id);
  }

  async drop() {
    await this.#broker.command("SNAPSHOT", "DROP", this.id);
  }
}

class Faults {
  #broker;

  constructor(broker) {
    this.#broker = broker;
  }

  error(text, when) {
    return this.#add(["ERROR", text], when);
  }

  delay(by, when) {
    return this.#add(["DELAY", by], when);
  }

  dropBefore(when) {
    return this.#add(["DROP", "BEFORE"], when);
  }

  dropAfter(when) {
    return this.#add(["DROP", "AFTER"], when);
  }

  dropAmid(when) {
    return this.#add(["DROP", "MIDDLE"], when);
  }

  refuse(when) {
    return this.#add(["REFUSE"], when);
  }

  hang(when) {
    return this.#add(["HANG"], when);
  }

  stall(when) {
    return this.#add(["STALL"], when);
  }

  trickle(when) {
    return this.#add(["TRICKLE"], when);
  }

  lose(when) {
    return this.#add(["LOSE"], when);
  }

  duplicate(when) {
    return this.#add(["DUPLICATE"], when);
  }

  reorder(when) {
    return this.#add(["REORDER"], when);
  }

  list() {
    return this.#broker.command("FAULT", "LIST");
  }

  async clear() {
    await this.#broker.command("FAULT", "CLEAR");
  }

  async #add(action, { chance, seed, ...when } = {}) {
    // A seed stands right after its chance.
    const words = options({ ...when, chance, seed });
    return new Fault(this.#broker, await this.#broker.command("FAULT", "ADD", ...action, ...words));
  }
}

class Fault {
  #broker;

  constructor(broker, id) {
    this.#broker = broker;
    this.id = id;
  }

  async hits() {
    return (await this.#report()).hits;
  }

  async matches() {
    return (await this.#report()).matches;
  }

  async remove() {
    await this.#broker.command("FAULT", "REMOVE", this.id);
  }

  async #report() {
    const report = (await this.#broker.faults.list()).find(({ id }) => id === this.id);
    if (!report) throw new RespdError("ERR no such fault");
    return report;
  }
}

class Record {
  #broker;

  constructor(broker) {
    this.#broker = broker;
  }

  entries({ count, ...scope } = {}) {
    return this.#command("GET", ...options({ ...scope, count }));
  }

  count(scope) {
    return this.#command("COUNT", ...options(scope));
  }

  state() {
    return this.#command("STATE");
  }

  transcript(scope) {
    return this.#command("TRANSCRIPT", ...options(scope));
  }

  async clear() {
    await this.#command("CLEAR");
  }

  async stop() {
    await this.#command("STOP");
  }

  async assertSent(words, { times = "ANY", ...scope } = {}) {
    await this.#assert(scope, "SENT", times, ...words);
  }

  async assertDelivered(words, { times = "ANY", ...scope } = {}) {
    await this.#assert(scope, "DELIVERED", times, ...words);
  }

  async assertInOrder(lines, scope) {
    await this.#assert(scope, "ORDER", ...lines);
  }

  async assertUntouched(pattern, scope) {
    await this.#assert(scope, "UNTOUCHED", pattern);
  }

  #assert(scope, ...claim) {
    return unlessSaid(NOT_SO, this.#command("ASSERT", ...options(scope), ...claim));
  }

  #command(...words) {
    return this.#broker.command("RECORD", ...words);
  }
}

// One that is nobody's client library, so that nothing is sent twice, or besides.
class Connection {
  db = 0;
  #socket;
  #input = Buffer.alloc(0);
  #failure;
  #wake = () => {};

  static async open(url) {
    const { hostname, port, username, password } = new URL(url);
    const host = hostname.replace(/^\[|\]$/g, "");
    const connection = new Connection(createConnection({ host, port: Number(port), noDelay: true }));
    const login = password ? ["AUTH", decodeURIComponent(username || "default"), decodeURIComponent(password)] : [];
    await connection.call(["HELLO", 3, ...login]);
    return connection;
  }

  constructor(socket) {
    this.#socket = socket
      .on("data", (data) => {
        this.#input = Buffer.concat([this.#input, data]);
        this.#wake();
      })
      .on("error", (error) => (this.#failure = error))
      .on("close", () => {
        this.#failure ??= new Error("the broker has closed the connection");
        this.#wake();
      });
  }

  get isOpen() {
    return !this.#failure;
  }

  async call(words, patience = PATIENCE) {
    const sent = words.map((word) => (Buffer.isBuffer(word) ? word : Buffer.from(String(word))));
    const bulks = sent.flatMap((word) => [Buffer.from(`$${word.length}\r\n`), word, Buffer.from("\r\n")]);
    const late = setTimeout(() => this.close(new Error(`no answer to ${words[0]} ${words[1]}`)), patience);
    this.#socket.ref();
    try {
      this.#socket.write(Buffer.concat([Buffer.from(`*${sent.length}\r\n`), ...bulks]));
      const reply = await this.#reply();
      if (reply instanceof RespdError) throw reply;
      return reply;
    } finally {
      // What is idle keeps no test run from its end.
      this.#socket.unref();
      clearTimeout(late);
    }
  }

  close(why = new Error("the connection was closed here")) {
    this.#failure ??= why;
    this.#socket.destroy();
  }

  async #reply() {
    const line = await this.#line();
    const rest = line.slice(1);
    switch (line[0]) {
      case "-":
        return new RespdError(rest);
      case ":":
      case ",":
        return Number(rest);
      case "#":
        return rest === "t";
      case "_":
        return null;
      case "$":
        return String(await this.#bytes(Number(rest)));
      case "=":
        return String(await this.#bytes(Number(rest))).slice("txt:".length);
      case "*":
      case "~":
        return this.#replies(Number(rest));
      case "%": {
        const all = await this.#replies(2 * Number(rest));
        return Object.fromEntries(all.flatMap((name, at) => (at % 2 ? [] : [[name, all[at + 1]]])));
      }
      default:
        return rest;
    }
  }

  async #replies(count) {
    const replies = [];
    while (replies.length < count) replies.push(await this.#reply());
    return replies;
  }

  async #line() {
    let end;
    while ((end = this.#input.indexOf("\r\n")) < 0) await this.#more();
    return String(await this.#bytes(end));
  }

  // So many, without the end of line that follows them.
  async #bytes(count) {
    while (this.#input.length < count + 2) await this.#more();
    const bytes = this.#input.subarray(0, count);
    this.#input = this.#input.subarray(count + 2);
    return bytes;
  }

  async #more() {
    if (this.#failure) throw this.#failure;
    await new Promise((resolve) => (this.#wake = resolve));
  }
}

// What was asked for, or an assertion that has failed if the broker says so.
async function unlessSaid(beginning, asked) {
  try {
    await asked;
  } catch (error) {
    if (!error.message.startsWith(beginning)) throw error;
    throw new AssertionError({ message: error.message.slice(beginning.length) });
  }
}

// `NAME value` of each that was given.
function options(given = {}) {
  return Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [name.toUpperCase(), value]));
}
