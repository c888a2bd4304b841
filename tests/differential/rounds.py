"""What the clients of a round do, drawn from a seed: which of them sends which words
in which order. The order is the same on both servers, so that there is one right result."""
import copy
import itertools

import rules
import values as v
from table import Call


class Id:
    """A word that is the id of a client, which each server gives itself."""

    def __init__(self, client):
        self.client = client


class Step:
    """Calls that one client sends at once. `inline` is how its words are written, `waits`
    says that its reply comes when time has passed, and `whole` that its calls make sense
    only together."""

    def __init__(self, client, calls, inline=False, waits=False, whole=False):
        self.client, self.calls, self.inline, self.waits, self.whole = client, calls, inline, waits, whole

    def with_calls(self, calls, client=None):
        return Step(self.client if client is None else client, calls, self.inline, self.waits, self.whole)


class Round:
    def __init__(self, settings, clients, steps, one_by_one):
        self.settings, self.clients, self.steps, self.one_by_one = settings, clients, steps, one_by_one

    def size(self):
        return sum(len(step.calls) for step in self.steps)

    def with_steps(self, steps):
        other = copy.copy(self)
        other.steps = steps
        return other


SETTINGS = {
    "hash-max-listpack-entries": ["4", "0"], "hash-max-listpack-value": ["8"], "zset-max-listpack-entries": ["4", "0"], "zset-max-listpack-value": ["8"],
    "set-max-intset-entries": ["4", "0"], "list-max-listpack-size": ["3", "1", "-1"], "list-compress-depth": ["1"], "hll-sparse-max-bytes": ["0", "60"],
    "stream-node-max-entries": ["3", "1"], "maxmemory-policy": ["allkeys-lfu"], "tracking-table-max-keys": ["1000"], "lazyfree-lazy-user-del": ["yes"],
}
EVENTS = ["KEA", "KEAm", "KEAmn", "Kg$", "Elsh", "Ezt", "KEx", "KEg$lshzt"]
# Those that take away what the others have stored come less often.
RARE = {"flushall": 0.02, "flushdb": 0.05, "swapdb": 0.2, "script|flush": 0.2, "function|flush": 0.2, "client|trackinginfo": 0.5, "del": 0.5, "unlink": 0.5, "hello": 0.3, "select": 0.3, "reset": 0.2, "quit": 0.02}
SUBSCRIBING = ("subscribe", "psubscribe", "ssubscribe", "unsubscribe", "punsubscribe", "sunsubscribe")
SPECIAL = SUBSCRIBING + ("multi", "exec", "discard", "watch")  # which come in their places


