"""Makes a round that shows a difference as short as it gets: fewer steps, fewer clients
and settings, fewer words, shorter words. Every attempt is played on emptied servers."""
import time

from play import Died
from rounds import Id, Round

LIMIT = 20.0  # seconds


class Shrinking:
    def __init__(self, players, round, difference):
        self.players, self.round, self.difference = players, round, difference
        self.wanted, self.until = difference.signature(), time.monotonic() + LIMIT

    def over(self):
        return time.monotonic() > self.until

    def accept(self, round):
        """Takes this round instead, if it shows the same."""
        if self.over():
            return False
        try:
            difference = self.players.play(round)
        except Died:
            return False  # redis-server's own fault is another one
        if difference is None or difference.signature() != self.wanted:
            return False
        self.round, self.difference = round, difference
        return True

    def steps(self):
        """Leaves out as many steps as it can, first large parts."""
        size = max(1, len(self.round.steps) // 2)
        while size:
            at = 0
            while at < len(self.round.steps):
                steps = self.round.steps
                if not self.accept(self.round.with_steps(steps[:at] + steps[at + size:])):
                    at += size
            size //= 2

    def apart(self):
        """Each call a step of its own, where that shows the same."""
        steps = [part for step in self.round.steps for part in ([step] if step.whole else [step.with_calls([words]) for words in step.calls])]
        if not self.accept(self.round.with_steps(steps)):
            for at in reversed(range(len(self.round.steps))):
                step = self.round.steps[at]
                for cut in reversed(range(len(step.calls))):
                    calls = self.round.steps[at].calls
                    if len(calls) > 1 and not step.whole:
                        self.accept(self.changed(at, step.with_calls(calls[:cut] + calls[cut + 1:])))

    def changed(self, at, step):
        return self.round.with_steps(self.round.steps[:at] + [step] + self.round.steps[at + 1:])

    def surroundings(self):
        for name in list(self.round.settings):
            settings = {other: value for other, value in self.round.settings.items() if other != name}
            self.accept(Round(settings, self.round.clients, self.round.steps, self.round.one_by_one))
        for client in reversed(range(1, len(self.round.clients))):
            if not self.accept(self.without(client, 0)):
                self.accept(self.without(client, client - 1))

    def without(self, gone, instead):
        """The same with one client less, whose steps another one does."""
        new = lambda client: instead if client == gone else client - (client > gone)
        word = lambda given: Id(new(given.client)) if isinstance(given, Id) else given
        steps = [step.with_calls([[word(given) for given in words] for words in step.calls], new(step.client)) for step in self.round.steps]
        clients = [protocol for client, protocol in enumerate(self.round.clients) if client != gone]
        return Round(self.round.settings, clients, steps, self.round.one_by_one)

    def words(self):
        for at in reversed(range(len(self.round.steps))):
            if self.round.steps[at].whole:
                continue
            for number in range(len(self.round.steps[at].calls)):
                for place in reversed(range(1, len(self.round.steps[at].calls[number]))):
                    if not self.replace(at, number, place, []):
                        self.shorten(at, number, place)

    def replace(self, at, number, place, instead):
        step = self.round.steps[at]
        words = step.calls[number]
        changed = words[:place] + instead + words[place + 1:]
        if self.players.table.name(changed) and not self.players.table.compares(changed):
            return False
        return self.accept(self.changed(at, step.with_calls(step.calls[:number] + [changed] + step.calls[number + 1:])))

    def shorten(self, at, number, place):
        word = self.round.steps[at].calls[number][place]
        if not isinstance(word, bytes) or len(word) < 2:
            return
        for shorter in (b"a", b"1", word[: len(word) // 2], word[len(word) // 2:], word[:-1], word[1:]):
            if len(shorter) < len(word) and self.replace(at, number, place, [shorter]):
                return self.shorten(at, number, place)


def shortest(players, round, difference):
    shrinking = Shrinking(players, round, difference)
    shrinking.accept(round.with_steps(round.steps[: difference.step + 1]) if difference.step is not None else round)
    shrinking.steps()
    shrinking.apart()
    for _ in range(2):
        shrinking.steps()
        shrinking.surroundings()
        shrinking.words()
    return shrinking.round, shrinking.difference
