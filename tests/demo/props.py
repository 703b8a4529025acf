"""What the demo is made of: saying what is seen and proven, programs that run beside it, the browser, the search for secrets."""

import base64
import json
import os
import pty
import queue
import re
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
AGENT = ROOT / "tests/demo/agent.py"
BROWSER = ROOT / "tests/peers/answer-consent.mjs"
# What takes longer does not happen.
PATIENCE = 30
# The agent has to outlive one token, and nobody wants to wait for an hour.
TOKEN_LIFETIME = 6
WEBSITE, LEAFLETS = "4700000000000000201", "4700000000000000203"


class Failed(Exception):
    """Something did not hold."""


# --- What is said ----------------------------------------------------------------------------------------------------


def say(text=""):
    print(text, flush=True)


class Step:
    """One step of the story: its number and name, what is seen, and what that proves."""

    count = 0

    def __init__(self, name):
        Step.count += 1
        self.name = f"{Step.count:2}. {name}"
        say(f"\n{self.name}")

    def saw(self, text):
        say(f"      {text}")

    def proves(self, text):
        say(f"    ✓ {text}")

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _trace):
        if kind is not None and issubclass(kind, Exception):
            raise Failed(f"{self.name.strip()}\n  {error or kind.__name__}") from error


def check(holds, otherwise):
    if not holds:
        raise Failed(otherwise)


# --- Programs --------------------------------------------------------------------------------------------------------


class Program:
    """A program that runs beside the story and prints lines of JSON. It ends with the demo, however that ends."""

    def __init__(self, command, **environment):
        self.name = Path(command[0]).name
        self.lines = queue.SimpleQueue()
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *map(str, command)],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Without a terminal, so that no question ever reaches the person who runs the demo.
            start_new_session=True,
        )
        self.errors = []
        threading.Thread(target=self.listen, daemon=True).start()
        threading.Thread(target=lambda: self.errors.extend(self.process.stderr), daemon=True).start()
        programs.append(self)

    def listen(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))
        self.lines.put(None)

    def next(self, event=None):
        """The next line, or the next one about this event."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                line = self.lines.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                raise Failed(f"{self.name} did not say {event or 'anything'} within {PATIENCE} s") from None
            if line is None:
                raise Failed(f"{self.name} ended before it said {event or 'anything'}: {''.join(self.errors).strip()}")
            if event is None or line["event"] == event:
                return line

    def forget(self):
        """What was said so far is of no interest any more."""
        while not self.lines.empty():
            line = self.lines.get()
            check(line is not None and line["event"] != "refused", f"{self.name} does not go on: {line}")

    def end(self):
        self.process.terminate()
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Failed(f"{self.name} does not end when it is asked to") from None

    def wait(self):
        return self.process.wait(PATIENCE)


programs = []


def http(url, token=None, form=None, body=None, method=None):
    """One HTTP call that follows nothing: status, Location, text."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    data = urllib.parse.urlencode(form).encode() if form else None
    if body is not None:
        data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    try:
        with OPENER.open(request, timeout=PATIENCE) as reply:
            return reply.status, reply.headers.get("Location"), reply.read().decode()
    except urllib.error.HTTPError as reply:
        return reply.code, reply.headers.get("Location"), reply.read().decode()


class Unmoved(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), Unmoved)


