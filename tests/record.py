#!/usr/bin/env python3
"""Plays the transcripts against a server, and records or compares the replies.

The format is described in tests/transcripts/README.md; `tests/it/transcripts.rs`
plays the same files against the embedded broker. This script needs nothing but
Python's standard library.

    tests/record.py                        record with a redis-server of our own
    tests/record.py --check                compare, print differences, exit 1 if any
    tests/record.py --check --address HOST:PORT      any server that is running
    tests/record.py --check --server "target/debug/respd serve" --strict
    tests/record.py --check lists.txt      only some files

A reply marked `!` is the text of Redis 7.2 where 7.0 answers otherwise. Unless
`--strict` is given such a reply is read but neither compared nor rewritten, so
that the files can be checked against a Redis 7.0.
"""

import argparse
import os
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "transcripts")
# A guard against a hanging server, never a part of what is tested.
GUARD_S = 10.0
FLAGS = ("raw", "sorted", "until", "any", "events")
# The connection that hears what `events` shows. No prompt can name it.
LISTENER = "events"
PROMPT = re.compile(r"^((?:[a-z][a-z0-9]*)(?: [a-z][a-z0-9]*)*)?(>>|>|<)(?: (.*))?$")
GUTTERS = ("  ", "~ ", "! ", "!~")


# --- the format ------------------------------------------------------------


class Step:
    """One prompt with the reply lines below it, or one `@` directive."""

    def __init__(self, line, kind, name="a", flags=(), text=""):
        self.line = line
        self.kind = kind  # ">", ">>", "<" or "@"
        self.name = name
        self.flags = flags
        self.text = text
        self.first = line  # index of the first reply line
        self.reply = []  # (gutter, text)

    def marked(self):
        return any("!" in gutter for gutter, _ in self.reply)

    def patterned(self):
        return any("~" in gutter for gutter, _ in self.reply)


def parse(lines, path):
    """Returns the settings and the steps of a file; exits on a line it cannot read."""
    settings, steps = [], []
    for index, line in enumerate(lines):
        if not line.strip() or line.startswith("#"):
            continue
        if line[:2] in GUTTERS:
            if not steps or steps[-1].kind not in ("<", ">"):
                sys.exit(f"{path}:{index + 1}: a reply without a command")
            if not steps[-1].reply:
                steps[-1].first = index
            elif steps[-1].first + len(steps[-1].reply) != index:
                sys.exit(f"{path}:{index + 1}: the lines of a reply are apart")
            steps[-1].reply.append((line[:2], line[2:]))
        elif line.startswith("@config "):
            if steps:
                sys.exit(f"{path}:{index + 1}: @config comes before the first command")
            name, _, value = line[8:].partition(" ")
            settings.append((name, value.strip('"')))
        elif line.startswith("@"):
            steps.append(Step(index, "@", text=line[1:]))
        else:
            match = PROMPT.match(line)
            if not match:
                sys.exit(f"{path}:{index + 1}: not a line of a transcript: {line}")
            words = (match.group(1) or "").split()
            flags = tuple(word for word in words if word in FLAGS)
            names = [word for word in words if word not in FLAGS]
            if len(names) > 1:
                sys.exit(f"{path}:{index + 1}: two connections: {line}")
            name = names[0] if names else "a"
            steps.append(Step(index, match.group(2), name, flags, match.group(3) or ""))
            steps[-1].first = index + 1
    return settings, steps


ESCAPES = {"n": b"\n", "r": b"\r", "t": b"\t", "\\": b"\\", '"': b'"'}
BRACE = re.compile(r"\{(?:([a-z][a-z0-9]*)|(.)\*([0-9]+))\}")


def unescape(text, at, variables, stop=None):
    """Decodes `text` from `at` up to a character of `stop`; returns bytes and position."""
    out = bytearray()
    while at < len(text) and not (stop and text[at] in stop):
        char = text[at]
        if char == "\\":
            if text[at + 1] == "x":
                out.append(int(text[at + 2 : at + 4], 16))
                at += 4
            else:
                out += ESCAPES[text[at + 1]]
                at += 2
            continue
        brace = BRACE.match(text, at) if char == "{" else None
        if brace:
            if brace.group(1):
                out += variables[brace.group(1)]
            else:
                out += brace.group(2).encode() * int(brace.group(3))
            at = brace.end()
        else:
            out += char.encode()
            at += 1
    return bytes(out), at


