"""The files that a tutorial has a person write, and the processes that are
started from them, each as at a terminal of its own."""
import os
import subprocess
import sys
import tempfile
import textwrap

from checks import until

OF_PROGRAMS = ("PYTHONSAFEPATH", "PYTHONDONTWRITEBYTECODE")


def listing(name, text):
    with open(name, "w") as file:
        file.write(textwrap.dedent(text).lstrip())


class Process:
    """`Process("worker.py", "5")` is `python worker.py 5`. It ends with its block."""

    def __init__(self, program, *arguments, **variables):
        command = [sys.executable, program] if program.endswith(".py") else [program]
        self.shown = tempfile.TemporaryFile("w+")
        # Listings import each other from where they are, and keep what is compiled,
        # which the programs of this folder must not.
        inherited = {name: value for name, value in os.environ.items() if name not in OF_PROGRAMS}
        self.process = subprocess.Popen(
            [*command, *arguments], stdin=subprocess.DEVNULL, stdout=self.shown, stderr=subprocess.STDOUT,
            env=dict(inherited, PYTHONUNBUFFERED="1", **variables),
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self.shown.close()

    def kill(self):
        """As kill -9 does it, with no time left to tidy up."""
        self.process.kill()
        self.process.wait()

    def shows(self):
        """All that it has printed until now."""
        # Its own place in the file, since the process writes at the other.
        return os.pread(self.shown.fileno(), 1 << 20, 0).decode()

    def until_shows(self, text):
        def holds():
            assert self.process.poll() in (None, 0), f"ended with {self.process.returncode}:\n{self.shows()}"
            return text in self.shows()

        until(f"{text!r} is shown by {self.process.args}", holds)

    def result(self, seconds=60):
        """All that it printed, once it has ended well."""
        code = self.process.wait(seconds)
        assert code == 0, f"ended with {code}:\n{self.shows()}"
        return self.shows()


def run(program, *arguments, **variables):
    with Process(program, *arguments, **variables) as process:
        return process.result()
