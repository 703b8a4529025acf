#!/usr/bin/env python3
"""A sample agent: works on the files of a Fast.io workspace, with nothing but Python's standard library.

It asks a person once, through Doorward, and then works for as long as it is let. It has no password, no token and
nothing to renew: it calls Doorward with its agent key, and Doorward calls Fast.io with the credential.

    python3 agent.py --name "File watcher" --connection fastio --workspace ID --key-file FILE [TASK]

    watch            lists the files, again and again (this is what it does where no task is given)
    create NAME      makes a folder
    delete NAME      deletes a file
    tools            lists the tools of the MCP server, and uses one
    listen           holds the MCP server's stream open until that ends

With `--api URL` it watches in the other way that there is: it asks Doorward for an access token, calls the API there
itself, and asks for another when one has ended. What it does with a token nobody can limit.

What happens is printed as lines of JSON. Ends with 1 when it is refused, and says by whom and why.
"""

import argparse
import hashlib
import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
# How long it waits for an answer: the longest that Doorward holds a call for a person who is asked about it.
PATIENCE = 300
# Loopback must not go through a proxy, which could read the key.
HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Refused(Exception):
    """Someone said no, and asking again changes nothing."""


def tell(event, **facts):
    print(json.dumps({"event": event, **facts}), flush=True)


# --- HTTP ------------------------------------------------------------------------------------------------------------


@dataclass
class Reply:
    """What was answered."""

    status: int
    headers: http.client.HTTPMessage
    text: str

    @property
    def json(self):
        """The answer as JSON: a document, or the last one of a stream."""
        if self.headers.get_content_type() == "text/event-stream":
            events = [line.removeprefix("data:").strip() for line in self.text.splitlines() if line.startswith("data:")]
            return json.loads([event for event in events if event][-1])
        return json.loads(self.text or "{}")


def request(url, key=None, form=None, body=None, method=None, headers=None):
    """An HTTP request, with a form or with JSON where one is given."""
    headers = {"Accept": "application/json", **(headers or {})}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    data = None
    if form is not None:
        data = urllib.parse.urlencode(form).encode()
    elif body is not None:
        data = json.dumps(body).encode()
        headers["Content-Type"] = "application/json"
    return urllib.request.Request(url, data=data, headers=headers, method=method)


def call(url, **content):
    """One HTTP call. Raises OSError where nobody answers."""
    try:
        with HTTP.open(request(url, **content), timeout=PATIENCE + 30) as reply:
            return Reply(reply.status, reply.headers, reply.read().decode())
    except urllib.error.HTTPError as reply:
        return Reply(reply.code, reply.headers, reply.read().decode())


# --- Being let in ----------------------------------------------------------------------------------------------------


def find_doorward():
    """Where Doorward listens: DOORWARD_URL, else the file that it leaves for agents."""
    if url := os.environ.get("DOORWARD_URL"):
        return url.rstrip("/")
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share"
    for folder in (os.environ.get("XDG_RUNTIME_DIR"), data):
        file = Path(folder or "/nowhere") / "doorward/endpoint.json"
        if file.is_file():
            return json.loads(file.read_text())["url"].rstrip("/")
    raise Refused("Doorward is not running")


def pair(doorward, name, scope):
    """Asks a person for access (RFC 8628) and returns the agent key."""
    registration = {"client_name": name, "redirect_uris": [], "grant_types": [DEVICE_GRANT]}
    client = call(f"{doorward}/oauth/register", body=registration).json
    form = {"client_id": client["client_id"], "scope": scope}
    asking = call(f"{doorward}/oauth/device_authorization", form=form)
    asked = asking.json
    if asking.status != 200:
        raise Refused(asked)
    tell("asked", user_code=asked["user_code"])
    poll = {"grant_type": DEVICE_GRANT, "client_id": client["client_id"], "device_code": asked["device_code"]}
    interval = asked.get("interval", 5)
    while True:
        time.sleep(interval)
        reply = call(f"{doorward}/oauth/token", form=poll)
        answer = reply.json
        if reply.status == 200:
            return answer["access_token"]
        if answer["error"] == "slow_down":
            interval += 5
        elif answer["error"] != "authorization_pending":
            raise Refused(answer)


