"""The steps that are the same whether the person is at a window or played: what the agent does, and what comes of it."""

import os
import time
from pathlib import Path

from props import TOKEN_LIFETIME, SampleAgent, Step, check, shown


class Steps:
    """A story that is being played. Who plays it says how the person allows a call and revokes an agent."""

    def __init__(self, scratch):
        self.scratch = Path(scratch)
        self.folder = Path(os.environ["DOORWARD_PROGRAMS"])
        self.sim = self.doorward = self.agent = self.watching = None

    def start_agent(self, connection, workspace):
        """The sample agent, which asks to be let in and then watches a workspace; the code that it shows."""
        self.agent = SampleAgent("File watcher", connection, workspace, self.scratch)
        self.watching = self.agent.start("--every", "0.5")
        return self.watching.next("asked")["user_code"]

    def lists_now(self):
        """The files that the agent sees from here on."""
        self.watching.forget()
        return self.watching.next("listed")["files"]

    def call_the_api(self):
        with Step(f"The agent calls the API through Doorward: GET /proxy/{self.agent.connection}/workspace/…") as step:
            files = self.watching.next("listed")["files"]
            step.saw(", ".join(files))
            check("brief.md" in files, f"not the workspace's files: {files}")
            check(self.agent.key_file.read_text().startswith("dwk_"), "the agent holds something else than an agent key")
            tokens = self.agent.check_saw_no_token(self.sim)
            step.saw(f"none of the {tokens} secrets that the provider gave is in anything that Doorward answered it")
            step.proves("It works with a key of its own. Doorward puts the token in, and no token ever reaches the agent.")

    def use_tools(self):
        with Step(f"It uses the provider's MCP server through Doorward: POST /mcp/{self.agent.connection}") as step:
            program = self.agent.start("tools")
            actions = program.next("tools")["actions"]
            used = program.next("used")
            for name, can in actions.items():
                step.saw(f"it is shown the tool `{name}`, to {' and '.join(can)}; called, that lists the same files")
            check(list(actions) == ["storage"] and "list" in actions["storage"], f"not what the grant allows: {actions}")
            check("delete" not in actions["storage"], f"it is shown what it may not do: {actions}")
            check(not used["failed"] and "brief.md" in used["text"], f"the tool did not do its work: {used}")
            check(program.wait() == 0, "the agent did not end well")
            step.proves("Of all the provider's tools it is shown what its grant allows, and that works.")

    def outlive_the_token(self):
        with Step(f"The access token ends (here after {TOKEN_LIFETIME} s), and the agent does not notice") as step:
            before = self.sim.refreshes()
            while self.sim.refreshes() == before:
                self.watching.next("listed")
            check(self.lists_now(), "the agent does not see its files any more")
            [health] = [one["health"] for one in self.doorward.command("connections")]
            check(health["state"] == "connected", f"Doorward is not well: {health}")
            step.saw(f"renewals at the provider so far: {self.sim.refreshes()}; neither person nor agent was asked")
            step.proves("Doorward renews by itself, for as long as the provider lets it: agents run for hours and days.")

    def ask_about_a_call(self):
        with Step("It wants to make a folder. Its grant says: ask. The person allows it once") as step:
            program = self.agent.start("create", "Reviewed")
            program.next("creating")
            call = self.doorward.asked()
            step.saw(f"the call waits: {call['what']} of `{call['agent']}`, with {call['arguments']}")
            check(call["asks_for"] == "call" and call["arguments"] == "name=Reviewed", f"another call: {call}")
            self.allow_once(step, call)
            step.saw(f"it goes on: the folder `{program.next('created')['folder']}` is made")
            check(program.wait() == 0, "the agent did not end well")
            check("Reviewed" in self.lists_now(), "there is no such folder")
            step.proves("The person decides about that very call and sees what it sends; it goes on where it waited.")

    def refuse_a_call(self):
        with Step("It tries to delete a file, which nothing in its grant allows") as step:
            program = self.agent.start("delete", "brief.md")
            refused = program.next("refused")
            step.saw(shown(refused))
            check(refused["problem"]["code"] == "policy_denied", f"refused for another reason: {refused}")
            check(program.wait() == 1, "the agent did not end")
            check("brief.md" in self.lists_now(), "the file is gone")
            step.proves("What the grant does not allow never reaches the provider, and the agent is told which rule it met.")

    def look_back(self):
        with Step("The person looks back, on the page Activity or with: doorward audit show --agent 'File watcher'") as step:
            says = [row["says"] for row in self.doorward.command("audit", "show", "--agent", "File watcher")["rows"]]
            for sentence in reversed(says):
                step.saw(sentence)
            for what in ("called `GET /workspace/", "called `storage (list)`", "You allowed File watcher", "refused"):
                check(any(what in sentence for sentence in says), f"the audit log does not say {what!r}: {says}")
            check(self.doorward.command("audit", "verify")["rows"] >= len(says), "the audit log lacks what happened")
            step.proves("What was asked, allowed, done and refused is on record in plain sentences, and no row changes unnoticed.")

    def revoke(self):
        with Step("The person revokes the agent, while it lists files and holds a stream open") as step:
            holding = self.agent.start("listen")
            holding.next("listening")
            self.watching.forget()
            check(holding.process.poll() is None, "its stream has ended by itself")
            began = self.revoke_agent()
            holding.next("cut")
            took = f" after {1000 * (time.monotonic() - began):.0f} ms" if began else ""
            step.saw(f"its stream is cut off{took}")
            refused = self.watching.next("refused")
            step.saw(shown(refused))
            check(refused["problem"]["code"] == "unauthenticated", f"refused for another reason: {refused}")
            check(self.watching.wait() == 1, "the agent did not end")
            self.agent.check_saw_no_token(self.sim)
            step.proves("Revoking ends it at once, what is under way too. It never held a token, so nothing of it lives on.")
