"""What the benchmarks share: processes that end with them, a person who connects and lets an agent in, tables.

Imported by scripts/bench and scripts/bench-proxy; not a program of its own.
"""

import http.client
import json
import os
import platform
import pty
import re
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PASSPHRASE, PIN = "a passphrase of no worth", "246802"
# Of the simulator's demo account (crates/fastio-sim/src/demo.rs).
PERSON = {"email": "robin@example.com", "password": "open-the-door"}
PATIENCE_SECONDS = 60


class CannotMeasure(Exception):
    pass


def say(text):
    print(text, flush=True)


# The programs ----------------------------------------------------------------------------------------------------

def build():
    """Builds what is measured, as `make build` does, and what measures; returns the path of each program by its name."""
    programs = {}
    # In two steps: what is shipped must not get features that only an example needs.
    for target in ("--bins", "--examples"):
        command = ["cargo", "build", "--release", "--message-format=json-render-diagnostics", target]
        command += ["--locked"] if os.environ.get("CI") else []
        built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
        if built.returncode != 0:
            raise CannotMeasure(f"`{' '.join(command)}` failed")
        for line in built.stdout.splitlines():
            message = json.loads(line)
            if message.get("executable"):
                programs[message["target"]["name"]] = message["executable"]
    return programs


class Process:
    """A program that runs until it is ended. Killed outright, we take it along."""

    running = []

    def __init__(self, command, environment=None, log=subprocess.DEVNULL):
        self.command = command
        self.started = time.perf_counter()
        self.child = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *command], env=environment,
                                      stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        Process.running.append(self)

    def end(self):
        if self in Process.running:
            Process.running.remove(self)
            self.child.terminate()
            try:
                self.child.wait(10)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()

    @classmethod
    def end_all(cls):
        for process in list(reversed(cls.running)):
            process.end()

    def proc(self, name):
        return Path(f"/proc/{self.child.pid}/{name}").read_text()

    def cpu_seconds(self):
        return cpu_seconds(self.child.pid)

    def memory_mib(self, field="VmRSS"):
        return int(re.search(rf"^{field}:\s+(\d+)", self.proc("status"), re.M)[1]) / 1024

    def proportional_mib(self):
        """The share of shared pages taken off; only root may read it of a process that is not dumpable."""
        try:
            return int(re.search(r"^Pss:\s+(\d+)", self.proc("smaps_rollup"), re.M)[1]) / 1024
        except OSError:
            return None


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port():
    """A port that is free on both loopback families."""
    for _ in range(32):
        with socket.create_server(("127.0.0.1", 0)) as first:
            port = first.getsockname()[1]
            try:
                with socket.create_server(("::1", port), family=socket.AF_INET6):
                    return port
            except OSError as error:
                if error.errno != 98:  # No IPv6 here.
                    return port
    raise CannotMeasure("no port is free")


# Setting the scene -----------------------------------------------------------------------------------------------

class Scene:
    """The simulator, a store that a person made, and an environment made from nothing."""

    def __init__(self, programs, scratch):
        self.programs, self.scratch = programs, scratch
        self.passphrase = scratch / "passphrase"
        self.passphrase.write_text(PASSPHRASE + "\n")
        self.log = (scratch / "log").open("w+")
        home = scratch / "home"
        home.mkdir()
        names = {"XDG_DATA_HOME": "data", "XDG_CONFIG_HOME": "config", "XDG_STATE_HOME": "state",
                 "XDG_RUNTIME_DIR": "run", "XDG_CACHE_HOME": "cache"}
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
        for variable, name in names.items():
            (home / name).mkdir(mode=0o700)
            self.environment[variable] = str(home / name)
        self.data = scratch / "small"

    def start_simulator(self):
        ready = self.scratch / "simulator.json"
        simulator = Process([self.programs["fastio-sim"], "--ready-file", str(ready)], self.environment, self.log)
        wait_until("the simulator", lambda: ready.exists(), simulator)
        return json.loads(ready.read_text())

    def serve(self, data, port):
        return [self.programs["doorward"], "--data-dir", str(data), "--passphrase-file", str(self.passphrase),
                "serve", "--keys", "passphrase", "--port", str(port)]

    def doorward(self, *words):
        return [self.programs["doorward"], "--json", "--data-dir", str(self.data), *words]

    def connect(self, *words):
        """A person connects; the browser's part is played over plain HTTP."""
        command = self.doorward("connect", *words, "--no-browser")
        connecting = subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=self.log, text=True)
        try:
            line = connecting.stdout.readline()
            if not line.startswith("{") or "url" not in json.loads(line):
                raise CannotMeasure(f"`doorward connect` said: {line.strip()}")
            consent(json.loads(line)["url"])
            rest, _ = connecting.communicate(timeout=PATIENCE_SECONDS)
        finally:
            connecting.kill()
            connecting.wait()
        if connecting.returncode != 0:
            raise CannotMeasure(f"`doorward connect` failed: {rest.strip()}")

    def add_agent(self, connection, door):
        """A person adds an agent and types the approval PIN, for which there has to be a terminal."""
        read, write = os.pipe()
        command = self.doorward("agents", "add", "bench", "--connection", connection, "--door", door)
        pid, terminal = pty.fork()
        if pid == 0:
            os.dup2(write, 1)
            os.execve(command[0], command, self.environment)
        os.close(write)
        shown, answered, until = "", 0, time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            if not select.select([terminal], [], [], 0.1)[0]:
                continue
            try:
                shown += os.read(terminal, 4096).decode(errors="replace")
            except OSError:  # The other side has closed.
                break
            prompts = len(re.findall(r"(?:PIN|characters|same again): ", shown))
            if prompts > answered:
                answered = prompts
                os.write(terminal, f"{PIN}\n".encode())
        os.close(terminal)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with os.fdopen(read) as output:
            text = output.read()
        if status != 0:
            raise CannotMeasure(f"`doorward agents add` failed: {text.strip()} {shown.strip()}")
        return json.loads(text)["key"]

    def told(self):
        self.log.seek(0)
        return self.log.read()[-2000:]


