"""How a process of clients is told by `run` what to do, and what it tells in
the end: what each client has sent and got, and which promises were broken."""
import collections
import json
import random
import sys
import threading
import time
import traceback


class Round:
    """From the arrival of the clients until they leave."""

    def __init__(self, told):
        self.number, self.seed, self.scale = told["round"], told["seed"], told["clients"] / 200
        self.publishers = told["publishers"]
        self.sending = self.running = True
        self.interrupted = False  # what the broker had is gone since, and with it what it promised
        self.sent = collections.defaultdict(list)  # what the broker has taken, for each queue
        self.got = collections.defaultdict(list)
        self.sums = collections.Counter()  # for each counter, by how much
        self.windows = collections.defaultdict(lambda: [0, 0])  # for each window of a limit, how many were let in, and asked
        self.broken = []
        self.lost = []  # connections, and how
        self.turns = {}  # for each client
        self.senders = 0
        self.guard = threading.Lock()

    def several(self, count):
        return range(max(1, round(count * self.scale)))

    def random(self, name):
        return random.Random(f"{self.seed} {self.number} {name}")

    def add(self, counter, by=1):
        with self.guard:
            self.sums[counter] += by

    def asked(self, window, let_in):
        with self.guard:
            self.windows[window][0] += let_in
            self.windows[window][1] += 1

    def breaks(self, what):
        """A promise that holds as long as the broker lives."""
        if not self.interrupted:
            self.broken.append(what)

    def expect(self, holds, what):
        if not holds:
            self.breaks(what)

    def failed(self, name, error):
        """A turn of a client; whether only its connection was lost."""
        if is_lost := isinstance(error, (OSError, EOFError)) or type(error).__name__ in ("ConnectionError", "TimeoutError"):
            self.lost.append(f"{name}: {error}")
        else:
            last = traceback.extract_tb(error.__traceback__)[-1]
            self.breaks(f"{name}: {type(error).__name__}: {error} ({last.filename}:{last.lineno})")
        return is_lost

    def goes_on(self, sends):
        return self.sending if sends else self.running

    def started(self, name, sends):
        self.turns[name] = 0
        with self.guard:
            self.senders += sends

    def ended(self, sends):
        with self.guard:
            self.senders -= sends

    def report(self):
        return {
            "sent": self.sent, "got": self.got, "sums": self.sums, "windows": self.windows,
            "broken": self.broken[:20], "lost": self.lost[:20], "turns": self.turns,
        }


class Stream:
    """What a subscriber gets of each channel: every message, in order, and at
    last that there are no more."""

    def __init__(self, round, name):
        self.round, self.name = round, name
        self.last, self.over = {}, set()

    def lost(self):
        """There may be a gap now."""
        self.last.clear()

    def message(self, channel, text):
        if text == "end":
            return self.over.add(channel)
        number, last = int(text), self.last.get(channel)
        self.round.expect(last is None or number == last + 1, f"{self.name}: {number} came after {last} from {channel}")
        self.last[channel] = number

    @property
    def goes_on(self):
        """Until all is there that was sent before the round ended."""
        return self.round.running or not self.round.interrupted and len(self.over) < self.round.publishers


def serve(play):
    """Does what `run` says, line by line. `play` has the clients of a round
    come, and returns when they have left."""
    answer = lambda what: print(json.dumps(what), flush=True)
    round = thread = None
    for line in sys.stdin:
        told = json.loads(line)
        match told["do"]:
            case "start":
                round = Round(told)
                thread = threading.Thread(target=play, args=(round,), daemon=True)
                thread.start()
                answer("started")
            case "quiet":  # no more is sent, so that what was sent can arrive
                round.sending = False
                while round.senders:
                    time.sleep(0.01)
                answer("quiet")
            case "interrupt":
                round.interrupted = True
                answer("interrupted")
            case "turns":
                answer(round.turns)
            case "finish":
                round.sending = round.running = False
                thread.join(30)
                if thread.is_alive():
                    round.broken.append("clients do not end")
                answer(round.report())
