"""Starts a respd or a redis-server on a free port of loopback, and stops it."""
import os
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Server:
    def __enter__(self):
        self.dir = tempfile.TemporaryDirectory()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.log = open(os.path.join(self.dir.name, "log"), "w+")
        self.process = subprocess.Popen(
            self.command(), cwd=self.dir.name, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log
        )
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as client:
                    client.sendall(b"PING\r\n")
                    if client.recv(5) == b"+PONG":
                        return self
            except OSError:
                time.sleep(0.01)
        self.log.seek(0)
        raise SystemExit(f"{self.name} does not answer:\n{self.log.read()}")

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        self.dir.cleanup()


class Respd(Server):
    name = "respd"

    def command(self):
        binary = os.environ.get("RESPD", os.path.join(ROOT, "target/release/respd"))
        return [binary, "--port", str(self.port), *self.flags()]

    def flags(self):
        return ["--enable-debug-command", "yes"]


class Redis(Respd):
    name = "redis-server"

    def command(self):
        quiet = ["--save", "", "--appendonly", "no", "--bind", "127.0.0.1"]
        return ["redis-server", "--port", str(self.port), *quiet, *self.flags()]
