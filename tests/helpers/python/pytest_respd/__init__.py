"""Brokers for tests: respd, what it has beyond a broker, and fixtures of pytest.

`respd` is a broker that one test has for itself, `respd_broker` the process in
which all of them are. Times are seconds, or timedeltas. What blocks, blocks its
thread: in an async test, `await asyncio.to_thread(respd.until.exists, "key")`.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Optional, TypedDict, Union
from urllib.parse import unquote, urlsplit

import pytest

if TYPE_CHECKING:
    import redis
    from typing_extensions import Unpack

Seconds = Union[float, timedelta]
Word = Union[str, bytes, float]

FLAGS = ("--test-commands", "yes", "--port", "0", "--print-url", "--exit-with-parent", "--loglevel", "warning")
# What errors begin with that say what there is instead.
TIMEOUT, NOT_SO = "ERR timeout: ", "ERR assertion failed: "
# No answer may take so many seconds, beyond those that were asked for.
PATIENCE = 60.0


class RespdError(Exception):
    """What the broker has answered instead of doing it."""


class Scope(TypedDict, total=False):
    """Which requests are meant: those that match all of what is given. `command`
    may be a subcommand, as `config|get`; key, channel, name and library are patterns."""

    command: str
    key: Word
    channel: Word
    name: str
    id: int
    user: str
    library: str
    db: int


class When(Scope, total=False):
    """Which of the matches: the nth, every nth, the first so many, or by a chance
    of so many percent, drawn from a seed. All, unless one of these is given."""

    nth: int
    every: int
    times: int
    chance: int
    seed: int


OPTIONS = {*When.__annotations__, "count", "limit", "match"}


@contextlib.contextmanager
def spawn(*flags: str) -> Iterator[Broker]:
    """A broker that is a process of its own, with these flags, too. It ends with the block,
    and with this process however that ends."""
    program = os.environ.get("RESPD_BIN") or "respd"
    try:
        process = subprocess.Popen(
            [program, *FLAGS, *flags],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            # Ctrl+C is for pytest, which still needs the broker to end its fixtures.
            start_new_session=True,
        )
    except OSError as error:
        how = "set RESPD_BIN to where the program respd is, or put it on the PATH"
        raise RespdError(f"{program} cannot be started ({error.strerror}): {how}") from None
    with process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip().removeprefix("REDIS_URL=")
            if not url:
                raise RespdError(f"{program} has ended with status {process.wait()}; what it wrote says why")
            with contextlib.closing(Broker(url)) as broker:
                yield broker
        finally:
            process.terminate()


class Broker:
    """A broker with its own data, clients, clock, faults and record."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.host: str = urlsplit(url).hostname or ""
        self.port: int = urlsplit(url).port or 0
        self.clock = Clock(self)
        self.until = Until(self)
        self.faults = Faults(self)
        self._idle: list[_Connection] = []
        self._clients: list[redis.Redis] = []

    def client(self, **options: Any) -> redis.Redis:
        """A client of redis-py, which is closed when the test ends. It answers text,
        unless `decode_responses=False`."""
        import redis

        # The database of a URL would go before that of the options.
        url = urlsplit(self.url)._replace(path="").geturl()
        client = redis.Redis.from_url(url, **{"decode_responses": True, **options})
        self._clients.append(client)
        return client

    def command(self, *words: Word) -> Any:
        """What `RESPD …` answers: text, numbers, lists, dicts or None."""
        return self._call("RESPD", *words)

    @contextlib.contextmanager
    def space(self) -> Iterator[Broker]:
        """A fresh broker in the same process, on a port of its own, which ends with the block."""
        made = self.command("SPACE", "NEW")
        try:
            with contextlib.closing(Broker(made["url"])) as space:
                yield space
        finally:
            self.command("SPACE", "DROP", made["id"])

    def spaces(self) -> list[dict[str, Any]]:
        return self.command("SPACE", "LIST")

    def load(self, keys: Union[str, Mapping[str, Any]]) -> int:
        """Stores keys: `{"jobs": {"type": "list", "value": ["one"], "ttl": 60}}`, or that as JSON."""
        return self.command("LOAD", "JSON", keys if isinstance(keys, str) else json.dumps(keys))

    def load_commands(self, text: Word) -> int:
        """Runs commands, one a line as typed into redis-cli."""
        return self.command("LOAD", "COMMANDS", text)

    def export(self, match: Optional[Word] = None) -> str:
        """All keys, or those that match, as text in order."""
        return self.command("EXPORT", *_options(match=match))

    def snapshot(self) -> Snapshot:
        return Snapshot(self, self.command("SNAPSHOT"))

    def snapshots(self) -> list[dict[str, Any]]:
        return self.command("SNAPSHOT", "LIST")

    def record(self, limit: Optional[int] = None) -> Record:
        """Begins to record what clients send and get; at most so many entries, of which the oldest go."""
        self.command("RECORD", "START", *_options(limit=limit))
        return Record(self)

    def restart(self, keep: bool = True, after: Seconds = 0) -> None:
        """Has the broker go, and come back on the same port `after` that, with its data or without.
        Returns when it is back; all connections have been cut then."""
        self._hang_up()
        millis = _millis(after)
        with contextlib.closing(_Connection(self.url)) as connection:
            words = ("RESPD", "RESTART", "KEEP" if keep else "LOSE", "AFTER", millis)
            connection.call(*words, patience=PATIENCE + millis / 1000)

    def close(self) -> None:
        """Closes the connections that were made here."""
        for client in self._clients:
            client.close()
        self._clients.clear()
        self._hang_up()

    def _call(self, *words: Word, db: int = 0, patience: float = PATIENCE) -> Any:
        # Each has a connection of its own, as a wait holds up what follows on the same one.
        with contextlib.suppress(IndexError, ConnectionError):
            return self._call_on(self._idle.pop(), words, db, patience)
        # There was none, or somebody had closed it meanwhile.
        return self._call_on(_Connection(self.url), words, db, patience)

    def _call_on(self, connection: _Connection, words: tuple[Word, ...], db: int, patience: float) -> Any:
        try:
            if db != connection.db:
                connection.call("SELECT", db)
                connection.db = db
            reply = connection.call(*words, patience=patience)
        except RespdError:
            self._idle.append(connection)
            raise
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        return reply

    def _hang_up(self) -> None:
        while self._idle:
            self._idle.pop().close()


