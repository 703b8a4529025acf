"""The story with nobody at a screen: `doorward serve`, a terminal for the PIN, a browser that is driven."""

import json
import os
import shlex
import time

from props import (
    LEAFLETS,
    LIMITS,
    WEBSITE,
    Doorward,
    SampleAgent,
    Simulator,
    Step,
    by_plain_http,
    check,
    in_chromium,
    say,
    search,
    shown,
)
from steps import Steps

PIN = "harbour-bell-17"


class Alone(Steps):
    """The story with every part played."""

    def allow_once(self, step, call):
        step.saw(f"doorward approve {call['code']}")
        self.doorward.at_terminal("approve", call["code"], answers=[PIN])

    def revoke_agent(self):
        """Revokes it; the moment when that was asked for, where that is known."""
        began = time.monotonic()
        ended = self.doorward.command("revoke", "File watcher")
        check(ended["handed_out"] == [], f"it still holds a token: {ended}")
        return began

    def begin(self):
        with Step("A simulated Fast.io and Doorward start, on scratch folders with a keyring of their own") as step:
            self.sim = Simulator(self.folder)
            self.doorward = Doorward(self.folder)
            status = self.doorward.command("status")
            step.saw(f"Fast.io at {self.sim.base}, Doorward at {self.doorward.url}")
            check(status["store"] == "unlocked" and status["keys"] == "keyring", f"the store did not open: {status}")
            step.proves("Doorward starts without a display; its store's key is in the OS keyring (Secret Service).")

        with Step("The person sets the approval PIN, at a terminal") as step:
            self.doorward.at_terminal("pin", answers=[PIN, PIN])
            check(self.doorward.command("status")["pin_set"], "no PIN is set")
            step.proves("From here on nothing is let in without it; it is asked for on the terminal and nowhere else.")

    def connect(self):
        with Step("The person connects Fast.io, and on the consent page gives less than was asked") as step:

            def consent(url):
                where = "in Chromium" if in_chromium(url, "Website relaunch") else by_plain_http(url, WEBSITE) or "over HTTP"
                step.saw(f"the consent page is answered {where}: one workspace of four")

            given = self.doorward.connect(self.sim, "--agent-name", "Demo", answer=consent)
            step.saw(f"asked for {given['asked']}; granted {' '.join(given['granted'])}")
            check(given["granted"] == [f"workspace:{WEBSITE}:rw"], f"not what was consented to: {given['granted']}")
            check(self.sim.session("Demo")["active"], "the provider has no living session")
            step.proves("Consenting once is enough; what was granted is what Doorward shows and keeps, not what was asked.")

    def let_in(self):
        with Step("A sample agent asks to be let in, and the person approves it with limits") as step:
            code = self.start_agent("fastio", WEBSITE)
            request = self.doorward.asked()
            step.saw(f"the agent shows {code}; Doorward shows {request['code']}, asked by `{request['name']}`")
            check(code == request["code"], "two different codes")
            script = request["program"] and request["program"]["script"]
            step.saw(f"which runs {script or request['program']}")
            check(script and script.endswith("agent.py"), "the program behind the request was not told")
            limits = [word for name, value in LIMITS.items() for word in (f"--{name}", value)]
            step.saw(f"doorward approve {code} {shlex.join(limits)}")
            screen = self.doorward.at_terminal("approve", code, *limits, answers=[PIN])
            check(PIN not in screen, "the PIN was shown while it was typed")
            self.watching.next("paired")
            step.proves("A person sees who asks, by name and by program, and gives no more than the agent needs.")

    def keep_tenants_apart(self):
        with Step("An agent of another tenant works with its own connection, and asks for this one") as step:
            self.doorward.connect(
                self.sim,
                *("--tenant", "clinic", "--name", "clinic", "--agent-name", "Clinic demo"),
                answer=lambda url: by_plain_http(url, LEAFLETS),
            )
            # The other way to work: it gets an access token, and calls the API with that itself.
            helper = SampleAgent("Clinic helper", "clinic", LEAFLETS, self.scratch, "--api", self.sim.api, "--once")
            own = helper.start()
            self.doorward.at_terminal("approve", own.next("asked")["user_code"], answers=[PIN])
            step.saw("its own, with an access token: " + ", ".join(own.next("listed")["files"]))
            foreign = helper.start(connection="fastio", workspace=WEBSITE).next("refused")
            absent = helper.start(connection="absent", workspace=WEBSITE).next("refused")
            step.saw(f"this one: {shown(foreign)}")
            check(foreign["problem"]["code"] == "connection_unknown", f"not refused as unknown: {foreign}")
            same = json.dumps(foreign).replace("fastio", "absent") == json.dumps(absent)
            check(same, f"the refusal tells that it exists: {foreign} is not {absent}")
            step.proves("Tenants do not reach each other: the answer is the same as for a name that does not exist.")

    def disconnect(self):
        with Step("The person disconnects, and the simulator tells what is left at the provider") as step:
            ended = self.doorward.command("disconnect", "fastio")
            check(ended["confirmed"], "the provider has not confirmed the end")
            left = [one["name"] for one in self.doorward.command("connections")]
            check(left == ["clinic"], f"other connections than the other tenant's: {left}")
            session = self.sim.session("Demo")
            step.saw(f"session of `Demo`: active {str(session['active']).lower()}, ended by {session['ended_by']}")
            check(not session["active"], "the session is still alive")
            check(not session["live_refresh_tokens"], "a refresh token still opens it")
            check(session["live_access_tokens"] == 0, "an access token still opens something")
            check(self.sim.session("Clinic demo")["active"], "the other tenant's session was ended too")
            check(len(self.sim.live("refresh_token")) == 1, "refresh tokens live on")
            step.proves("The grant has ended at the provider too, with every token it ever gave; and only that grant.")

    def end(self):
        with Step("Every file is searched for secrets, and both programs are asked to end") as step:
            secrets = [(secret["kind"], secret["value"]) for secret in self.sim.secrets()]
            secrets += [("agent key", path.read_text()) for path in self.agent.key_file.parent.iterdir()] + [("PIN", PIN)]
            looked = [search(place, secrets) for place in {os.environ[name] for name in ("HOME", "XDG_RUNTIME_DIR")}]
            found = [leak for _, leaks in looked for leak in leaks]
            count = sum(files for files, _ in looked)
            step.saw(f"{len(secrets)} secrets of this run looked for in {count} files, in clear, base64 and hex")
            check(not found, "found in clear:\n  " + "\n  ".join(found))
            check(count >= 3, "there were hardly any files to look at")
            check(self.doorward.program.end() == 0, "doorward serve did not end well")
            self.sim.program.end()
            left = [path for name in ("control.sock", "endpoint.json") for path in self.scratch.rglob(name)]
            check(not left, f"left behind: {left}")
            step.proves("No secret lies readable in any file, the most detailed log included; no socket is left behind.")


def play(scratch):
    """The story. Raises Failed where something does not hold."""
    began = time.monotonic()
    story = Alone(scratch)
    story.begin()
    story.connect()
    story.let_in()
    story.call_the_api()
    story.use_tools()
    story.outlive_the_token()
    story.ask_about_a_call()
    story.refuse_a_call()
    story.keep_tenants_apart()
    story.look_back()
    story.revoke()
    story.disconnect()
    story.end()
    say(f"\nEverything held, in {time.monotonic() - began:.0f} s. Nothing is left running.")