def request(text, variables):
    """Splits a command line and encodes it as the array of bulk strings a client sends."""
    words, at = [], 0
    while True:
        while at < len(text) and text[at] == " ":
            at += 1
        if at == len(text):
            break
        if text[at] == '"':
            word, at = unescape(text, at + 1, variables, '"')
            at += 1
        else:
            word, at = unescape(text, at, variables, " ")
        words.append(word)
    parts = [b"*%d\r\n" % len(words)]
    parts += [b"$%d\r\n%s\r\n" % (len(word), word) for word in words]
    return b"".join(parts)


def escape(data):
    """Renders bytes as one line of printable ASCII."""
    out = []
    for byte in data:
        char = chr(byte)
        if char == "\\":
            out.append("\\\\")
        elif char in "\r\n\t":
            out.append({"\r": "\\r", "\n": "\\n", "\t": "\\t"}[char])
        elif 32 <= byte < 127:
            out.append(char)
        else:
            out.append("\\x%02x" % byte)
    if out and out[-1] == " ":
        out[-1] = "\\x20"
    return "".join(out)


PLACE = re.compile(r"<(int|float|hex|any|word|(-?[0-9]+)\.\.(-?[0-9]+))(?::([a-z][a-z0-9]*))?>")
CLASSES = {"int": "-?[0-9]+", "float": "-?[0-9.]+", "hex": "[0-9a-f]+", "any": ".*", "word": "[^ ]+"}


def line_matches(gutter, want, got, variables):
    if "~" not in gutter:
        return want == got
    pattern, at, ranges, captures = "", 0, [], []
    want = BRACE.sub(lambda m: variables[m.group(1)].decode() if m.group(1) else m.group(0), want)
    for place in PLACE.finditer(want):
        pattern += re.escape(want[at : place.start()])
        if place.group(2) is not None:
            ranges.append((len(captures), int(place.group(2)), int(place.group(3))))
            pattern += "(-?[0-9]+)"
        else:
            pattern += "(" + CLASSES[place.group(1)] + ")"
        captures.append(place.group(4))
        at = place.end()
    match = re.fullmatch(pattern + re.escape(want[at:]), got)
    if not match:
        return False
    if not all(low <= int(match.group(i + 1)) <= high for i, low, high in ranges):
        return False
    for i, name in enumerate(captures):
        if name:
            variables[name] = match.group(i + 1).encode()
    return True


def reply_matches(want, got, variables):
    """Compares a reply; `...` as the last pattern line stands for all further lines."""
    rest = bool(want) and want[-1] == ("~ ", "...") or want[-1:] == [("!~", "...")]
    if rest:
        want = want[:-1]
    if len(got) < len(want) or (len(got) > len(want) and not rest):
        return False
    return all(line_matches(g, w, line, variables) for (g, w), line in zip(want, got))


# --- the wire --------------------------------------------------------------


