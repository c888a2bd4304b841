# Program: those that come and go
# Needs: apt redis-tools=7.0
# Exercises: redis-cli that watches and is killed; connections that are dropped in the middle of something; subscribers that do not read; those that are connected for days and do nothing
import os
import signal
import socket
import struct
import subprocess
import threading
import time

from ledger import serve

PORT = int(os.environ["PORT"])


def connect(receives=None):
    """A bare connection, with so much room for what is not read."""
    bare = socket.socket()
    if receives:
        bare.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
    bare.settimeout(10)
    bare.connect(("127.0.0.1", PORT))
    return bare


def asked(bare, line, answer):
    bare.sendall(line.encode() + b"\r\n")
    got = b""
    while len(got) < len(answer):
        if not (more := bare.recv(len(answer) - len(got))):
            raise EOFError
        got += more
    return got == answer.encode()


class Stranger:
    sends = False

    def __init__(self, round, name, number):
        self.round, self.name, self.number = round, name, number
        self.random = round.random(name)

    def run(self):
        while self.round.running:
            try:
                self.turn()
                self.round.turns[self.name] += 1
            except Exception as error:
                self.round.failed(self.name, error)
            time.sleep(self.random.uniform(0, 0.5))


class Terminal(Stranger):
    MODES = [["monitor"], ["--stat", "-i", "0.1"], ["--latency"], ["--scan", "-i", "0.1"], ["-3", "psubscribe", "news:*"], ["-r", "-1", "-i", "0.1", "info"]]
    ENDING = ["--latency", "--scan"]

    def turn(self):
        mode = self.random.choice(Terminal.MODES)
        with subprocess.Popen(["redis-cli", "-p", str(PORT), *mode], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as cli:
            ends = threading.Timer(self.random.uniform(0.5, 3), cli.send_signal, [self.random.choice([signal.SIGTERM, signal.SIGKILL])])
            if mode[0] == "monitor":
                # There is always something to see, however late it comes to that.
                self.round.expect(cli.stdout.readline() == b"OK\n" and cli.stdout.readline(), "redis-cli monitor shows nothing")
            ends.start()
            while cli.stdout.read1(1 << 16):
                pass
            ends.cancel()
        self.round.expect(cli.returncode < 0 or mode[0] in Terminal.ENDING, f"redis-cli {mode[0]} ended by itself")


class Dropper(Stranger):
    """Leaves without goodbye, with whatever it was at."""

    LEFT = [
        "*3\r\n$3\r\nSET\r\n$3\r\nhal", "MULTI\r\nSET never 1\r\nINCR never\r\n", "WATCH jobs orders\r\n", "BLPOP nothing:here 0\r\n",
        "HELLO 3\r\nCLIENT TRACKING ON BCAST\r\n", "SUBSCRIBE news:0\r\nPSUBSCRIBE *\r\n", "MONITOR\r\n", "CLIENT REPLY OFF\r\nPING\r\n",
        "BLMOVE nothing:here never LEFT LEFT 0\r\n", "XREAD BLOCK 0 STREAMS events $\r\n", "GET nothing\r\n" * 50, "",
    ]

    def turn(self):
        bare = connect()
        self.round.expect(asked(bare, "PING", "+PONG\r\n"), "PING was not answered")
        bare.sendall(self.random.choice(Dropper.LEFT).encode())
        time.sleep(self.random.uniform(0, 0.5))
        if self.random.random() < 0.5:
            # Resets the connection, as a machine does that has lost its power.
            bare.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        bare.close()


class Slow(Stranger):
    """Subscribes and does not read, until it is cut off."""

    def turn(self):
        channel = f"flood:{self.number}"
        with connect(receives=4096) as slow, connect() as publisher:
            slow.sendall(f"SUBSCRIBE {channel}\r\n".encode())
            while not asked(publisher, f"PUBLISH {channel} -", ":1\r\n"):
                time.sleep(0.01)
            message = b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%b\r\n$65536\r\n%b\r\n" % (len(channel), channel.encode(), b"x" * 65536)
            for _ in range(400):
                publisher.sendall(message)
                if publisher.recv(4) == b":0\r\n":
                    break
            else:
                self.round.breaks(f"{self.name} has got 25 MB without reading, and is still there")
            # What the system holds for it is there yet.
            try:
                while slow.recv(1 << 20):
                    pass
            except ConnectionResetError:
                pass
        time.sleep(self.random.uniform(0, 4))


class Idle:
    """Connected for days. In each round they are asked whether they are still there."""

    STATES = ["", "HELLO 3", "CLIENT TRACKING ON", "SUBSCRIBE quiet", "WATCH kept:string", "SELECT 5", "CLIENT NO-EVICT ON"]
    all = []

    def __init__(self, number):
        self.kind = Idle.STATES[number % len(Idle.STATES)]
        self.bare = connect()
        if self.kind.startswith("HELLO"):
            asked(self.bare, "HELLO 3", "")
            time.sleep(0.1)
            self.bare.recv(1 << 16)
        elif self.kind.startswith("SUBSCRIBE"):
            asked(self.bare, self.kind, "*3\r\n$9\r\nsubscribe\r\n$5\r\nquiet\r\n:1\r\n")
        elif self.kind:
            asked(self.bare, self.kind, "+OK\r\n")

    def is_there(self):
        if self.kind.startswith("SUBSCRIBE"):
            return asked(self.bare, "PING", "*2\r\n$4\r\npong\r\n$0\r\n\r\n")
        return asked(self.bare, "PING", "+PONG\r\n")


class Visitor(Stranger):
    """Sees to those that are idle."""

    def turn(self):
        for idle in list(Idle.all):
            try:
                self.round.expect(idle.is_there(), f"a connection after {idle.kind} answers something else")
            except (OSError, EOFError) as error:
                Idle.all.remove(idle)
                self.round.failed(f"{self.name}, after {idle.kind}", error)
        while len(Idle.all) < len(self.round.several(20)):
            Idle.all.append(Idle(len(Idle.all)))
        time.sleep(1)


def play(round):
    counts = {Terminal: 4, Dropper: 10, Slow: 2, Visitor: 1}
    strangers = [kind(round, f"{kind.__name__} {n}", n) for kind, count in counts.items() for n in ([0] if kind is Visitor else round.several(count))]
    threads = [threading.Thread(target=stranger.run) for stranger in strangers]
    for stranger in strangers:
        round.started(stranger.name, stranger.sends)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


serve(play)
