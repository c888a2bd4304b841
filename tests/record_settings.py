#!/usr/bin/env python3
"""Asks redis-server for all its settings, and prints what `src/config/redis.tsv` begins with.

Each setting is asked for on a server of its own, then set to each of TRIALS: with CONFIG SET,
or, if it may not change at run time, as a flag at start. Standard library only; ten seconds.

    tests/record_settings.py                 all settings
    tests/record_settings.py hz timeout      some of them
"""

import os
import socket
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
import record

# One to fit each kind of setting, and some to fit none.
TRIALS = ["", "x", "YES", "0", "-9223372036854775808", "9223372036854775807", "1kb", "a/b"]
# CONFIG GET * leaves them out, but they can be asked for and set.
HIDDEN = """key-load-delay loading-process-events-interval-bytes lua-enable-deprecated-api
    rdb-key-save-delay use-exit-on-panic watchdog-period""".split()
# What they are is what the recorder has made them.
OURS = "bind dir port save unixsocket".split()
# Their trials would take the server away from the recorder, or need files.
UNTRIED = "aclfile bind daemonize dir logfile pidfile port unixsocket".split()
REFUSED = "CONFIG SET failed (possibly related to argument '%s') - "
NEVER = {"can't set immutable config": "startup", "can't set protected config": "protected"}


class Server:
    """A redis-server that can be reached whatever its port and addresses are, or `why` not."""

    def __init__(self, *flags):
        self.folder = tempfile.TemporaryDirectory()
        path = os.path.join(self.folder.name, "socket")
        words = ["redis-server", "--save", "", "--port", "0", "--unixsocket", path, *flags]
        self.process = subprocess.Popen(
            words, cwd=self.folder.name, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        self.connection = None
        while not self.connection and self.process.poll() is None:
            try:
                self.connection = Connection(path)
            except (FileNotFoundError, ConnectionRefusedError):
                time.sleep(0.002)
        self.why = None if self.connection else self.process.stderr.read().decode().strip()

    def ask(self, *words):
        """The reply: of a map its keys and values, else its first line."""
        parts = [b"$%d\r\n%s\r\n" % (len(word), word) for word in map(str.encode, words)]
        self.connection.send(b"*%d\r\n" % len(parts) + b"".join(parts))
        header, _, children = self.connection.frame()
        return header.decode() if children is None else [text.decode() for _, text, _ in children]

    def get(self, name):
        return self.ask("CONFIG", "GET", name)[1]

    def stop(self):
        self.process.kill()
        self.process.communicate()
        self.folder.cleanup()


class Connection(record.Connection):
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(record.GUARD_S)
        self.socket.connect(path)
        self.buffer = b""


def set_at_start(name, value):
    """What CONFIG GET answers after `--name value`, or the last line of the error."""
    server = Server("--" + name, value)
    try:
        return "!" + server.why.splitlines()[-1] if server.why else "=" + server.get(name)
    finally:
        server.stop()


def set_running(server, name, value):
    """What CONFIG GET answers after CONFIG SET, or the reason in the error."""
    reply = server.ask("CONFIG", "SET", name, value)
    if reply == "+OK":
        return "=" + server.get(name)
    return "!" + reply.removeprefix("-ERR ").removeprefix(REFUSED % name)


def row(name):
    server = Server()
    try:
        default = server.get(name)
        refused = server.ask("CONFIG", "SET", name, default).removeprefix("-ERR ")
        when = NEVER.get(refused.removeprefix(REFUSED % name), "live")
        if name in UNTRIED:
            outcomes = []
        elif when == "live":
            outcomes = [set_running(server, name, value) for value in TRIALS]
        else:
            outcomes = [set_at_start(name, value) for value in TRIALS]
    finally:
        server.stop()
    # A column like the one before it is a ditto mark.
    pairs = zip(outcomes, [None, *outcomes])
    outcomes = ["\"" if outcome == before else outcome for outcome, before in pairs]
    when += " hidden" if name in HIDDEN else ""
    return "\t".join([name, "?" if name in OURS else default, when, *outcomes])


def main():
    names = sys.argv[1:]
    if not names:
        server = Server()
        names = sorted(server.ask("CONFIG", "GET", "*")[::2] + HIDDEN)
        server.stop()
    print("\t".join(["name", "default", "when", *TRIALS]))
    for name in names:
        print(row(name), flush=True)


if __name__ == "__main__":
    main()