class Connection:
    """A socket that reads one frame at a time and renders it."""

    def __init__(self, address):
        self.socket = socket.create_connection(address, timeout=GUARD_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # The close is seen, and compared, by the read that follows.

    def fill(self):
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            raise EOFError
        self.buffer += data

    def line(self):
        while b"\r\n" not in self.buffer:
            self.fill()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def frame(self):
        """Reads one reply: (header, payload or None, children or None)."""
        header = self.line()
        kind, rest = header[:1], header[1:]
        if kind in b"$=!" and kind and rest.isdigit():
            size = int(rest)
            while len(self.buffer) < size + 2:
                self.fill()
            payload, tail = self.buffer[:size], self.buffer[size : size + 2]
            self.buffer = self.buffer[size + 2 :]
            if tail != b"\r\n":
                payload += b" (no CR LF behind it: " + tail + b")"
            return header, payload, None
        if kind in b"*~>%|" and kind and rest.isdigit():
            count = int(rest) * (2 if kind in b"%|" else 1)
            children = [self.frame() for _ in range(count)]
            if kind == b"|":
                children.append(self.frame())
            return header, None, children
        return header, None, None

    def read(self, is_sorted):
        try:
            return render(self.frame(), 0, is_sorted)
        except EOFError:
            # What came before the end, if it was no whole reply, must not be lost.
            return ([escape(self.buffer)] if self.buffer else []) + ["(closed)"]
        except TimeoutError:
            return [escape(self.buffer) + "(nothing more came)"]

    def listen(self):
        """Has the connection hear the events of all keys."""
        self.send(request("PSUBSCRIBE __keyevent@*", {}))
        self.frame()

    def events(self):
        """Returns the events that have come, each as a line, up to the answer of a PING."""
        self.send(request("PING", {}))
        lines = []
        while True:
            _, _, children = self.frame()
            words = [payload for _, payload, _ in children]
            if words[0] == b"pong":
                return lines
            db, event = words[2].removeprefix(b"__keyevent@").split(b"__:", 1)
            lines.append(f"@{db.decode()} {escape(event)} {escape(words[3])}")

    def end(self):
        """Closes our half and returns what the server still sent, as lines."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        rest = []
        while True:
            lines = self.read(False)
            if lines[-1] == "(closed)" or lines[-1].endswith("(nothing more came)"):
                break
            rest += lines
        self.socket.close()
        return rest + ([] if lines == ["(closed)"] else lines)


def render(frame, depth, is_sorted):
    header, payload, children = frame
    pad = "  " * depth
    if children is None:
        if payload:
            return [pad + escape(header) + " " + escape(payload)]
        return [pad + escape(header)]
    parts = [render(child, depth + 1, is_sorted) for child in children]
    if is_sorted:
        if header[:1] == b"%":
            pairs = [parts[i] + parts[i + 1] for i in range(0, len(parts), 2)]
            parts = sorted(pairs)
        elif all(child[2] is None for child in children):
            parts.sort()
    return [pad + escape(header)] + [line for part in parts for line in part]


# --- servers ---------------------------------------------------------------


class Spawned:
    """A server process of our own for one file, with the settings the file asks for."""

    def __init__(self, command, settings):
        probe = socket.socket()
        probe.bind(("127.0.0.1", 0))
        self.address = probe.getsockname()
        probe.close()
        self.folder = tempfile.TemporaryDirectory()
        words = shlex.split(command)
        if os.path.exists(words[0]):
            words[0] = os.path.abspath(words[0])
        words += ["--port", str(self.address[1]), "--bind", "127.0.0.1", "--save", ""]
        for name, value in settings:
            words += ["--" + name, value]
        self.process = subprocess.Popen(
            words, cwd=self.folder.name, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
        )
        deadline = time.monotonic() + GUARD_S
        while True:
            if self.process.poll() is not None:
                sys.exit(f"{words} ended with status {self.process.returncode}")
            try:
                socket.create_connection(self.address, timeout=GUARD_S).close()
                return
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    sys.exit(f"{words} does not listen")
                time.sleep(0.005)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()


class Running:
    """A server that somebody else started: emptied, and its settings put back afterwards."""

    def __init__(self, address, settings):
        self.address = address
        self.saved = self.configuration(Connection(address))
        self.skip = None
        connection = Connection(address)
        for words in ("FLUSHALL", "CONFIG RESETSTAT", "SLOWLOG RESET", "LATENCY RESET"):
            connection.send(request(words, {}))
            connection.read(False)
        for name, value in settings:
            if self.saved.get(name) == value:
                continue
            connection.send(request(f'CONFIG SET {name} "{value}"', {}))
            answer = connection.read(False)
            if answer != ["+OK"]:
                self.skip = f"{name} cannot be set to {value}: {answer}"
        self.password = dict(settings).get("requirepass", "")
        connection.end()

    @staticmethod
    def configuration(connection):
        connection.send(request("CONFIG GET *", {}))
        _, _, children = connection.frame()
        flat = [payload.decode() if payload else "" for _, payload, _ in children]
        return dict(zip(flat[::2], flat[1::2]))

    def stop(self):
        connection = Connection(self.address)
        if self.password:
            connection.send(request(f'AUTH "{self.password}"', {}))
            connection.read(False)
        for name, value in self.configuration(connection).items():
            if self.saved.get(name) != value:
                connection.send(request(f'CONFIG SET {name} "{self.saved.get(name, "")}"', {}))
                connection.read(False)
        connection.end()


# --- playing ---------------------------------------------------------------


def await_blocked(address, settings, count):
    """Waits until INFO says that `count` clients are blocked."""
    connection = Connection(address)
    password = dict(settings).get("requirepass")
    if password:
        connection.send(request(f'AUTH "{password}"', {}))
        connection.read(False)
    deadline = time.monotonic() + GUARD_S
    try:
        while True:
            connection.send(request("INFO clients", {}))
            found = re.search(r"blocked_clients:([0-9]+)", connection.read(False)[0])
            if found and int(found.group(1)) == count:
                return []
            if time.monotonic() > deadline:
                return [f"(blocked clients: {found and found.group(1)})"]
            time.sleep(0.005)
    finally:
        connection.end()


def run_length(steps, index):
    """How many `any` reads of one connection follow each other from here."""
    length = 0
    for step in steps[index:]:
        if "any" not in step.flags or step.name != steps[index].name:
            break
        length += 1
    return length


def play(path, steps, server, settings, options):
    """Plays a file. Returns the differences, and the replies that replace recorded ones."""
    connections, variables = {}, {}
    differences, replies = [], {}
    # Replies of a run of `any` reads, in the order in which they are compared.
    waiting = []

    def differ(step, want, got):
        differences.append((step.line + 1, step, want, got))

    for index, step in enumerate(steps):
        if step.kind == "@":
            word, _, rest = step.text.partition(" ")
            if word == "blocked":
                got = await_blocked(server.address, settings, int(rest))
            elif word == "close":
                got = connections.pop(rest).end()
            else:
                sys.exit(f"{path}:{step.line + 1}: no such directive: @{word}")
            if got:
                differ(step, [], got)
            continue
        if step.name not in connections:
            connections[step.name] = Connection(server.address)
        connection = connections[step.name]
        if "events" in step.flags and LISTENER not in connections:
            connections[LISTENER] = Connection(server.address)
            connections[LISTENER].listen()
        deadline = time.monotonic() + GUARD_S
        while True:
            if step.kind != "<":
                if "raw" in step.flags:
                    data, _ = unescape(step.text, 0, variables)
                else:
                    data = request(step.text, variables)
                connection.send(data)
            if step.kind == ">>":
                break
            if "any" in step.flags:
                if not waiting:
                    waiting = sorted(connection.read(False) for _ in range(run_length(steps, index)))
                got = waiting.pop(0)
            else:
                got = connection.read("sorted" in step.flags)
            if "events" in step.flags:
                got += connections[LISTENER].events()
            same = reply_matches(step.reply, got, variables)
            in_vain = step.marked() and not options.strict
            if same or in_vain or "until" not in step.flags or time.monotonic() > deadline:
                break
            time.sleep(0.002)
        if step.kind == ">>":
            continue
        if got[-1].endswith("(nothing more came)"):
            # What follows would be noise, and every further silence costs the guard.
            differ(step, [gutter + text for gutter, text in step.reply], got)
            break
        if got[-1] == "(closed)":
            connections.pop(step.name).socket.close()
        if same or (step.marked() and not options.strict):
            continue
        if options.mark and not step.marked():
            replies[step] = [("!" + gutter.strip() or " ", text) for gutter, text in step.reply]
            replies[step] = [(gutter.ljust(2), text) for gutter, text in replies[step]]
        elif not options.check and not options.mark and not step.patterned() and "until" not in step.flags:
            gutter = "! " if step.marked() else "  "
            replies[step] = [(gutter, line) for line in got]
        else:
            differ(step, [gutter + text for gutter, text in step.reply], got)
    for name, connection in connections.items():
        rest = connection.end()
        if rest:
            step = Step(len(steps) and steps[-1].line, "@", text=f"unread at the end on {name}")
            differ(step, [], rest)
    return differences, replies


def rewrite(path, lines, replies):
    """Replaces the reply lines of the given steps."""
    for step in sorted(replies, key=lambda step: -step.line):
        new = [gutter + text for gutter, text in replies[step]]
        lines[step.first : step.first + len(step.reply)] = new
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", help="names of transcripts (default: all)")
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 on a difference")
    parser.add_argument("--strict", action="store_true", help="also the replies marked with !")
    parser.add_argument("--mark", action="store_true", help="mark replies that differ with !, keep their text")
    parser.add_argument("--address", help="HOST:PORT of a running server, which is emptied")
    parser.add_argument("--server", default="redis-server", help="command that starts a server")
    options = parser.parse_args()

    names = options.files or sorted(name for name in os.listdir(HERE) if name.endswith(".txt"))
    total, exchanges = 0, 0
    for name in names:
        path = name if os.path.exists(name) else os.path.join(HERE, name)
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
        settings, steps = parse(lines, path)
        exchanges += sum(step.kind in ("<", ">") for step in steps)
        if options.address:
            host, _, port = options.address.rpartition(":")
            server = Running((host.strip("[]"), int(port)), settings)
            if server.skip:
                print(f"{name}: skipped, {server.skip}")
                server.stop()
                continue
        else:
            server = Spawned(options.server, settings)
        try:
            differences, replies = play(path, steps, server, settings, options)
        finally:
            server.stop()
        if replies:
            rewrite(path, lines, replies)
            print(f"{name}: {len(replies)} replies {'marked' if options.mark else 'recorded'}")
        for number, step, want, got in differences:
            print(f"{path}:{number}: {step.name} {step.kind} {step.text}")
            print("".join(f"    want {line}\n" for line in want) + "".join(f"    got    {line}\n" for line in got))
        total += len(differences)
    print(f"{len(names)} files, {exchanges} replies, {total} differences")
    sys.exit(1 if total else 0)


if __name__ == "__main__":
    main()