class Clock:
    """The clock that everything in the broker obeys."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def now(self) -> float:
        """Seconds since 1970, as `time.time()`."""
        return self._broker.command("CLOCK", "GET")["time"] / 1000

    def is_frozen(self) -> bool:
        return self._broker.command("CLOCK", "GET")["state"] == "frozen"

    def freeze(self) -> None:
        self._broker.command("CLOCK", "FREEZE")

    def resume(self) -> None:
        self._broker.command("CLOCK", "RESUME")

    def advance(self, by: Seconds) -> None:
        """Moves it ahead, and returns when all that fell due on the way has happened."""
        self._broker.command("CLOCK", "ADVANCE", _millis(by))

    def advance_to_next(self) -> Optional[dict[str, Any]]:
        """Moves it to what falls due next, and says what that was: `{"due": "key", …}`."""
        return self._broker.command("CLOCK", "NEXT")

    def set(self, to: float) -> None:
        """Sets the wall clock, in seconds since 1970."""
        self._broker.command("CLOCK", "SET", _millis(to))


class Until:
    """Waits until something is so: five seconds, or `within` so many. If it does not come,
    that is a TimeoutError, which says what is there instead."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def subscribers(self, channel: Word, count: int, within: Seconds = 5) -> None:
        self._wait("SUBSCRIBERS", channel, count, within=within)

    def pattern_subscribers(self, pattern: Word, count: int, within: Seconds = 5) -> None:
        self._wait("PSUBSCRIBERS", pattern, count, within=within)

    def shard_subscribers(self, channel: Word, count: int, within: Seconds = 5) -> None:
        self._wait("SSUBSCRIBERS", channel, count, within=within)

    def blocked(self, key: Word, count: int, within: Seconds = 5, db: int = 0) -> None:
        """So many clients are blocked on the key."""
        self._wait("BLOCKED", key, count, within=within, db=db)

    def exists(self, key: Word, within: Seconds = 5, db: int = 0) -> None:
        self._wait("EXISTS", key, within=within, db=db)

    def gone(self, key: Word, within: Seconds = 5, db: int = 0) -> None:
        self._wait("GONE", key, within=within, db=db)

    def length(self, key: Word, count: int, within: Seconds = 5, db: int = 0) -> None:
        """It has so many elements, members, fields or entries."""
        self._wait("LENGTH", key, count, within=within, db=db)

    def pending(self, key: Word, group: Word, count: int, within: Seconds = 5, db: int = 0) -> None:
        """So many entries are pending in the group."""
        self._wait("PENDING", key, group, count, within=within, db=db)

    def clients(self, count: int, within: Seconds = 5) -> None:
        """So many clients are connected, those of this object included."""
        self._wait("CLIENTS", count, within=within)

    def sent(self, name: str, command: str, times: int = 1, within: Seconds = 5) -> None:
        """The client of that name has sent the command, so often or more."""
        self._wait("SENT", name, command, times, within=within)

    def read(self, name: str, within: Seconds = 5) -> None:
        """The socket of the client of that name has taken everything that was sent to it."""
        self._wait("READ", name, within=within)

    def _wait(self, *words: Word, within: Seconds, db: int = 0) -> None:
        millis = _millis(within)
        try:
            self._broker._call("RESPD", "WAIT", *words, "TIMEOUT", millis, db=db, patience=PATIENCE + millis / 1000)
        except RespdError as error:
            if not str(error).startswith(TIMEOUT):
                raise
            raise TimeoutError(str(error)[len(TIMEOUT) :]) from None


