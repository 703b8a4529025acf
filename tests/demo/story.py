"""The story with nobody at a screen: `doorward serve`, a terminal for the PIN, a browser that is driven."""

import json
import os
import time
from pathlib import Path

from props import (
    LEAFLETS,
    TOKEN_LIFETIME,
    WEBSITE,
    Doorward,
    Simulator,
    Step,
    by_plain_http,
    check,
    in_chromium,
    say,
    search,
    watcher,
)

PIN = "harbour-bell-17"


def play(scratch):
    """The story. Raises Failed where something does not hold."""
    began = time.monotonic()
    folder = Path(os.environ["DOORWARD_PROGRAMS"])
    keys = Path(scratch) / "agents"
    keys.mkdir(mode=0o700)

    with Step("A simulated Fast.io and Doorward start, on scratch folders with a keyring of their own") as step:
        sim = Simulator(folder)
        doorward = Doorward(folder)
        status = doorward.command("status")
        step.saw(f"Fast.io at {sim.base}, Doorward at {doorward.url}")
        check(status["store"] == "unlocked" and status["keys"] == "keyring", f"the store did not open: {status}")
        step.proves("Doorward starts without a display; its store's key is in the OS keyring (Secret Service).")

    with Step("The person sets the approval PIN, at a terminal") as step:
        doorward.at_terminal("pin", answers=[PIN, PIN])
        check(doorward.command("status")["pin_set"], "no PIN is set")
        step.proves("From here on nothing is let in without it; it is asked for on the terminal and nowhere else.")

    with Step("The person connects Fast.io, and on the consent page gives less than was asked") as step:

        def consent(url):
            where = "in Chromium" if in_chromium(url, "Website relaunch") else by_plain_http(url, WEBSITE) or "over HTTP"
            step.saw(f"the consent page is answered {where}: one workspace of four, for reading only")

        given = doorward.connect(sim, "--agent-name", "Demo", answer=consent)
        step.saw(f"asked for {given['asked']}, read and write; granted {' '.join(given['granted'])}")
        check(given["granted"] == [f"workspace:{WEBSITE}:r"], f"not what was consented to: {given['granted']}")
        check(sim.session("Demo")["active"], "the provider has no living session")
        step.proves("Consenting once is enough; what was granted is what Doorward shows and keeps, not what was asked.")

    with Step("A sample agent asks to be let in, and the person approves") as step:
        agent = watcher(sim, "File watcher", "fastio:token", "fastio", WEBSITE, keys / "watcher", "--every", "0.5")
        code = agent.next("asked")["user_code"]
        [request] = doorward.command("requests")
        step.saw(f"the agent shows {code}; Doorward shows {request['code']}, asked by `{request['name']}`")
        check(code == request["code"], "two different codes")
        script = request["program"] and request["program"]["script"]
        step.saw(f"which runs {script or request['program']}")
        check(script and script.endswith("agent.py"), "the program behind the request was not told")
        screen = doorward.at_terminal("approve", code, answers=[PIN])
        check(PIN not in screen, "the PIN was shown while it was typed")
        agent.next("paired")
        step.proves("A person sees who asks, by name and by program, and lets it in with the PIN at a terminal.")

    with Step("The agent gets an access token and lists the workspace's files with it") as step:
        first = agent.next("token")
        files = agent.next("listed")["files"]
        step.saw(", ".join(files))
        check(files, "no files")
        refresh = [secret["value"] for secret in sim.secrets() if secret["kind"] == "refresh_token"]
        key = (keys / "watcher").read_text()
        check(key.startswith("dwk_") and key not in refresh, "the agent holds something else than an agent key")
        step.proves("The agent works with a key of its own and a short-lived token. No refresh token ever reaches it.")

    with Step("An agent of another tenant works with its own connection, and asks for this one") as step:
        doorward.connect(
            sim,
            *("--tenant", "clinic", "--name", "clinic", "--agent-name", "Clinic demo"),
            answer=lambda url: by_plain_http(url, LEAFLETS),
        )

        def other(connection, workspace):
            return watcher(sim, "Clinic helper", "clinic:token", connection, workspace, keys / "clinic", "--once")

        own = other("clinic", LEAFLETS)
        doorward.at_terminal("approve", own.next("asked")["user_code"], answers=[PIN])
        step.saw("its own: " + ", ".join(own.next("listed")["files"]))
        foreign = other("fastio", WEBSITE).next("refused")
        absent = other("absent", WEBSITE).next("refused")
        step.saw(f"this one: {foreign['status']} {foreign['problem']['code']}: {foreign['problem']['detail']}")
        check(foreign["problem"]["code"] == "connection_unknown", f"not refused as unknown: {foreign}")
        same = json.dumps(foreign).replace("fastio", "absent") == json.dumps(absent)
        check(same, f"the refusal tells that it exists: {foreign} is not {absent}")
        step.proves("Tenants do not reach each other: the answer is the same as for a name that does not exist.")

    with Step(f"The agent's access token ends (here after {TOKEN_LIFETIME} s), and the agent goes on working") as step:
        agent.next("ended")
        second = agent.next("token")
        check(agent.next("listed")["files"] == files, "the agent does not see its files any more")
        check(first["fingerprint"] != second["fingerprint"], "the token is the same as before")
        [shown] = [one for one in doorward.command("connections") if one["name"] == "fastio"]
        check(shown["health"]["state"] == "connected", f"Doorward is not well: {shown['health']}")
        refreshes = sim.ask("/counts")["kinds"].get("token_refresh", 0)
        step.saw(f"token {first['fingerprint']}… ended, token {second['fingerprint']}… took its place; no person was asked")
        check(refreshes >= 1, "the provider saw no refresh")
        step.proves("Doorward renews by itself, as long as the provider lets it; the agent only asks again.")

    with Step("The person disconnects") as step:
        ended = doorward.command("disconnect", "fastio")
        check(ended["confirmed"], "the provider has not confirmed the end")
        check([one["name"] for one in doorward.command("connections")] == ["clinic"], "the connection is still there")
        refused = agent.next("refused")
        step.saw(f"the agent: {refused['status']} {refused['problem']['code']}: {refused['problem']['detail']}")
        check(refused["by"] == "doorward", f"refused by someone else: {refused}")
        check(agent.wait() == 1, "the agent did not end")
        step.proves("The agent is refused with its next request.")

    with Step("The simulator tells what is left at the provider") as step:
        session = sim.session("Demo")
        step.saw(f"session of `Demo`: active {str(session['active']).lower()}, ended by {session['ended_by']}")
        check(not session["active"], "the session is still alive")
        check(not session["live_refresh_tokens"], "a refresh token still opens it")
        check(session["live_access_tokens"] == 0, "an access token still opens something")
        check(sim.session("Clinic demo")["active"], "the other tenant's session was ended too")
        check(len(sim.live("refresh_token")) == 1, "refresh tokens live on")
        step.proves("The grant has ended at the provider too, with every token it ever gave; and only that grant.")

    with Step("The audit log is checked, and every file is searched for secrets") as step:
        rows = doorward.command("audit", "verify")["rows"]
        step.saw(f"{rows} rows, each in its place")
        check(rows >= 8, "the audit log lacks what happened")
        secrets = [(secret["kind"], secret["value"]) for secret in sim.secrets()]
        secrets += [("agent key", path.read_text()) for path in keys.iterdir()] + [("PIN", PIN)]
        places = {os.environ[name] for name in ("HOME", "XDG_RUNTIME_DIR")}
        looked = [search(place, secrets) for place in places]
        found = [leak for _, leaks in looked for leak in leaks]
        count = sum(files for files, _ in looked)
        step.saw(f"{len(secrets)} secrets of this run looked for in {count} files, in clear, base64 and hex")
        check(not found, "found in clear:\n  " + "\n  ".join(found))
        check(count >= 3, "there were hardly any files to look at")
        step.proves("What happened is on record, and no secret lies readable in any file, the most detailed log included.")

    with Step("Doorward and the simulator are asked to end") as step:
        check(doorward.program.end() == 0, "doorward serve did not end well")
        sim.program.end()
        left = [path for name in ("control.sock", "endpoint.json") for path in Path(scratch).rglob(name)]
        check(not left, f"left behind: {left}")
        step.proves("Both end in order and leave no socket behind.")

    say(f"\nEverything held, in {time.monotonic() - began:.0f} s. Nothing is left running.")