class Simulator:
    """A simulated Fast.io and the port that controls it."""

    def __init__(self, folder):
        self.program = Program([folder / "fastio-sim", "--knob", f"access_token_lifetime_s={TOKEN_LIFETIME}"])
        ready = self.program.next()
        self.base, self.api, self.control = ready["base_url"], ready["api_base"], ready["control_url"]

    def ask(self, path, body=None, method=None):
        status, _, text = http(f"{self.control}{path}", body=body, method=method)
        check(status < 300, f"the simulator's control port answers {status} to {path}: {text}")
        return json.loads(text) if text else None

    def session(self, connection):
        """The newest session of the consent that was given to this name."""
        own = [one for one in self.ask("/sessions")["sessions"] if one["agent_name"] == connection]
        check(own, f"the simulator has no session of {connection}")
        return own[-1]

    def refreshes(self):
        """How often a token was renewed."""
        return self.ask("/counts")["kinds"].get("token_refresh", 0)

    def secrets(self):
        return self.ask("/secrets")["secrets"]

    def live(self, kind):
        values = [secret["value"] for secret in self.secrets() if secret["kind"] == kind]
        return [value for value in values if self.ask("/tokens/probe", {kind: value})["live"]]


class Commands:
    """The person's side of a Doorward that runs: the command `doorward`."""

    def __init__(self, binary, *flags, **environment):
        self.binary, self.flags = binary, [str(flag) for flag in flags]
        self.environment = {**os.environ, **environment}

    def run(self, *words):
        """A command that ends by itself, without a terminal."""
        return subprocess.run(
            [str(self.binary), "--json", *self.flags, *words],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            start_new_session=True,
            check=False,
        )

    def command(self, *words):
        """What it answers."""
        ran = self.run(*words)
        check(ran.returncode == 0, f"`doorward {' '.join(words)}` ended with {ran.returncode}: {ran.stdout}{ran.stderr}")
        return json.loads(ran.stdout.splitlines()[-1]) if ran.stdout else None

    def asked(self):
        """What an agent asks for, as soon as one does."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if waiting := self.command("requests"):
                return waiting[0]
            time.sleep(0.1)
        raise Failed("no agent asks for anything")


class Doorward(Commands):
    """`doorward serve`, and a person at a terminal."""

    def __init__(self, folder):
        super().__init__(folder / "doorward")
        self.program = Program([self.binary, "--json", "serve", "--port", "0"], DOORWARD_LOG="trace")
        self.url = self.program.next()["url"]

    def at_terminal(self, *words, answers):
        """A command at a pseudo-terminal, where a person answers each question; what stands on the screen."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.execv(self.binary, [str(self.binary), *words])
        screen, unanswered, seen = b"", list(answers), 0
        deadline = time.monotonic() + PATIENCE
        try:
            while True:
                if not select.select([terminal], [], [], max(0, deadline - time.monotonic()))[0]:
                    os.kill(pid, signal.SIGKILL)
                    break
                try:
                    screen += os.read(terminal, 4096)
                except OSError:
                    break  # The program has closed its end.
                # The cursor stands behind a question.
                if unanswered and screen.endswith(b": ") and len(screen) > seen:
                    seen = len(screen)
                    os.write(terminal, unanswered.pop(0).encode() + b"\n")
        finally:
            # A program that still waits for a person learns from this that there is none.
            os.close(terminal)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        text = screen.decode().replace("\r", "")
        check(status == 0, f"`doorward {' '.join(words)}` ended with {status}:\n{text}")
        check(not unanswered, f"`doorward {' '.join(words)}` did not ask for the PIN:\n{text}")
        return text

    def connect(self, sim, *words, answer):
        """Connects; `answer` plays the person in the browser. The connection as the person is shown it."""
        connecting = Program([self.binary, "--json", "connect", "fastio", "--base", sim.base, "--no-browser", *words])
        answer(connecting.next()["url"])
        connection = connecting.next()
        check("error" not in connection, f"connecting failed: {connection.get('error')}")
        check(connecting.wait() == 0, "`doorward connect` did not end well")
        return connection


# --- The person in the browser ---------------------------------------------------------------------------------------


