"""Programs, what they need, and how they are run."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

import servers

LIB = os.path.dirname(os.path.abspath(__file__))
WITH = {".py": sys.executable, ".js": "node", ".rb": "ruby", ".php": "php", ".pl": "perl", ".lua": "lua5.1", ".sh": "bash"}
# Seconds for one to install, or to run on one server. Most take below ten, where nothing else runs.
ENOUGH = 300


class Failed(Exception):
    pass


class Program:
    """A file, or a folder with a Cargo.toml, and what its first
    lines say: `Program:`, `Needs:`, `Build:`, `Run:`, `Exercises:`."""

    def __init__(self, path):
        self.name, kind = os.path.splitext(os.path.basename(path))
        self.path = path
        said = os.path.join(path, "Cargo.toml") if os.path.isdir(path) else path
        with open(said) as lines:
            text = lines.read(4000)
        head = re.findall(r"^\W{1,3}(Program|Needs|Build|Run|Exercises): (.+)", text, re.M)
        self.crates = re.findall(r'^([\w-]+) = .*"=(\d[\w.]+)"', text, re.M) if os.path.isdir(path) else []
        words = dict(head)
        if not {"Program", "Exercises"} <= words.keys():
            raise Failed(f"{said} does not say its `Program:` and what it `Exercises:`")
        self.title, self.exercises = words["Program"], words["Exercises"]
        self.build = words.get("Build")
        self.run = words.get("Run") or f'"{WITH.get(kind, kind)}" "$FILE"'
        self.needs = {"apt": [], "pip": [], "npm": []}
        for where, packages in (need.split(" ", 1) for word, need in head if word == "Needs"):
            self.needs[where] += packages.split()

    def install(self, work):
        """Fetches and builds what it needs into a folder of its own, once."""
        self.work = os.path.join(work, self.name)
        wanted = repr((self.needs, self.build))
        stamp = os.path.join(self.work, "installed")
        if not self.build and os.path.exists(stamp) and open(stamp).read() == wanted:
            return
        if not self.build:
            shutil.rmtree(self.work, ignore_errors=True)
        os.makedirs(self.work, exist_ok=True)
        if self.needs["pip"]:
            flags = ["--quiet", "--disable-pip-version-check", "--no-compile", "--target", os.path.join(self.work, "python")]
            bounded([sys.executable, "-m", "pip", "install", *flags, *self.needs["pip"]])
        if self.needs["npm"]:
            flags = ["--silent", "--no-audit", "--no-fund", "--prefix", self.work]
            bounded(["npm", "install", *flags, *self.needs["npm"]])
        if self.build:
            bounded(["bash", "-euc", self.build], env=self.environment())
        with open(stamp, "w") as file:
            file.write(wanted)

    def environment(self, **more):
        python = os.path.join(self.work, "python")
        return dict(
            # What the first worker compiles is kept for the next, whatever the environment says.
            os.environ, FILE=self.path, BUILD=self.work, PYTHONSAFEPATH="1", PYTHONDONTWRITEBYTECODE="",
            PATH=os.path.join(python, "bin") + os.pathsep + os.environ["PATH"], PYTHONPATH=os.pathsep.join([LIB, python]),
            NODE_PATH=os.pathsep.join([LIB, os.path.join(self.work, "node_modules")]), **more,
        )

    def on(self, server):
        """What it prints, run in an empty directory beside a server of its own."""
        with server, tempfile.TemporaryDirectory() as directory:
            environment = self.environment(PORT=str(server.port), REDIS_URL=server.url, SERVER=servers.described(server))
            return bounded(["bash", "-euc", self.run], env=environment, cwd=directory, on=f" on {server.name}")

    def versions(self):
        """Of the packages that it is about: those that it names first of each place."""
        debian = [package.replace("=", " ") for package in self.needs["apt"][:1]]
        pinned = [re.sub(r"(.)(==|@)", r"\1 ", package) for place in ("pip", "npm") for package in self.needs[place]]
        return ", ".join(pinned or debian or map(" ".join, self.crates))


def bounded(command, on="", **options):
    """Runs it in a group of processes of its own, which ends with it."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        errors="backslashreplace", start_new_session=True, **options,
    )
    try:
        out, errors = process.communicate(timeout=ENOUGH)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        out, errors = process.communicate()
        raise Failed(f"took more than {ENOUGH} s{on}\n{out}{errors}")
    finally:
        try:
            os.killpg(process.pid, 9)
        except ProcessLookupError:
            pass
    if process.returncode != 0:
        raise Failed(f"ended with {process.returncode}{on}\n{out}{errors}")
    return out


def install_from_debian(programs):
    wanted = sorted({package for program in programs for package in program.needs["apt"]})
    version = lambda name: subprocess.run(["dpkg-query", "-Wf", "${Version}", name], capture_output=True, text=True).stdout
    missing = [package.split("=")[0] for package in wanted if not version(package.split("=")[0])]
    if missing:
        if os.geteuid() != 0:
            sys.exit(f"These programs need: apt install {' '.join(missing)}")
        bounded(["apt-get", "update", "-qq"])
        flags = ["-y", "-qq", "--no-install-recommends"]
        bounded(["apt-get", "install", *flags, *missing], env=dict(os.environ, DEBIAN_FRONTEND="noninteractive"))
    for name, _, expected in (package.partition("=") for package in wanted):
        has = re.sub(r"^\d+:", "", version(name))
        if not has.startswith(expected):
            sys.exit(f"{name} is {has} here, and {expected} in the programs' first lines")
