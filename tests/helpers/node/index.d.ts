export type Word = string | number | Buffer;
/** A reply that is a map, such as what a fault or an entry of the record is. */
export type Fields = { [name: string]: any };

/** What the broker has answered instead of doing it. */
export class RespdError extends Error {}

/** Which requests are meant: those that match all of what is given. `command` may be a
 * subcommand, as `config|get`; `key`, `channel`, `name` and `library` are patterns. */
export interface Scope {
  command?: string;
  key?: Word;
  channel?: Word;
  name?: string;
  id?: number;
  user?: string;
  library?: string;
  db?: number;
}

/** Which of the matches: the nth, every nth, the first so many, or by a chance of so many
 * percent, drawn from a seed. All, unless one of these is given. */
export interface When extends Scope {
  nth?: number;
  every?: number;
  times?: number;
  chance?: number;
  seed?: number;
}

/** How long to wait, in milliseconds; five seconds unless given. */
export interface Within {
  within?: number;
}

/** A key of which database. */
export interface OfKey extends Within {
  db?: number;
}

/** A broker that a test has for itself, in a process that all tests of this one share. It
 * ends after the test of node:test that it is given, or with `end()`. */
export function respd(test?: { readonly signal: AbortSignal }): Promise<Broker>;

/** A broker that is a process of its own, with these flags, too. It ends with `end()`, and
 * with this process however that ends. */
export function spawn(...flags: string[]): Promise<Broker>;

/** A broker with its own data, clients, clock, faults and record. */
export class Broker {
  private constructor();
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly clock: Clock;
  readonly until: Until;
  readonly faults: Faults;
  /** What `RESPD …` answers. */
  command(...words: Word[]): Promise<any>;
  /** What any command answers. */
  call(words: Word[], options?: { db?: number; patience?: number }): Promise<any>;
  /** A fresh broker in the same process, on a port of its own. */
  space(): Promise<Broker>;
  spaces(): Promise<Fields[]>;
  /** Stores keys: `{ jobs: { type: "list", value: ["one"], ttl: 60 } }`, or that as JSON. */
  load(keys: string | object): Promise<number>;
  /** Runs commands, one a line as typed into redis-cli. */
  loadCommands(text: string | Buffer): Promise<number>;
  /** All keys, or those that match, as text in order. */
  export(match?: Word): Promise<string>;
  snapshot(): Promise<Snapshot>;
  snapshots(): Promise<Fields[]>;
  /** Begins to record what clients send and get; at most so many entries, of which the oldest go. */
  record(options?: { limit?: number }): Promise<Record>;
  /** Has the broker go, and come back on the same port `after` that, with its data or
   * without. Resolves when it is back; all connections have been cut then. */
  restart(options?: { keep?: boolean; after?: number }): Promise<void>;
  /** Ends it, and closes the connections that were made here. */
  end(): Promise<void>;
}

/** The clock that everything in the broker obeys. Times are milliseconds. */
export interface Clock {
  /** Milliseconds since 1970, as `Date.now()`. */
  now(): Promise<number>;
  isFrozen(): Promise<boolean>;
  freeze(): Promise<void>;
  resume(): Promise<void>;
  /** Moves it ahead, and resolves when all that fell due on the way has happened. */
  advance(by: number): Promise<void>;
  /** Moves it to what falls due next, and says what that was: `{ due: "key", … }`. */
  advanceToNext(): Promise<Fields | null>;
  /** Sets the wall clock. */
  set(to: number | Date): Promise<void>;
}

/** Waits until something is so, or rejects with what there is instead. */
export interface Until {
  subscribers(channel: Word, count: number, options?: Within): Promise<void>;
  patternSubscribers(pattern: Word, count: number, options?: Within): Promise<void>;
  shardSubscribers(channel: Word, count: number, options?: Within): Promise<void>;
  /** So many clients are blocked on the key. */
  blocked(key: Word, count: number, options?: OfKey): Promise<void>;
  exists(key: Word, options?: OfKey): Promise<void>;
  gone(key: Word, options?: OfKey): Promise<void>;
  /** It has so many elements, members, fields or entries. */
  length(key: Word, count: number, options?: OfKey): Promise<void>;
  /** So many entries are pending in the group. */
  pending(key: Word, group: Word, count: number, options?: OfKey): Promise<void>;
  /** So many clients are connected, those of this object included. */
  clients(count: number, options?: Within): Promise<void>;
  /** The client of that name has sent the command, so often or more. */
  sent(name: string, command: string, options?: Within & { times?: number }): Promise<void>;
  /** The socket of the client of that name has taken everything that was sent to it. */
  read(name: string, options?: Within): Promise<void>;
}

/** All data as they were. */
export interface Snapshot {
  readonly id: number;
  /** How the data differ from what they were; nothing if they do not. */
  difference(): Promise<string>;
  /** Has all data be what they were; answers how many keys are different now. */
  rollBack(): Promise<number>;
  drop(): Promise<void>;
}

/** What goes wrong, for the requests that `When` says. */
export interface Faults {
  /** Answers this error; a code alone, such as LOADING, is the one of Redis. */
  error(text: string, when?: When): Promise<Fault>;
  /** Answers so much later, by the broker's clock. */
  delay(by: number, when?: When): Promise<Fault>;
  /** Cuts the connection and does not execute the request. */
  dropBefore(when?: When): Promise<Fault>;
  /** Executes the request, and cuts the connection instead of replying. */
  dropAfter(when?: When): Promise<Fault>;
  /** Cuts the connection in the middle of the reply. */
  dropAmid(when?: When): Promise<Fault>;
  /** Refuses new connections. */
  refuse(when?: When): Promise<Fault>;
  /** Accepts connections and never answers. */
  hang(when?: When): Promise<Fault>;
  /** Reads nothing any more. */
  stall(when?: When): Promise<Fault>;
  /** Answers a byte at a time. */
  trickle(when?: When): Promise<Fault>;
  /** Does not deliver a message. */
  lose(when?: When): Promise<Fault>;
  /** Delivers a message twice. */
  duplicate(when?: When): Promise<Fault>;
  /** Delivers a message after the next one. */
  reorder(when?: When): Promise<Fault>;
  list(): Promise<Fields[]>;
  /** Removes them all. */
  clear(): Promise<void>;
}

export interface Fault {
  readonly id: number;
  /** How often it has struck. */
  hits(): Promise<number>;
  /** How often it was meant, whether or not it struck. */
  matches(): Promise<number>;
  remove(): Promise<void>;
}

/** What clients send and get. What is asserted and not so rejects with what was sent instead. */
export interface Record {
  /** What is on record in its order, or the last so many of it. */
  entries(options?: Scope & { count?: number }): Promise<Fields[]>;
  count(scope?: Scope): Promise<number>;
  /** How many entries there are, and how many have gone. */
  state(): Promise<Fields>;
  /** All of it as text. */
  transcript(scope?: Scope): Promise<string>;
  clear(): Promise<void>;
  stop(): Promise<void>;
  /** This request was sent so often, or at least once. Words may be patterns, and the last
   * one `...`, for any that follow. */
  assertSent(words: Word[], options?: Scope & { times?: number }): Promise<void>;
  /** This message was delivered so often, or at least once: `["message", "news", "*"]`. */
  assertDelivered(words: Word[], options?: Scope & { times?: number }): Promise<void>;
  /** Requests like these were sent one after the other, perhaps with others between them;
   * each is a line as typed into redis-cli. */
  assertInOrder(lines: Word[], scope?: Scope): Promise<void>;
  /** Nothing was sent to keys that match. */
  assertUntouched(pattern: Word, scope?: Scope): Promise<void>;
}