class Snapshot:
    """All data as they were. A block of `with` forgets it at its end."""

    def __init__(self, broker: Broker, id: int) -> None:
        self._broker, self.id = broker, id

    def difference(self) -> str:
        """How the data differ from what they were; nothing if they do not."""
        return self._broker.command("DIFF", self.id)

    def roll_back(self) -> int:
        """Has all data be what they were; answers how many keys are different now."""
        return self._broker.command("ROLLBACK", self.id)

    def drop(self) -> None:
        self._broker.command("SNAPSHOT", "DROP", self.id)

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(self, *_: object) -> None:
        # An older one may have been gone back to, which has ended this one.
        with contextlib.suppress(RespdError):
            self.drop()


class Faults:
    """What goes wrong, for the requests that `Scope` and `When` say."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def error(self, text: str, **when: Unpack[When]) -> Fault:
        """Answers this error; a code alone, such as LOADING, is the one of Redis."""
        return self._add("ERROR", text, when=when)

    def delay(self, by: Seconds, **when: Unpack[When]) -> Fault:
        """Answers later, by the broker's clock."""
        return self._add("DELAY", _millis(by), when=when)

    def drop_before(self, **when: Unpack[When]) -> Fault:
        """Cuts the connection and does not execute the request."""
        return self._add("DROP", "BEFORE", when=when)

    def drop_after(self, **when: Unpack[When]) -> Fault:
        """Executes the request, and cuts the connection instead of replying."""
        return self._add("DROP", "AFTER", when=when)

    def drop_amid(self, **when: Unpack[When]) -> Fault:
        """Cuts the connection in the middle of the reply."""
        return self._add("DROP", "MIDDLE", when=when)

    def refuse(self, **when: Unpack[When]) -> Fault:
        """Refuses new connections."""
        return self._add("REFUSE", when=when)

    def hang(self, **when: Unpack[When]) -> Fault:
        """Accepts connections and never answers."""
        return self._add("HANG", when=when)

    def stall(self, **when: Unpack[When]) -> Fault:
        """Reads nothing any more."""
        return self._add("STALL", when=when)

    def trickle(self, **when: Unpack[When]) -> Fault:
        """Answers a byte at a time."""
        return self._add("TRICKLE", when=when)

    def lose(self, **when: Unpack[When]) -> Fault:
        """Does not deliver a message."""
        return self._add("LOSE", when=when)

    def duplicate(self, **when: Unpack[When]) -> Fault:
        """Delivers a message twice."""
        return self._add("DUPLICATE", when=when)

    def reorder(self, **when: Unpack[When]) -> Fault:
        """Delivers a message after the next one."""
        return self._add("REORDER", when=when)

    def list(self) -> list[dict[str, Any]]:
        return self._broker.command("FAULT", "LIST")

    def clear(self) -> None:
        """Removes them all."""
        self._broker.command("FAULT", "CLEAR")

    def _add(self, *action: Word, when: When) -> Fault:
        # A seed stands right after its chance.
        chance, seed = when.pop("chance", None), when.pop("seed", None)
        words = _options(**when, chance=chance, seed=seed)
        return Fault(self._broker, self._broker.command("FAULT", "ADD", *action, *words))


class Fault:
    """One of them. A block of `with` removes it at its end."""

    def __init__(self, broker: Broker, id: int) -> None:
        self._broker, self.id = broker, id

    def hits(self) -> int:
        """How often it has struck."""
        return self._figure("hits")

    def matches(self) -> int:
        """How often it was meant, whether or not it struck."""
        return self._figure("matches")

    def remove(self) -> None:
        self._broker.command("FAULT", "REMOVE", self.id)

    def _figure(self, name: str) -> int:
        for fault in self._broker.faults.list():
            if fault["id"] == self.id:
                return fault[name]
        raise RespdError("ERR no such fault")

    def __enter__(self) -> Fault:
        return self

    def __exit__(self, *_: object) -> None:
        # The test may have removed it.
        with contextlib.suppress(RespdError):
            self.remove()


