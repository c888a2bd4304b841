"""Starts a respd or a redis-server on a free port of loopback, and stops it."""
import json
import os
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


class Server:
    """One of a command, which is given a port and `flags`. It can be stopped
    and started again, on the port that it had."""

    def __init__(self, name, command, *flags):
        self.name, self.command, self.flags = name, command, flags
        self.port = None

    def __enter__(self):
        self.dir = tempfile.TemporaryDirectory()
        self.log = open(os.path.join(self.dir.name, "log"), "w+")
        if self.port is None:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        self.log.close()
        self.dir.cleanup()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    def arguments(self):
        return ["--port", str(self.port), *self.flags]

    def start(self):
        self.process = subprocess.Popen(
            [*self.command, *self.arguments()],
            cwd=self.dir.name, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
        )
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as client:
                    client.sendall(b"PING\r\n")
                    # Who must give a password first is answered, too.
                    if client.recv(1) in (b"+", b"-"):
                        return
            except OSError:
                time.sleep(0.01)
        self.stop()
        self.log.seek(0)
        raise SystemExit(f"{self.name} does not answer:\n{self.log.read()}")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Configured(Server):
    """One that gets a file of settings and nothing else; `settings` has
    `{port}` where the file says its port."""

    def __init__(self, name, command, settings):
        super().__init__(name, command)
        self.settings = settings

    @property
    def file(self):
        return os.path.join(self.dir.name, "redis.conf")

    def arguments(self):
        # What the server has written into it since is kept.
        if not os.path.exists(self.file):
            with open(self.file, "w") as conf:
                conf.write(self.settings.format(port=self.port))
        return [self.file]


def respd(*flags):
    binary = os.environ.get("RESPD", os.path.join(ROOT, "target/release/respd"))
    return Server("respd", [os.path.abspath(binary)], "--enable-debug-command", "yes", *flags)


def redis(*flags):
    quiet = ["--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--enable-debug-command", "yes"]
    return Server("redis-server", ["redis-server"], *quiet, *flags)


def another(*flags):
    """One more of the kind that the program runs on, with `flags`."""
    name, command, given = json.loads(os.environ["SERVER"])
    return Server(name, command, *given, *flags)


def configured(settings):
    """One more of the kind that the program runs on, started as `redis-server redis.conf`."""
    name, command, _ = json.loads(os.environ["SERVER"])
    return Configured(name, command, settings)


def described(server):
    """What `another`, in the program that gets it as SERVER, makes one of."""
    return json.dumps([server.name, server.command, server.flags])