def request(method, url, form=None, headers=None):
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE_SECONDS)
    body = urllib.parse.urlencode(form) if form else None
    kind = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
    try:
        connection.request(method, urllib.parse.urlunsplit(("", "", *parts[2:])), body, {**kind, **(headers or {})})
        response = connection.getresponse()
        return response.status, response.headers, response.read().decode()
    finally:
        connection.close()


def consent(start):
    def expect(step, answer, status):
        if answer[0] != status:
            raise CannotMeasure(f"{step} was answered {answer[0]}: {answer[2][:400]}")
        return answer

    _, headers, _ = expect("the authorization request", request("GET", start), 302)
    page = urllib.parse.urljoin(start, headers["Location"])
    wanted = urllib.parse.parse_qs(urllib.parse.urlsplit(page).query)["auth_request_id"][0]
    expect("the consent page", request("GET", page), 200)
    form = {"auth_request_id": wanted, **PERSON}
    _, _, html = expect("signing in", request("POST", urllib.parse.urljoin(page, "/connect/sign-in"), form), 200)
    values = lambda name: re.findall(rf'name="{name}" value="([^"]*)"', html)
    form = [("auth_request_id", wanted), ("csrf", values("csrf")[0]), ("decision", "approve")]
    form += [("entity", entity) for entity in values("entity")]
    _, headers, _ = expect("deciding", request("POST", urllib.parse.urljoin(page, "/connect/decide"), form), 303)
    request("GET", headers["Location"])


def wait_until(what, is_so, process, pause=0.02):
    until = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        if process.child.poll() is not None:
            raise CannotMeasure(f"{what} ended with status {process.child.returncode}")
        if time.monotonic() > until:
            raise CannotMeasure(f"{what} did not answer within {PATIENCE_SECONDS} s")
        time.sleep(pause)


def first_good(port, path, key, process):
    """The first answer with status 200: its body, and how many bytes it had with its head."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    text = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
    text += "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "Connection: close\r\n\r\n"
    found = []

    def is_good():
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as stream:
                stream.sendall(text.encode())
                answer = b"".join(iter(lambda: stream.recv(65536), b""))
        except OSError:
            return False
        if not answer.startswith(b"HTTP/1.1 200 "):
            return False
        found[:] = [answer]
        return True

    wait_until(" ".join(map(str, process.command[:1])), is_good, process, pause=0.0005)
    return found[0]


# Measuring and telling -------------------------------------------------------------------------------------------

def wrk(url, key, connections, seconds):
    threads = min(connections, os.cpu_count())
    return ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "--latency",
            "-H", f"Authorization: Bearer {key}", url]


def load(name, command, cpu_seconds):
    """Runs wrk: requests per second, median and 99th percentile in µs, and the server's processor time per request."""
    before = cpu_seconds()
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise CannotMeasure(f"{name} did not answer every request:\n{text}")
    requests = int(re.search(r"(\d+) requests in", text)[1])
    return {"rate": float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]),
            "p50": microseconds(text, 50), "p99": microseconds(text, 99),
            "cpu": (cpu_seconds() - before) / requests * 1e6}


def microseconds(text, percentile):
    found = re.search(rf"^\s+{percentile}%\s+([\d.]+)(us|ms|s|m)$", text, re.M)
    if not found:
        raise CannotMeasure(f"wrk tells no latency:\n{text}")
    return float(found[1]) * {"us": 1, "ms": 1e3, "s": 1e6, "m": 6e7}[found[2]]


def table(head, rows):
    rows = [head, *rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    for row in rows:
        say("  " + "  ".join(cell.ljust(width) if column == 0 else cell.rjust(width)
                             for column, (cell, width) in enumerate(zip(row, widths))).rstrip())


def ratios(results, over, under, count, what):
    return [a[what] / b[what] for a, b in zip(results[over, count], results[under, count])]


def middle(values, form="{:.0f}"):
    return form.format(statistics.median(values))


def spread(values, form="{:.0f}"):
    return f"{form}–{form}".format(min(values), max(values))


def verdict(is_met):
    return "met" if is_met else "missed"


def machine():
    model = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    output = lambda *command: subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    changed = " and changes" if output("git", "status", "--porcelain", "--untracked-files=no") else ""
    return (f"{os.cpu_count()} cores ({model[1] if model else platform.machine()}), {memory:.1f} GiB, "
            f"Linux {platform.release()}, {output('rustc', '--version')}, "
            f"load {os.getloadavg()[0]:.1f} before, commit {output('git', 'rev-parse', '--short', 'HEAD')}{changed}")


# Running ---------------------------------------------------------------------------------------------------------

def within_scratch(run):
    """Runs `run(scratch)` and leaves nothing behind, however it ends; the exit status."""
    # A signal takes the same way out as everything else.
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    scratch = Path(tempfile.mkdtemp(prefix="doorward-bench."))
    try:
        run(scratch)
    except CannotMeasure as error:
        print(f"bench: cannot measure: {error}", file=sys.stderr)
        return 1
    finally:
        Process.end_all()
        shutil.rmtree(scratch, ignore_errors=True)
    return 0


def telling_log(scene, measure):
    """Runs `measure()`; where it fails, what the scene's programs said goes with the reason."""
    try:
        measure()
    except (CannotMeasure, subprocess.CalledProcessError, OSError, http.client.HTTPException) as error:
        raise CannotMeasure(f"{error}\n{scene.told()}") from error
