"""The story with the person at the window: the desktop application on this screen, and what to click said at each step."""

import json
import os
import subprocess
import threading
import time
from pathlib import Path

from props import (
    LIMITS,
    ROOT,
    WEBSITE,
    Commands,
    Failed,
    Simulator,
    Step,
    check,
    programs,
    say,
    search,
)
from steps import Steps

# A person reads, and may be called away.
PATIENCE = 15 * 60


def manifest(base):
    """Fast.io as Doorward knows it, under another name and at another address."""
    text = (ROOT / "crates/core/manifests/fastio.toml").read_text()
    for known, here in (
        ('name = "fastio"', 'name = "simulated"'),
        ('title = "Fast.io"', 'title = "Simulated Fast.io"'),
        ("https://api.fast.io", base),
        ("https://mcp.fast.io", base),
    ):
        check(known in text, f"Fast.io's manifest says nothing like {known}")
        text = text.replace(known, here)
    return text


class Desktop(Commands):
    """The application, on scratch folders. It shares nothing with a Doorward of the person's own."""

    def __init__(self, folder, scratch, sim):
        config, self.data = scratch / "config", scratch / "data"
        (config / "doorward/providers").mkdir(parents=True)
        (config / "doorward/providers/simulated.toml").write_text(manifest(sim.base))
        # A keyring of the person's own is not touched: the store opens with a passphrase.
        (config / "doorward/config.toml").write_text('port = 0\nkeys = "passphrase"\n')
        folders = {"XDG_CONFIG_HOME": str(config), "XDG_STATE_HOME": str(scratch / "state")}
        super().__init__(folder / "doorward", "--data-dir", self.data, **folders)
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", str(folder / "doorward-desktop"), "--data-dir", str(self.data)],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.errors = []
        threading.Thread(target=lambda: self.errors.extend(self.process.stderr), daemon=True).start()
        # It ends with the demo, however that ends.
        programs.append(self)

    def until(self, seen, *words):
        """Waits until the person has done something: until the command's answer is as wanted."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Failed(f"the application ended: {''.join(self.errors).strip()}")
            ran = self.run(*words)
            # It cannot answer before its store is open.
            if ran.returncode == 0 and seen(answer := json.loads(ran.stdout)):
                return answer
            time.sleep(0.3)
        raise Failed("nobody did it within 15 minutes")


def click(text):
    say(f"    ▸ {text}")


class AtWindow(Steps):
    """The story with a person at the window."""

    def allow_once(self, step, call):
        click("Press “Review” in the notification, or open Approvals in the window. See what it would send.")
        click("Press “Allow once”.")
        self.doorward.until(lambda waiting: not waiting, "requests")

    def revoke_agent(self):
        click("In Agents, press “Revoke…” at File watcher, then “Revoke”.")
        self.doorward.until(lambda agents: not agents, "agents")

    def begin(self):
        with Step("A simulated Fast.io and the application start") as step:
            self.sim = Simulator(self.folder)
            self.doorward = Desktop(self.folder, self.scratch, self.sim)
            step.saw(f"Fast.io at {self.sim.base}")
            click("In the window, choose any passphrase for this demo, type it twice, press “Use this passphrase”.")
            self.doorward.until(lambda status: status.get("store") == "unlocked", "status")
            step.proves("Everything Doorward keeps is sealed under a key that only your passphrase gives.")

    def connect(self):
        with Step("You connect") as step:
            click("Press “Connect…”, choose “Simulated Fast.io”, press “Review”, then “Open the browser”.")
            click("Sign in with the account that the page shows. Pick “Website relaunch” alone, and allow it.")
            [connection] = self.doorward.until(len, "connections")
            step.saw(f"asked for {connection['asked']}; granted {' '.join(connection['granted'])}")
            step.proves("Consenting once is enough; what was granted is shown, not what was asked.")
            return connection

    def let_in(self, connection):
        with Step("A sample agent asks, and you approve it with limits") as step:
            os.environ["DOORWARD_URL"] = self.doorward.command("status")["url"]
            workspaces = [one.split(":")[1] for one in connection["granted"] if one.startswith("workspace:")]
            code = self.start_agent(connection["name"], workspaces[0] if workspaces else WEBSITE)
            click("Press “Review” in the notification, or open Approvals in the window.")
            click(f"Compare the code: it is {code}. Open “More limits”, and type")
            click(f"    {LIMITS['tool']}  into “Only these MCP tools”,")
            click(f"    {LIMITS['method']}  into “Only these HTTP methods”,")
            click(f"    {LIMITS['ask']}  into “Ask me before these calls”. Press “Approve”.")
            [agent] = self.doorward.until(len, "agents")
            self.watching.next("paired")
            policy = agent["grants"][0]["policy"]
            given = (policy["tools"], policy["methods"], policy["ask"])
            wanted = tuple([LIMITS[name]] for name in ("tool", "method", "ask"))
            check(given == wanted, f"other limits than these were given: {given}. Start again, or play with --headless")
            step.proves("No agent is let in before you have seen who asks, and it gets no more than you give it.")

    def disconnect(self, connection):
        with Step("You disconnect") as step:
            click(f"In Connections, press “Disconnect…” at {connection['name']}, then “Disconnect”.")
            self.doorward.until(lambda connections: not connections, "connections")
            self.doorward.until(lambda status: status.get("revocations_owed") == 0, "status")
            living = [one for one in self.sim.ask("/sessions")["sessions"] if one["active"]]
            check(not living, f"sessions live on at the provider: {living}")
            step.proves("The grant has ended at the provider too.")

    def end(self):
        with Step("Every file is searched for secrets, and the application ends") as step:
            click("Press “Quit…”, then “Quit”.")
            self.doorward.process.wait(PATIENCE)
            secrets = [(secret["kind"], secret["value"]) for secret in self.sim.secrets()]
            secrets += [("agent key", self.agent.key_file.read_text())]
            looked = [search(self.scratch / place, secrets) for place in ("data", "state", "config")]
            found = [leak for _, leaks in looked for leak in leaks]
            step.saw(f"{len(secrets)} secrets of this run looked for in {sum(files for files, _ in looked)} files")
            check(not found, "found in clear:\n  " + "\n  ".join(found))
            self.sim.program.end()
            step.proves("No secret lies readable in any file.")


def play(scratch):
    """The story. Raises Failed where something does not hold."""
    say("Doorward's window opens. You are the person; what to click stands after ▸. Ctrl-C stops it at any time.")
    story = AtWindow(Path(scratch))
    story.begin()
    connection = story.connect()
    story.let_in(connection)
    story.call_the_api()
    story.use_tools()
    story.outlive_the_token()
    story.ask_about_a_call()
    story.refuse_a_call()
    story.look_back()
    story.revoke()
    story.disconnect(connection)
    story.end()
    say("\nEverything held. Nothing is left running.")
