"""Plays a round on both servers, in the same order, and finds the first difference.

A step is over on a server when every call of it is answered, or when its client waits.
Whether a client waits, and whether one that did is served, the server says itself, in
CLIENT LIST, to a connection that is no part of the round. So nothing depends on time."""
import collections
import re
import time

import rules
from rounds import SETTINGS, SUBSCRIBING, Id
from rules import Around, Context, Sent
from wire import Connection, number, request

PATIENCE = 5.0  # seconds without an answer, after which a server hangs
PUSHED = {b"message", b"pmessage", b"smessage", b"subscribe", b"psubscribe", b"ssubscribe", b"unsubscribe", b"punsubscribe", b"sunsubscribe"}
WAITS = re.compile(rb"^id=(\d+) .*? flags=\w*b", re.M)
LISTED = re.compile(rb"^id=(\d+) ", re.M)


class Parted(Exception):
    """The servers hold different things, as a rule says they may."""


class Died(Exception):
    """A server has ended, or `hangs`."""

    def __init__(self, side):
        self.side, self.hangs = side, not side.gone()
        super().__init__(f"{side.name} {'hangs' if self.hangs else 'died'}")


class Client:
    def __init__(self, port):
        self.connection = Connection(port)
        self.id = number(self.connection.ask("CLIENT", "ID"))
        # 7.2 sends a client the messages that its own command is the cause of behind the
        # reply, 7.0 before it. So how replies and messages are mixed is not compared.
        # respd tells of changes before it tells of events, if one command makes several of both.
        self.replies, self.messages, self.changes = [], [], []  # of (the call or None, a frame), as they came
        self.due = collections.deque()  # calls that are not answered
        self.protocol, self.queue, self.muted, self.skips = 2, None, False, False
        self.subscribed = {kind: set() for kind in ("", "p", "s")}
        self.left = None  # pushes that the first call due still brings

    def expect(self, sent):
        """Whether a reply will come is known from CLIENT REPLY alone."""
        mode = sent.words[2].upper() if sent.name == "client|reply" and len(sent.words) == 3 and self.queue is None else None
        if mode == b"ON":
            self.muted = False
        silent = self.muted or self.skips
        self.skips = mode == b"SKIP" and not silent
        self.muted |= mode == b"OFF"
        if not (silent or mode in (b"OFF", b"SKIP")):
            self.due.append(sent)

    def take(self, frame):
        header, _, children = frame
        pushed = header[:1] == b">"
        if not pushed and self.protocol == 2 and children and children[0][1] in PUSHED:
            pushed = any(self.subscribed.values()) or bool(self.due) and self.due[0].name in SUBSCRIBING
        sent = None if pushed or not self.due else self.due.popleft()
        entry = (sent, frame)
        changed = children and (children[0][1] == b"invalidate" or len(children) == 3 and children[1][1] == b"__redis__:invalidate")
        log = self.replies if sent else self.changes if changed else self.messages
        log.append(entry)
        if pushed:
            self.took_push(children)
        elif sent:
            self.took_reply(sent, header)
        return entry

    def took_push(self, children):
        kind = (children[0][1] or b"").decode()
        if kind not in SUBSCRIBING:
            return
        channels = self.subscribed[kind.removesuffix("subscribe").removesuffix("un")]
        if self.due and self.due[0].name == kind:
            if self.left is None:
                self.left = len(self.due[0].words) - 1 or max(1, len(channels))
            self.left -= 1
            if self.left == 0:
                self.left = None
                self.due.popleft()
        if "un" in kind:
            channels.discard(children[1][1])
        else:
            channels.add(children[1][1])

    def took_reply(self, sent, header):
        if header == b"+QUEUED":
            self.queue.append(sent) if self.queue is not None else None
        elif sent.name == "multi" and header == b"+OK":
            self.queue = []
        elif sent.name == "exec" and header[:1] != b"-" or header.startswith(b"-EXECABORT") or sent.name == "discard":
            sent.queue, self.queue = self.queue, None
            for queued in sent.queue or ():
                self.mind_protocol(queued, b"%" if queued.name == "hello" else b"")
        elif sent.name == "reset" and header == b"+RESET":
            self.protocol, self.queue = 2, None
            self.subscribed = {kind: set() for kind in self.subscribed}
        else:
            self.mind_protocol(sent, header)

    def mind_protocol(self, sent, header):
        if sent.name == "hello" and header[:1] in b"%*" and len(sent.words) > 1 and sent.words[1] in (b"2", b"3"):
            self.protocol = int(sent.words[1])