def in_chromium(url, workspace):
    """Reads the consent page in a real browser and picks one workspace. False where there is no browser."""
    if not shutil.which("node"):
        return False
    command = ["node", str(BROWSER), "--timeout", str(PATIENCE), "--pick", f"{workspace}=rw", url]
    pipe = subprocess.PIPE
    step = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True)
    try:
        answer, problem = step.communicate(timeout=2 * PATIENCE)
    finally:
        # Asked to end, it takes the browser along; killed, it would leave it behind.
        if step.poll() is None:
            step.terminate()
            step.wait()
    if step.returncode == 3:
        return False
    check(step.returncode == 0, f"the browser step failed: {problem.strip()}")
    landed = json.loads(answer)
    check(landed["status"] == 200, f"the browser ended on a page with status {landed['status']}: {landed['text']}")
    return True


def by_plain_http(url, workspace):
    """The same consent, answered as the page's forms would be sent."""
    _, page, _ = http(url)
    ask = urllib.parse.parse_qs(urllib.parse.urlparse(page).query)["auth_request_id"][0]
    site = page.split("/connect")[0]
    sign_in = http(page)[2]
    email, password = re.findall(r"<code>([^<]+)</code>", sign_in)[:2]
    form = {"auth_request_id": ask, "email": email, "password": password}
    decision = http(f"{site}/connect/sign-in", form=form)[2]
    csrf = re.search(r'name="csrf" value="([^"]+)"', decision)[1]
    form = {"auth_request_id": ask, "csrf": csrf, "decision": "approve", "entity": workspace, "mode": "rw"}
    status, redirect, text = http(f"{site}/connect/decide", form=form)
    check(status == 303, f"the consent was answered {status}: {text}")
    check(http(redirect)[0] == 200, "Doorward did not take the browser's answer")


# --- Looking for secrets ---------------------------------------------------------------------------------------------


def forms(secret):
    """A secret as it is, in hex, and in base64 wherever it may begin."""
    raw = secret.encode()
    yield from (raw, raw.hex().encode(), raw.hex().upper().encode())
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + raw)
        # Without the characters that depend on what stands around.
        whole = coded[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
        yield from (whole, whole.translate(bytes.maketrans(b"+/", b"-_")))


def search(folder, secrets):
    """How many files lie below a folder, and where a secret is found in one."""
    files = [path for path in Path(folder).rglob("*") if path.is_file()]
    found = []
    for path in files:
        content = path.read_bytes()
        found += [f"{path}: {what}" for what, value in secrets for form in forms(value) if form in content]
    return len(files), found


# --- The sample agent ------------------------------------------------------------------------------------------------

# A narrow grant: it may read over HTTP and list files by a tool; it has to ask before it writes, and may do nothing else.
LIMITS = {"method": "GET", "tool": "storage(action=list)", "ask": "POST /workspace/"}


class SampleAgent:
    """The sample agent with its key and its diary; each task is a program of its own."""

    def __init__(self, name, connection, workspace, scratch, *more):
        self.connection = connection
        self.key_file, self.diary = scratch / "agents" / name, scratch / "diaries" / name / "answers"
        for file in (self.key_file, self.diary):
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.words = ["--name", name, "--connection", connection, "--workspace", workspace, *more]

    def start(self, *task, **instead):
        """Begins a task; `instead` names another connection or workspace."""
        files = ["--key-file", self.key_file, "--diary", self.diary]
        changed = [word for name, value in instead.items() for word in (f"--{name}", value)]
        return Program([sys.executable, AGENT, *self.words, *files, *changed, *task], PYTHONDONTWRITEBYTECODE="1")

    def check_saw_no_token(self, sim):
        """Nothing that Doorward ever answered it is a token of the provider."""
        tokens = [(secret["kind"], secret["value"]) for secret in sim.secrets()]
        written, found = search(self.diary.parent, tokens)
        check(written >= 1 and self.diary.stat().st_size > 1000, "it has written down nothing")
        check(not found, "it was given a token:\n  " + "\n  ".join(found))
        return len(tokens)


def shown(refused):
    """A refusal as an agent tells it."""
    problem = refused["problem"]
    return f"the agent: {refused['status']} {problem['code']}: {problem['detail']}"