def load_key(options, doorward):
    """The agent key from its file, or a new one from a person."""
    if options.key_file and options.key_file.exists():
        return options.key_file.read_text()
    key = pair(doorward, options.name, options.scope or f"{options.connection}:{'token' if options.api else 'proxy'}")
    tell("paired")
    if options.key_file:
        # For its owner alone from the first moment.
        with open(os.open(options.key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(key)
    return key


class Doorward:
    """Doorward, as an agent that was let in knows it: an address and a key."""

    def __init__(self, url, key, diary):
        self.url, self.key, self.diary = url, key, diary

    def call(self, path, headers=None, **content):
        """One call, which waits where a person is asked about it. Raises Refused where the answer is no."""
        headers = {"Prefer": f"wait={PATIENCE}", **(headers or {})}
        while True:
            reply = call(f"{self.url}{path}", key=self.key, headers=headers, **content)
            if self.diary:
                with self.diary.open("a") as diary:
                    diary.write(f"{path}\n{reply.status}\n{reply.headers}{reply.text}\n")
            if reply.status < 400:
                return reply
            problem = reply.json
            if problem.get("code") != "approval_pending":
                refuse(reply.status, problem)
            tell("pending")
            time.sleep(int(reply.headers["Retry-After"]))


def refuse(status, problem):
    # Both answer in JSON, and Doorward's problems have a code of their own.
    tell("refused", by="doorward" if "hint" in problem else "api", status=status, problem=problem)
    raise Refused(problem)


# --- Working through Doorward ----------------------------------------------------------------------------------------


def storage(options, node, action):
    return f"/proxy/{options.connection}/workspace/{options.workspace}/storage/{node}/{action}/"


def list_nodes(options, doorward):
    return doorward.call(storage(options, "root", "list")).json["nodes"]


def watch(options, doorward):
    while True:
        tell("listed", files=[node["name"] for node in list_nodes(options, doorward)])
        if options.once:
            return
        time.sleep(options.every)


def create(options, doorward):
    tell("creating", folder=options.word)
    made = doorward.call(storage(options, "root", "createfolder"), form={"name": options.word})
    tell("created", folder=made.json["node"]["name"])


def delete(options, doorward):
    [node] = [node["id"] for node in list_nodes(options, doorward) if node["name"] == options.word]
    doorward.call(storage(options, node, "delete"), method="DELETE")
    tell("deleted", file=options.word)


class Mcp:
    """A session with the connection's MCP server: JSON-RPC over HTTP, as any client of the protocol speaks it."""

    PROTOCOL = "2025-11-25"

    def __init__(self, options, doorward):
        self.path, self.doorward = f"/mcp/{options.connection}", doorward
        self.headers = {"Accept": "application/json, text/event-stream"}
        self.asked = 0
        about = {"name": "sample-agent", "version": "1"}
        self.ask("initialize", protocolVersion=self.PROTOCOL, capabilities={}, clientInfo=about)
        self.headers["MCP-Protocol-Version"] = self.PROTOCOL
        self.send({"method": "notifications/initialized"})

    def send(self, message):
        reply = self.doorward.call(self.path, body={"jsonrpc": "2.0", **message}, headers=self.headers)
        if session := reply.headers["Mcp-Session-Id"]:
            self.headers["Mcp-Session-Id"] = session
        return reply

    def ask(self, method, **params):
        self.asked += 1
        reply = self.send({"id": self.asked, "method": method, "params": params})
        answer = reply.json
        if "error" in answer:
            error = answer["error"]
            refuse(reply.status, {"detail": error["message"], **(error.get("data") or {})})
        return answer["result"]


def tools(options, doorward):
    session = Mcp(options, doorward)
    shown = session.ask("tools/list")["tools"]
    actions = {tool["name"]: tool["inputSchema"]["properties"].get("action", {}).get("enum", []) for tool in shown}
    tell("tools", actions=actions)
    where = {"profile_type": "workspace", "profile_id": options.workspace, "node_id": "root"}
    result = session.ask("tools/call", name="storage", arguments={"action": "list", **where})
    tell("used", tool="storage", failed=result.get("isError", False), text=result["content"][0]["text"])


def listen(options, doorward):
    session = Mcp(options, doorward)
    headers = {**session.headers, "Accept": "text/event-stream"}
    with HTTP.open(request(f"{doorward.url}{session.path}", key=doorward.key, headers=headers), timeout=60) as stream:
        tell("listening")
        try:
            for _line in stream:
                pass
        except (http.client.HTTPException, OSError):
            pass  # Cut off in the middle.
    tell("cut")


# --- Working with an access token ------------------------------------------------------------------------------------


def fetch_token(options, doorward):
    query = urllib.parse.urlencode({"connection": options.connection})
    answer = doorward.call(f"/v1/token?{query}").json
    # Enough to tell two tokens apart without printing either.
    tell("token", fingerprint=hashlib.sha256(answer["access_token"].encode()).hexdigest()[:8], scope=answer["scope"])
    return answer["access_token"]


def watch_with_token(options, doorward):
    url = f"{options.api.rstrip('/')}/workspace/{options.workspace}/storage/root/list/"
    token = fetch_token(options, doorward)
    while True:
        reply = call(url, key=token)
        if reply.status == 401:
            tell("ended")
            token = fetch_token(options, doorward)
            continue
        if reply.status != 200:
            refuse(reply.status, reply.json)
        tell("listed", files=[node["name"] for node in reply.json["nodes"]])
        if options.once:
            return
        time.sleep(options.every)


TASKS = {"watch": watch, "create": create, "delete": delete, "tools": tools, "listen": listen}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", nargs="?", choices=TASKS, default="watch", help="what it does")
    parser.add_argument("word", nargs="?", metavar="NAME", help="what it does it to")
    parser.add_argument("--name", required=True, help="what it calls itself")
    parser.add_argument("--connection", required=True, help="the connection it uses")
    parser.add_argument("--workspace", required=True, help="the workspace it works in")
    parser.add_argument("--scope", help="what it asks for, where that is not what it needs")
    parser.add_argument("--api", metavar="URL", help="watch with access tokens: the base of Fast.io's API")
    parser.add_argument("--key-file", type=Path, help="where it keeps its agent key")
    parser.add_argument("--diary", type=Path, help="where it writes down everything that Doorward answers it")
    parser.add_argument("--every", type=float, default=60, metavar="SECONDS", help="how often it looks")
    parser.add_argument("--once", action="store_true", help="look once and end")
    options = parser.parse_args()
    work = watch_with_token if options.api else TASKS[options.task]
    try:
        url = find_doorward()
        work(options, Doorward(url, load_key(options, url), options.diary))
    except Refused as refusal:
        print(f"refused: {refusal}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
