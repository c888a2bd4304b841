// How a process of clients is told by `run` what to do, and what it tells in
// the end: what each client has sent and got, and which promises were broken.
const readline = require("readline");
const { until } = require("checks");

const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

class Round {
  constructor({ round, clients, publishers }) {
    Object.assign(this, { number: round, scale: clients / 200, publishers });
    this.sending = this.running = true;
    this.interrupted = false; // what the broker had is gone since, and with it what it promised
    this.senders = 0;
    // What the broker has taken, for each queue; what came out; for each counter,
    // by how much; lost connections; how often each client had its turn.
    this.report = { sent: {}, got: {}, sums: {}, windows: {}, broken: [], lost: [], turns: {} };
  }

  several(count) {
    return Array.from({ length: Math.max(1, Math.round(count * this.scale)) }, (_, n) => n);
  }

  sent(queue, ...items) {
    (this.report.sent[queue] ??= []).push(...items);
  }

  got(queue, ...items) {
    (this.report.got[queue] ??= []).push(...items);
  }

  add(counter, by = 1) {
    this.report.sums[counter] = (this.report.sums[counter] ?? 0) + by;
  }

  // A promise that holds as long as the broker lives.
  expect(holds, what) {
    if (!holds && !this.interrupted && this.report.broken.length < 20) this.report.broken.push(what);
  }

  // A connection has ended, or a turn of a client has failed for want of one.
  lost(name, error) {
    if (this.report.lost.length < 20) this.report.lost.push(`${name}: ${error?.message}`);
  }

  turn(name) {
    this.report.turns[name] = (this.report.turns[name] ?? 0) + 1;
  }

  // What a client does over and over, until the round ends, or, if it sends, a little earlier.
  async repeat(name, { sends = false, pause = 0.1 }, once) {
    this.report.turns[name] = 0;
    if (sends) this.senders++;
    while (sends ? this.sending : this.running) {
      try {
        await once();
        this.turn(name);
      } catch (error) {
        if (/clos|connect|retr|ECONN|offline/i.test(`${error.name} ${error.message}`)) this.lost(name, error);
        else this.expect(false, `${name}: ${error.stack}`);
        await sleep(0.1);
      }
      await sleep(Math.random() * 2 * pause);
    }
    if (sends) this.senders--;
  }
}

// What a subscriber gets of each channel: every message, in order, and at last
// that there are no more.
class Stream {
  constructor(round, name) {
    Object.assign(this, { round, name, last: new Map(), over: new Set() });
    round.report.turns[name] = 0;
  }

  // There may be a gap now.
  lost() {
    this.last.clear();
  }

  message(channel, text) {
    this.round.turn(this.name);
    if (text === "end") return this.over.add(channel);
    const [number, last] = [Number(text), this.last.get(channel)];
    this.round.expect(last === undefined || number === last + 1, `${this.name}: ${number} came after ${last} from ${channel}`);
    this.last.set(channel, number);
  }

  // All is there that was sent before the round ended.
  async end() {
    const all = () => this.round.interrupted || this.over.size === this.round.publishers;
    while (this.round.running || !all()) await sleep(0.05);
  }
}

// Does what `run` says, line by line. `play` has the clients of a round come,
// and is over when they have left.
const serve = async (play) => {
  const answer = (what) => console.log(JSON.stringify(what));
  let round, playing;
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const told = JSON.parse(line);
    switch (told.do) {
      case "start":
        round = new Round(told);
        playing = play(round).catch((error) => round.report.broken.push(error.stack));
        answer("started");
        break;
      case "quiet": // no more is sent, so that what was sent can arrive
        round.sending = false;
        await until("nobody sends", () => round.senders === 0, 60);
        answer("quiet");
        break;
      case "interrupt":
        round.interrupted = true;
        answer("interrupted");
        break;
      case "turns":
        answer(round.report.turns);
        break;
      case "finish":
        round.sending = round.running = false;
        if (!(await Promise.race([playing.then(() => true), sleep(30)]))) round.report.broken.push("clients do not end");
        answer(round.report);
    }
  }
  process.exit(0);
};

module.exports = { Stream, serve, sleep };