class Writer:
    """Draws rounds from a command table."""

    def __init__(self, random, table, payloads):
        self.random = random
        self.values = v.Values(random, payloads, [command.encode() for command in table.commands])
        self.pick, self.chance = random.choice, self.values.chance
        self.table = table
        usual = [command for name, command in table.commands.items() if name not in rules.LEFT_OUT and name not in SPECIAL]
        self.usual = usual
        self.weights = list(itertools.accumulate(RARE.get(command.name, 1.0 if command.keys else 0.3) for command in usual))
        self.blocking = [command for command in usual if command.blocks]
        self.publishing = [table.commands[name] for name in ("publish", "spublish") if name in table.commands]
        # Those that make something out of what is not there.
        self.adding = [command for command in usual if command.name in ("set", "lpush", "rpush", "hset", "sadd", "zadd", "xadd", "pfadd", "geoadd", "setbit", "mset", "restore")]

    def round(self, calls):
        self.steps, self.listener, self.values.entries, self.values.extreme = [], None, 0, self.chance(0.05)
        self.told = set()  # who has subscribed, or tracks keys
        clients = self.pick([1, 2, 3, 4])
        self.clients = [3 if self.chance(0.4) else 2 for _ in range(clients)]
        self.may_block = clients > 1 and self.chance(0.5)
        settings = {name: self.pick(SETTINGS[name]) for name in self.random.sample(sorted(SETTINGS), self.pick([0, 0, 0, 1, 2]))}
        acts = [(self.plain, 30), (self.transaction, 6), (self.script, 4), (self.inline, 1), (self.add, 3)]
        acts += [(act, weight) for act, weight, share in ((self.pubsub, 5, 0.3), (self.quiet, 1, 0.2), (self.odd, 1, 0.2)) if self.chance(share)]
        acts.append((self.tracking, 6) if self.chance(0.3) else (self.expiry, 2))
        if self.may_block:
            acts += [(self.block, 12), (self.add, 12), (self.unblock, 2)]
            if self.tracking not in (act for act, _ in acts):
                # Who is released together would cause one message for all that they do.
                acts.append((self.pause, 0.3))
        for client, protocol in enumerate(self.clients):
            if protocol == 3:
                self.say(client, [b"HELLO", b"3"])
        if clients > 1 and self.chance(0.35):
            # From 7.2 on, who waits meets the keys that are missing or over again with every one that comes.
            settings["notify-keyspace-events"] = self.pick([events for events in EVENTS if not (self.may_block and set(events) & set("Amx"))])
            self.say(clients - 1, [b"PSUBSCRIBE", b"__key*"])
            self.told.add(clients - 1)
            self.listener = clients - 1
        for number in range(v.KEYS):
            self.group([b"XGROUP", b"CREATE", b"x%d" % number, b"gr1", b"0", b"MKSTREAM"])
        for command in self.adding:
            self.say(self.client(), *(self.call(command) for _ in range(self.pick([1, 2, 3]))))
        for _ in range(self.pick([1, 5, 10])):
            self.add()
        while sum(len(step.calls) for step in self.steps) < calls:
            self.random.choices([act for act, _ in acts], [weight for _, weight in acts])[0]()
        one_by_one = any(act == self.tracking for act, _ in acts)
        return Round(settings, self.clients, self.steps, one_by_one)

    def say(self, client, *calls, **how):
        self.steps.append(Step(client, list(calls), **how))

    def client(self, told=True):
        """One that acts. In 7.0 what a client is told stands in the middle of what it is
        answered; so who listens to events does nothing else, and there are things that are
        left to those who are told nothing."""
        able = [client for client in range(len(self.clients)) if client != self.listener and (told or client not in self.told)]
        return self.pick(able) if able else None

    def call(self, command=None):
        """Words for a command, sometimes wrong ones."""
        command = command or self.random.choices(self.usual, cum_weights=self.weights)[0]
        while True:
            words = Call(command, self.values).words
            if self.chance(0.1):
                words = self.spoilt(words, len(command.words))
            if command.name in ("sort", "sort_ro") and b"BY" in words and len(words) > 1:
                words[1] = self.values.key("q")
            if self.table.compares(words):
                return words

    def spoilt(self, words, fixed):
        words = list(words)
        at = self.random.randrange(fixed, len(words)) if len(words) > fixed else None
        kind = self.random.random()
        if at is None or kind < 0.2:
            words.insert(self.random.randint(fixed, len(words)), self.pick(v.BAD + v.TEXTS))
        elif kind < 0.4:
            del words[at]
        elif kind < 0.5:
            del words[at:]
        elif kind < 0.6:
            words.insert(at, words[at])
        else:
            words[at] = self.pick(v.BAD)
        return words

    def unblocked(self, words):
        """Whether it can be sent where nobody may wait: no blocking command, or one that is asked not to."""
        name = self.table.name(words)
        command = self.table.commands.get(name)
        if not command or not command.blocks:
            return True
        return name in ("xread", "xreadgroup") and not any(word.upper() == b"BLOCK" for word in words)

    def some(self, most, client):
        calls = (self.call() for _ in range(self.random.randint(1, most)))
        return [words for words in calls if self.unblocked(words) and (client not in self.told or self.tells_nothing(words))]

    def tells_nothing(self, words):
        """Whether it may come from somebody who tracks keys, or has subscribed. In 7.0 what
        a client's own command tells it may stand in the middle of the reply. And who tracks
        keys is told of those that its scripts are given; from 7.2 on, of those that they read."""
        command = self.table.commands.get(self.table.name(words))
        return command is not None and not command.writes and command.group != "scripting"

    def plain(self):
        client = self.client()
        self.say(client, *self.some(12, client))

    def add(self, client=None):
        client = self.client(told=False) if client is None else client
        if client is None:
            return
        if self.chance(0.1):
            return self.say(client, [self.pick([b"RPUSH", b"LPUSH"]), self.values.key("q")] + [self.values.text() for _ in range(self.random.randint(1, 6))])
        if self.chance(0.1):
            words = [word for _ in range(self.random.randint(1, 4)) for word in (b"0", self.pick(v.TEXTS))]
            return self.say(client, [b"ZADD", self.values.key("y"), *words])
        if self.chance(0.2):
            return self.group(self.call(self.table.commands["xgroup|create"]), client)
        self.say(client, *(self.call(self.pick(self.adding)) for _ in range(self.random.randint(1, 3))))

    def group(self, words, client=None):
        """A group of consumers, with one that is there in both versions."""
        client = self.client(told=False) if client is None else client
        if client is not None:
            self.say(client, words, [b"XGROUP", b"CREATECONSUMER", *words[2:4], b"c1"], whole=True)

    def transaction(self):
        client = self.client(told=False)
        if client is None:
            return
        if self.chance(0.3):
            self.say(client, [b"WATCH"] + [self.values.key() for _ in range(self.random.randint(1, 2))])
            if self.chance(0.4):
                self.plain()
        calls = [[b"MULTI"]] + [self.call() for _ in range(self.random.randint(0, 6))]
        if self.chance(0.15):
            calls.append(self.pick([[b"DISCARD"], [b"EXEC", b"x"], [b"UNWATCH"], [b"WATCH", b"s0"], [b"MULTI"]]))
        calls.append([b"EXEC"])
        if self.chance(0.7):
            return self.say(client, *calls)
        for words in calls:
            self.say(client, words)
            if self.chance(0.3):
                self.plain()

    def script(self):
        client, call = self.client(told=False), self.call()
        if client is None or not self.table.commands[self.table.name(call)].scripted:
            return
        if self.chance(0.2):
            return self.say(client, [b"SCRIPT", b"LOAD", v.RUNNERS[0]], [b"EVALSHA", v.RUNNER_SHA, b"0", *call])
        if self.chance(0.8):
            return self.say(client, [b"EVAL" if self.chance(0.9) else b"EVAL_RO", self.pick(v.RUNNERS), b"0", *call])
        self.say(client, [b"FUNCTION", b"LOAD", b"REPLACE", v.LIBRARIES[0]], [b"FCALL", b"f0", b"0", *call])

    def expiry(self):
        """A key that is over, though nobody has looked at it yet."""
        key = self.values.key()
        words = self.pick([[b"PEXPIRE", key, b"1"], [b"SET", key, b"v", b"PX", b"1"], [b"PSETEX", key, b"1", b"v"], [b"GETEX", key, b"PX", b"1"]])
        client = self.client(told=False)
        if client is not None:
            self.say(client, words, [b"DEBUG", b"SLEEP", b"0.003"], whole=True)
            self.plain()

    def inline(self):
        words = [word for word in self.call() if word and not set(word) & set(b" \t\r\n\0\"'\\") and max(word) < 128]
        if self.table.compares(words) and self.unblocked(words) and self.tells_nothing(words):
            self.say(self.client(), words, inline=True)

    def pubsub(self):
        client = self.client()
        if self.chance(0.5):
            return self.say(client, self.call(self.pick(self.publishing)))
        names = [self.pick([b"c0", b"c1", b"c2", b"c*", b"c[01]", b"?0", b"\\c2", b""]) for _ in range(self.random.randint(1, 2))]
        word = self.pick(SUBSCRIBING)
        if self.chance(0.2):
            names = []
        self.say(client, [word.upper().encode(), *names])
        self.told.add(client)

    def tracking(self):
        client, dice = self.client(), self.random.random()
        if dice < 0.45:
            words = [b"CLIENT", b"TRACKING", b"ON" if self.chance(0.8) else b"OFF"]
            for word in self.random.sample([b"BCAST", b"OPTIN", b"OPTOUT", b"NOLOOP"], self.pick([0, 0, 1, 1, 2])):
                words.append(word)
                if word == b"BCAST" and self.chance(0.6):
                    words += [b"PREFIX", self.pick([b"s", b"l", b"z", b"h0"])]
            if self.chance(0.25):
                other = self.random.randrange(len(self.clients))
                words += [b"REDIRECT", Id(other)]
                self.told.add(other)
            self.say(client, words)
            self.told.add(client)
        elif dice < 0.6:
            self.say(client, [b"CLIENT", b"CACHING", self.pick([b"YES", b"NO"])])
        self.say(client, *self.some(3, client))

    def quiet(self):
        """Commands without replies."""
        client = self.client(told=False)
        if client is None:
            return
        calls = self.some(3, client)
        if self.chance(0.5):
            self.say(client, [b"CLIENT", b"REPLY", b"OFF"], *calls, [b"CLIENT", b"REPLY", b"ON"], whole=True)
        else:
            self.say(client, [b"CLIENT", b"REPLY", b"SKIP"], *calls[:1], [b"PING"], whole=True)

    def odd(self):
        """What ends a connection, and what ends another one's."""
        client = self.random.randrange(len(self.clients))
        other = self.random.randrange(len(self.clients))
        if other != client and self.chance(0.3):
            self.say(client, [b"CLIENT", b"KILL", b"ID", Id(other)])
        elif self.chance(0.2):
            self.say(client, self.pick([[b"QUIT"], [b"RESET"], [b"NOSUCH", b"a"], [b"CLIENT", b"KILL", b"ID", b"0"]]))

    def block(self):
        # The first client never waits, so that there is one who serves the others.
        client = self.random.randrange(1, len(self.clients))
        command = self.pick(self.blocking)
        if client == self.listener or client in self.told:
            return
        words = self.call(command)
        if command.name in ("xread", "xreadgroup") and not any(word.upper() == b"BLOCK" for word in words):
            at = next((at for at, word in enumerate(words) if word.upper() == b"STREAMS"), 1)
            words[at:at] = [b"BLOCK", b"0"]
        if not self.table.compares(words):
            return
        soon = self.chance(0.01) and words[-1] == b"0"
        if soon:
            words[-1] = b"0.01"
        self.say(client, words, waits=soon)

    def unblock(self):
        self.say(0, [b"CLIENT", b"UNBLOCK", Id(self.random.randrange(len(self.clients)))] + self.pick([[], [b"TIMEOUT"], [b"ERROR"], [b"x"]]))

    def pause(self):
        self.say(0, [b"CLIENT", b"PAUSE", b"1000000", b"WRITE"])
        for _ in range(self.random.randint(1, 4)):
            client = self.random.randrange(1, len(self.clients))
            if client not in self.told:
                self.add(client)
        self.say(0, [b"CLIENT", b"UNPAUSE"])