class Side:
    """One of the two servers, with the clients of a round."""

    def __init__(self, server, table_names=None):
        self.server, self.name = server, server.name
        self.names = table_names
        self.clients = []
        self.trace = []  # what was sent and read, in order: (">" or "<", client, words or frame)
        self.start()

    def start(self):
        self.control = Connection(self.server.port)
        answers = self.control.ask_all([["CONFIG", "GET", name] for name in SETTINGS])
        self.usual = {name: answer[2][1][1] for name, answer in zip(SETTINGS, answers)}
        self.usual["notify-keyspace-events"] = b""

    def restart(self):
        self.server.stop()
        self.server.start()
        self.start()

    def alive(self):
        return self.server.process.poll() is None

    def ask(self, *commands):
        try:
            return self.control.ask_all(commands)
        except (ConnectionError, OSError) as error:
            raise Died(self) from error

    def begin(self, round):
        for client in self.clients:
            client.connection.close()
        settings = [word for setting in {**self.usual, **round.settings}.items() for word in setting]
        self.ask(
            ["CLIENT", "UNPAUSE"], ["CLIENT", "KILL", "TYPE", "normal"], ["CLIENT", "KILL", "TYPE", "pubsub"], ["FLUSHALL"], ["SCRIPT", "FLUSH"],
            ["FUNCTION", "FLUSH"], ["CONFIG", "SET", *settings], ["CONFIG", "RESETSTAT"], ["DEBUG", "SET-ACTIVE-EXPIRE", "0"], ["SELECT", "0"],
        )
        try:
            self.clients = [Client(self.server.port) for _ in round.clients]
        except (ConnectionError, OSError) as error:
            raise Died(self) from error
        self.ids = {client.id: index for index, client in enumerate(self.clients)}
        self.waiting = set()
        self.trace = []

    def able(self, index):
        client = self.clients[index]
        return index not in self.waiting and not client.connection.ended

    def send(self, index, calls, inline=False, drawn=True):
        client, data = self.clients[index], []
        for words in calls:
            sent = Sent(words, self.names(words), drawn=drawn)
            words = [b"%d" % self.clients[word.client].id if isinstance(word, Id) else word for word in words]
            data.append(b" ".join(words) + b"\r\n" if inline else request(words))
            client.expect(sent)
            self.trace.append((">", index, sent))
        client.connection.send(b"".join(data))

    def settle(self, index, waits=False):
        """Reads until the client's calls are answered or it waits, and then what others
        get who waited."""
        self.drain(index, waits)
        while self.waiting:
            waiting = self.those_who_wait()
            served = [other for other in self.waiting if self.clients[other].id not in waiting]
            if not served:
                return
            for other in served:
                self.drain(other)

    def those_who_wait(self):
        listed = self.ask(["CLIENT", "LIST"])[0][1]
        return {int(id) for id in WAITS.findall(listed)}

    def drain(self, index, waits=False):
        client, since = self.clients[index], time.monotonic()
        self.waiting.discard(index)
        patient = 0.0003
        if client.muted:
            time.sleep(0.003)  # nothing tells that it is done
        while client.due:
            if client.connection.wait(patient):
                self.read(index)
                since = time.monotonic()
                if client.connection.ended:
                    if self.gone():
                        raise Died(self)
                    client.due.clear()
            elif not waits and client.id in self.those_who_wait():
                self.waiting.add(index)
                return
            elif time.monotonic() - since > PATIENCE:
                raise Died(self)
            else:
                patient = min(patient * 2, 0.05)

    def gone(self):
        """A process that has just crashed takes a moment to end."""
        try:
            self.server.process.wait(0.05)
        except Exception:
            return False
        return True

    def read(self, index):
        client = self.clients[index]
        while (frame := client.connection.next()) is not None:
            quits = client.due and client.due[0].name == "quit"
            self.trace.append(("<", index, client.take(frame)))
            if quits or frame[0].startswith(b"-ERR Protocol error"):
                client.due.clear()
                while client.connection.wait(PATIENCE):
                    pass
        if client.connection.ended:
            client.messages.append((None, (b"(closed)", None, None)))
            self.trace.append(("<", index, client.messages[-1]))

    def notice_closed(self):
        """After a CLIENT KILL."""
        listed = {int(id) for id in LISTED.findall(self.ask(["CLIENT", "LIST"])[0][1])}
        for index, client in enumerate(self.clients):
            if client.id not in listed and not client.connection.ended:
                while client.connection.wait(PATIENCE):
                    self.read(index)
                client.due.clear()
                self.waiting.discard(index)

    def finish(self):
        """Ends all waiting, and reads whatever was still to come."""
        self.ask(["CLIENT", "UNPAUSE"])
        for index in range(len(self.clients)):
            self.settle_all()
            if index in self.waiting:
                self.ask(["CLIENT", "UNBLOCK", self.clients[index].id])
                self.drain(index)
        self.settle_all()
        for index, client in enumerate(self.clients):
            if self.able(index):
                client.muted = client.skips = False
                self.send(index, [[b"RESET"]], drawn=False)
                self.drain(index)

    def settle_all(self):
        for index in sorted(self.waiting):
            self.drain(index)