class Record:
    """What clients send and get. A block of `with` ends it."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def entries(self, count: Optional[int] = None, **scope: Unpack[Scope]) -> list[dict[str, Any]]:
        """What is on record in its order, or the last so many of it."""
        return self._command("GET", *_options(**scope, count=count))

    def count(self, **scope: Unpack[Scope]) -> int:
        return self._command("COUNT", *_options(**scope))

    def state(self) -> dict[str, Any]:
        """How many entries there are, and how many have gone."""
        return self._command("STATE")

    def transcript(self, **scope: Unpack[Scope]) -> str:
        """All of it as text."""
        return self._command("TRANSCRIPT", *_options(**scope))

    def clear(self) -> None:
        self._command("CLEAR")

    def stop(self) -> None:
        self._command("STOP")

    def assert_sent(self, *words: Word, times: Optional[int] = None, **scope: Unpack[Scope]) -> None:
        """This request was sent so often, or at least once. Words may be patterns, and the
        last one `...`, for any that follow."""
        self._assert("SENT", "ANY" if times is None else times, *words, scope=scope)

    def assert_delivered(self, *words: Word, times: Optional[int] = None, **scope: Unpack[Scope]) -> None:
        """This message was delivered so often, or at least once: `"message", "news", "*"`."""
        self._assert("DELIVERED", "ANY" if times is None else times, *words, scope=scope)

    def assert_in_order(self, *lines: Word, **scope: Unpack[Scope]) -> None:
        """Requests like these were sent one after the other, perhaps with others between
        them; each is a line as typed into redis-cli."""
        self._assert("ORDER", *lines, scope=scope)

    def assert_untouched(self, pattern: Word, **scope: Unpack[Scope]) -> None:
        """Nothing was sent to keys that match."""
        self._assert("UNTOUCHED", pattern, scope=scope)

    def _assert(self, *claim: Word, scope: Scope) -> None:
        try:
            self._command("ASSERT", *_options(**scope), *claim)
        except RespdError as error:
            if not str(error).startswith(NOT_SO):
                raise
            raise AssertionError(str(error)[len(NOT_SO) :]) from None

    def _command(self, *words: Word) -> Any:
        return self._broker.command("RECORD", *words)

    def __enter__(self) -> Record:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Connection:
    """One that is nobody's client library, so that nothing is sent twice, or besides."""

    def __init__(self, url: str) -> None:
        to = urlsplit(url)
        self.db = 0
        self._socket = socket.create_connection((to.hostname, to.port), PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._replies = self._socket.makefile("rb")
        login = ["AUTH", unquote(to.username or "default"), unquote(to.password)] if to.password else []
        self.call("HELLO", 3, *login)

    def call(self, *words: Word, patience: float = PATIENCE) -> Any:
        sent = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self._socket.settimeout(patience)
        self._socket.sendall(b"*%d\r\n" % len(sent) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in sent))
        reply = self._reply()
        if isinstance(reply, RespdError):
            raise reply
        return reply

    def close(self) -> None:
        self._replies.close()
        self._socket.close()

    def _reply(self) -> Any:
        line = self._whole(self._replies.readline())
        kind, rest = line[:1], _text(line[1:])
        if kind == b"-":
            return RespdError(rest)
        if kind == b":":
            return int(rest)
        if kind == b",":
            return float(rest)
        if kind == b"#":
            return rest == "t"
        if kind == b"_" or rest == "-1":
            return None
        if kind in b"$=":
            data = self._whole(self._replies.read(int(rest) + 2))
            return _text(data)[4 if kind == b"=" else 0 :]
        if kind in b"*~":
            return [self._reply() for _ in range(int(rest))]
        if kind == b"%":
            return {self._reply(): self._reply() for _ in range(int(rest))}
        return rest

    @staticmethod
    def _whole(data: bytes) -> bytes:
        """Without the end of line, which is missing where the broker has closed the connection."""
        if not data.endswith(b"\r\n"):
            raise ConnectionError("the broker has closed the connection")
        return data[:-2]


def _text(data: bytes) -> str:
    return data.decode(errors="backslashreplace")


def _millis(time: Seconds) -> int:
    return round((time.total_seconds() if isinstance(time, timedelta) else time) * 1000)


def _options(**given: Optional[Word]) -> list[Word]:
    """`NAME value` of each that was given."""
    for name in given.keys() - OPTIONS:
        raise TypeError(f"unexpected keyword argument {name!r}; there are {', '.join(sorted(OPTIONS))}")
    return [word for name, value in given.items() if value is not None for word in (name.upper(), value)]


@pytest.fixture(scope="session")
def respd_flags() -> tuple[str, ...]:
    """Flags of `respd_broker`, which a conftest.py may replace: `("--requirepass", "secret")`."""
    return ()


@pytest.fixture(scope="session")
def respd_broker(respd_flags: tuple[str, ...]) -> Iterator[Broker]:
    """The process in which each test has its broker."""
    with spawn(*respd_flags) as broker:
        yield broker


@pytest.fixture
def respd(respd_broker: Broker) -> Iterator[Broker]:
    """A broker that the test has for itself."""
    with respd_broker.space() as space:
        yield space
