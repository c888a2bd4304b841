"""Programs that hand work over to processes of their own."""
import contextlib
import glob
import importlib
import os
import signal
import subprocess
import sys


def module(name):
    """The program's file as a module of that name, for itself and for workers,
    which import what they are to call. By the file's own name, such as rq.py,
    they would get the library. It is asked for before anything is defined, or
    all would be there twice."""
    os.symlink(os.environ["FILE"], f"{name}.py")
    os.environ["PYTHONPATH"] += os.pathsep + os.getcwd()
    sys.path.append(os.getcwd())
    return importlib.import_module(name)


def children(pid):
    """Of all threads of a process, if it is still there."""
    for path in glob.glob(f"/proc/{pid}/task/*/children"):
        with contextlib.suppress(OSError), open(path) as pids:
            yield from map(int, pids.read().split())


def kill(pid):
    """The process, and those below it."""
    below = list(children(pid))
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    for child in below:
        kill(child)


class Worker:
    """A Python module that runs as a process, until it is stopped or killed.
    The end of what it says is shown if the program fails meanwhile."""

    def __init__(self, *command, **environment):
        self.log = open(f"worker-{command[0]}-{id(self)}.log", "w+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", *command], env=dict(os.environ, **environment),
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
        )

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is None:
            self.kill()
        if kind:
            self.log.seek(0)
            sys.stderr.write(self.log.read()[-3000:])
        self.log.close()

    def stop(self, how=signal.SIGTERM):
        """Its exit status, after it has finished what it was at."""
        self.process.send_signal(how)
        return self.process.wait(60)

    def kill(self):
        """Without a chance to finish anything, nor for those below it."""
        kill(self.process.pid)
        self.process.wait()