class Difference:
    """Where the servers part: the call that did it, if known, and both frames, either of
    which may be missing. `died` is what befell respd, if it is that."""

    def __init__(self, step, client, call, theirs, ours, database=0, died=None):
        self.step, self.client, self.call, self.theirs, self.ours, self.database, self.died = step, client, call, theirs, ours, database, died
        self.traces = ()

    def hangs(self):
        return self.died is not None and self.died.hangs

    def signature(self):
        """What two finds of the same defect have in common."""
        if self.died:
            return (str(self.died),)
        shape = lambda frame: re.sub(rb"\d+|'[^']*'", b"#", (frame[0] + b" " + (frame[1] or b"")[:20]) if frame else b"nothing")[:60]
        return (self.call and (self.call.name or str(self.call.words[:1])), shape(self.theirs), shape(self.ours))


class Players:
    """Both servers. `used` counts the rules that were needed."""

    def __init__(self, theirs, ours, table):
        self.theirs, self.ours, self.table = theirs, ours, table
        self.sides = (theirs, ours)
        for side in self.sides:
            side.names = table.name
        self.used = collections.Counter()
        self.crashes = collections.Counter()

    def play(self, round):
        """The first difference, or None. Raises Died if redis-server did."""
        try:
            difference = self.first_difference(round)
        except Parted:
            return None
        except Died as died:
            self.recover(died)
            if died.side is self.theirs:
                raise
            difference = Difference(self.at, round.steps[self.at].client, None, None, None, died=died)
        if difference:
            difference.traces = [list(side.trace) for side in self.sides]
        return difference

    def first_difference(self, round):
        self.at = 0
        for side in self.sides:
            side.begin(round)
        self.seen = collections.Counter()  # how much of each client's replies and messages has been compared
        for self.at, step in enumerate(round.steps):
            if difference := self.play_step(round, self.at, step):
                return difference
        for side in self.sides:
            side.finish()
        return self.compare(round, self.at, whole=True) or self.compare_state(round)

    def recover(self, died):
        side = died.side
        if died.hangs:
            side.server.process.kill()
            side.server.process.wait()
        side.restart()

    def play_step(self, round, at, step):
        for calls in self.parts(round, step):
            able = [side.able(step.client) for side in self.sides]
            if not all(able):
                return None  # it waits, or is closed: on both, as all replies were the same
            for side in self.sides:
                side.send(step.client, calls, step.inline)
            for side in self.sides:
                side.settle(step.client, step.waits)
            if any(self.table.name(words) == "client|kill" for words in calls):
                for side in self.sides:
                    side.notice_closed()
            if difference := self.compare(round, at):
                return difference
        return None

    def parts(self, round, step):
        """What may be sent at once: all of it, unless somebody waits, or may."""
        if round.one_by_one or any(side.waiting for side in self.sides):
            return [[words] for words in step.calls] if not self.mutes(step) else [step.calls]
        parts = [[]]
        for words in step.calls:
            parts[-1].append(words)
            name = self.table.name(words)
            if name and self.table.commands[name].blocks or name == "client|pause":
                parts.append([])
        return [part for part in parts if part]

    def mutes(self, step):
        return any(self.table.name(words) == "client|reply" for words in step.calls)

    def compare(self, round, step, whole=False):
        """The first difference in what clients have got, and in who waits."""
        logs = {
            (index, name): [getattr(client, name) for client in clients]
            for index, clients in enumerate(zip(self.theirs.clients, self.ours.clients)) for name in ("replies", "messages", "changes")
        }
        for place, (theirs, ours) in logs.items():
            for (call, a), (_, b) in zip(theirs[self.seen[place]:], ours[self.seen[place]:]):
                if a != b and not self.excused(round, call, a, b):
                    return Difference(step, place[0], call, a, b)
                if rules.parts(call, b):
                    raise Parted
            self.seen[place] = min(len(theirs), len(ours))
        for (index, name), (theirs, ours) in logs.items():
            if len(theirs) != len(ours) and (whole or name == "replies" and self.theirs.waiting != self.ours.waiting):
                at = self.seen[index, name]
                a, b = (entries[at][1] if len(entries) > at else None for entries in (theirs, ours))
                call = max(theirs, ours, key=len)[at][0]
                if not self.excused(round, call, a, b):
                    return Difference(step, index, call, a, b)
        if self.theirs.waiting != self.ours.waiting:
            index = min(self.theirs.waiting ^ self.ours.waiting)
            return Difference(step, index, next((client.due[0] for client in (self.theirs.clients[index], self.ours.clients[index]) if client.due), None), None, None)
        return None

    def excused(self, round, call, theirs, ours):
        rule = rules.excuse(Context(call, theirs, ours, Around(round, self.theirs.ids, self.ours.ids, self.table.name)))
        self.used[rule] += 1
        if rule and rule.ends:
            raise Parted
        return rule

    def compare_state(self, round):
        """The first key that is not the same on both after the round."""
        databases = [[words for words in ([b"SELECT", b"%d" % db], [b"KEYS", b"*"])] for db in range(16)]
        answers = [side.ask(*(words for pair in databases for words in pair))[1::2] for side in self.sides]
        for db, (theirs, ours) in enumerate(zip(*answers)):
            keys = sorted(key for _, key, _ in theirs[2])
            commands = [[b"KEYS", b"*"]]
            if keys == sorted(key for _, key, _ in ours[2]):
                commands = [[b"TYPE", key] for key in keys]
                types = self.theirs.ask([b"SELECT", b"%d" % db], *commands)[1:]
                commands += [words for key, (kind, _, _) in zip(keys, types) for words in looks(key, kind)]
            if difference := self.compare_answers(round, db, commands):
                return difference
        return None

    def compare_answers(self, round, db, commands):
        theirs, ours = (side.ask([b"SELECT", b"%d" % db], *commands)[1:] for side in self.sides)
        for words, a, b in zip(commands, theirs, ours):
            if a != b:
                sent = Sent(words, self.table.name(words))
                if not self.excused(round, sent, a, b):
                    return Difference(len(round.steps), None, sent, a, b, db)
        return None


def looks(key, kind):
    """Commands that tell all there is to know of a key."""
    yield [b"PEXPIRETIME", key]
    yield [b"OBJECT", b"ENCODING", key]
    if kind == b"+zset":
        yield [b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"]
    elif kind == b"+stream":
        yield [b"XINFO", b"STREAM", key, b"FULL", b"COUNT", b"0"]
    else:
        yield [b"DEBUG", b"DIGEST-VALUE", key]
