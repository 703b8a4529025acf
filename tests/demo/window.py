"""The story with the person at the window: the desktop application on this screen, and what to click said at each step."""

import json
import os
import subprocess
import threading
import time
from pathlib import Path

from props import (
    TOKEN_LIFETIME,
    WEBSITE,
    Failed,
    Simulator,
    Step,
    check,
    programs,
    say,
    search,
    watcher,
)

# A person reads, and may be called away.
PATIENCE = 15 * 60

MANIFEST = """\
name = "simulated"
title = "Simulated Fast.io"
base = "{base}"
authorization_endpoint = "/current/oauth/authorize/"
token_endpoint = "/current/oauth/token/"
revocation_endpoint = "/current/oauth/revoke/"
registration_endpoint = "/current/oauth/register/"
api = "/current/"
check = "/current/user/auth/check/"
account = "/current/user/me/details/"
sessions = "/current/oauth/sessions/"
scope_parameters = ["scope_type", "scope"]
default_scope = "workspace"
known_scopes = [{{ word = "workspace", title = "Workspaces that you pick", explains = "You choose them on the consent page." }}]
access_mode_parameter = "access_mode"
agent_name_parameter = "agent_name"
device_name_parameter = "device_name"
"""


class Desktop:
    """The application, on scratch folders. It shares nothing with a Doorward of the person's own."""

    def __init__(self, folder, scratch, sim):
        self.command = folder / "doorward"
        self.data = Path(scratch) / "data"
        config = Path(scratch) / "config/doorward"
        (config / "providers").mkdir(parents=True)
        (config / "providers/simulated.toml").write_text(MANIFEST.format(base=sim.base))
        # A keyring of the person's own is not touched: the store opens with a passphrase.
        (config / "config.toml").write_text('port = 0\nkeys = "passphrase"\n')
        self.environment = {
            **os.environ,
            "XDG_CONFIG_HOME": str(Path(scratch) / "config"),
            "XDG_STATE_HOME": str(Path(scratch) / "state"),
        }
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

    def ask(self, *words):
        """What a command answers; nothing while Doorward cannot answer."""
        command = [str(self.command), "--json", "--data-dir", str(self.data), *words]
        ran = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=30, check=False)
        return json.loads(ran.stdout) if ran.returncode == 0 and ran.stdout else None

    def until(self, seen, *words):
        """Waits until the person has done something: until the command's answer is as wanted."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Failed(f"the application ended: {''.join(self.errors).strip()}")
            answer = self.ask(*words)
            if answer is not None and seen(answer):
                return answer
            time.sleep(0.3)
        raise Failed("nobody did it within 15 minutes")


def click(text):
    say(f"    ▸ {text}")


def play(scratch):
    """The story. Raises Failed where something does not hold."""
    folder = Path(os.environ["DOORWARD_PROGRAMS"])
    keys = Path(scratch) / "agents"
    keys.mkdir(mode=0o700)
    say("Doorward's window opens. You are the person; what to click stands after ▸. Ctrl-C stops it at any time.")

    with Step("A simulated Fast.io and the application start") as step:
        sim = Simulator(folder)
        desktop = Desktop(folder, scratch, sim)
        step.saw(f"Fast.io at {sim.base}")
        click("In the window, choose any passphrase for this demo, type it twice, press “Use this passphrase”.")
        desktop.until(lambda status: status.get("store") == "unlocked", "status")
        step.proves("Everything Doorward keeps is sealed under a key that only your passphrase gives.")

    with Step("You connect") as step:
        click("Press “Connect…”, choose “Simulated Fast.io”, press “Review”, then “Open the browser”.")
        click("Sign in with the account that the page shows. Pick “Website relaunch”, for reading, and allow it.")
        [connection] = desktop.until(len, "connections")
        step.saw(f"asked for {connection['asked']}; granted {' '.join(connection['granted'])}")
        step.proves("Consenting once is enough; what was granted is shown, not what was asked.")
        name = connection["name"]
        workspace = next((one.split(":")[1] for one in connection["granted"] if one.startswith("workspace:")), WEBSITE)

    with Step("A sample agent asks, and you approve") as step:
        os.environ["DOORWARD_URL"] = desktop.ask("status")["url"]
        agent = watcher(sim, "File watcher", f"{name}:token", name, workspace, keys / "watcher", "--every", "0.5")
        code = agent.next("asked")["user_code"]
        click("Press “Review” in the notification, or open Approvals in the window.")
        click(f"Compare the code: it is {code}. Keep the token door, and press “Approve”.")
        desktop.until(len, "agents")
        agent.next("paired")
        step.proves("No agent is let in before you have seen who asks. Only the window can answer.")

    with Step("The agent lists the workspace's files") as step:
        first = agent.next("token")
        step.saw(", ".join(agent.next("listed")["files"]))
        step.proves("It works with a short-lived token. No refresh token ever reaches it.")

    with Step(f"Its token ends after {TOKEN_LIFETIME} s, and it goes on working") as step:
        agent.next("ended")
        second = agent.next("token")
        step.saw(f"token {first['fingerprint']}… ended, {second['fingerprint']}… took its place; nobody asked you")
        check(first["fingerprint"] != second["fingerprint"], "the token is the same as before")
        step.proves("Doorward renews by itself.")

    with Step("You revoke the agent") as step:
        click("In Agents, press “Revoke…” at File watcher, then “Revoke”.")
        desktop.until(lambda agents: not agents, "agents")
        refused = agent.next("refused")
        step.saw(f"the agent: {refused['status']} {refused['problem']['code']}: {refused['problem']['detail']}")
        step.proves("It is refused with its next request.")

    with Step("You disconnect") as step:
        click(f"In Connections, press “Disconnect…” at {name}, then “Disconnect”.")
        desktop.until(lambda connections: not connections, "connections")
        desktop.until(lambda status: status.get("revocations_owed") == 0, "status")
        living = [one for one in sim.ask("/sessions")["sessions"] if one["active"]]
        check(not living, f"sessions live on at the provider: {living}")
        step.proves("The grant has ended at the provider too.")

    with Step("Every file is searched for secrets, and the application ends") as step:
        click("Press “Quit…”, then “Quit”.")
        desktop.process.wait(PATIENCE)
        secrets = [(secret["kind"], secret["value"]) for secret in sim.secrets()]
        secrets += [("agent key", path.read_text()) for path in keys.iterdir()]
        looked = [search(Path(scratch) / place, secrets) for place in ("data", "state", "config")]
        found = [leak for _, leaks in looked for leak in leaks]
        step.saw(f"{len(secrets)} secrets of this run looked for in {sum(files for files, _ in looked)} files")
        check(not found, "found in clear:\n  " + "\n  ".join(found))
        sim.program.end()
        step.proves("No secret lies readable in any file.")

    say("\nEverything held. Nothing is left running.")
