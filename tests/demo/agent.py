#!/usr/bin/env python3
"""A sample agent: watches the files of a Fast.io workspace, with nothing but Python's standard library.

It asks a person once, through Doorward, and then works for as long as it is let. It has no password, no refresh token
and nothing to renew: when the API says that the access token has ended, it asks Doorward for another.

    python3 agent.py --name "File watcher" --scope fastio:token --connection fastio --workspace ID --api URL

What happens is printed as lines of JSON. Ends with 1 when it is refused, and says by whom and why.
"""

import argparse
import hashlib
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
# Loopback must not go through a proxy, which could read the key.
HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Refused(Exception):
    """Someone said no, and asking again changes nothing."""


def tell(event, **facts):
    print(json.dumps({"event": event, **facts}), flush=True)


def call(url, key=None, form=None, body=None):
    """One HTTP call. Returns status and body; raises OSError where nobody answers."""
    headers = {"Accept": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    data = None
    if form is not None:
        data = urllib.parse.urlencode(form).encode()
    elif body is not None:
        data = json.dumps(body).encode()
        headers["Content-Type"] = "application/json"
    try:
        with HTTP.open(urllib.request.Request(url, data=data, headers=headers), timeout=60) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as reply:
        return reply.code, json.loads(reply.read() or b"{}")


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
    _, client = call(f"{doorward}/oauth/register", body=registration)
    status, asked = call(
        f"{doorward}/oauth/device_authorization", form={"client_id": client["client_id"], "scope": scope}
    )
    if status != 200:
        raise Refused(asked)
    tell("asked", user_code=asked["user_code"])
    poll = {"grant_type": DEVICE_GRANT, "client_id": client["client_id"], "device_code": asked["device_code"]}
    interval = asked.get("interval", 5)
    while True:
        time.sleep(interval)
        status, answer = call(f"{doorward}/oauth/token", form=poll)
        if status == 200:
            return answer["access_token"]
        if answer["error"] == "slow_down":
            interval += 5
        elif answer["error"] != "authorization_pending":
            raise Refused(answer)


def load_key(options, doorward):
    """The agent key from its file, or a new one from a person."""
    if options.key_file and options.key_file.exists():
        return options.key_file.read_text()
    key = pair(doorward, options.name, options.scope)
    tell("paired")
    if options.key_file:
        # For its owner alone from the first moment.
        with open(os.open(options.key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(key)
    return key


def fetch_token(doorward, key, connection):
    query = urllib.parse.urlencode({"connection": connection})
    status, answer = call(f"{doorward}/v1/token?{query}", key=key)
    if status != 200:
        tell("refused", by="doorward", status=status, problem=answer)
        raise Refused(answer)
    # Enough to tell two tokens apart without printing either.
    tell("token", fingerprint=hashlib.sha256(answer["access_token"].encode()).hexdigest()[:8], scope=answer["scope"])
    return answer["access_token"]


def watch(options, doorward, key):
    url = f"{options.api.rstrip('/')}/workspace/{options.workspace}/storage/root/list/"
    token = fetch_token(doorward, key, options.connection)
    while True:
        status, answer = call(url, key=token)
        if status == 401:
            tell("ended")
            token = fetch_token(doorward, key, options.connection)
            continue
        if status != 200:
            tell("refused", by="api", status=status, problem=answer)
            raise Refused(answer)
        tell("listed", files=[node["name"] for node in answer["nodes"]])
        if options.once:
            return
        time.sleep(options.every)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", required=True, help="what it calls itself")
    parser.add_argument("--scope", required=True, help="what it asks for, such as fastio:token")
    parser.add_argument("--connection", required=True, help="the connection it uses")
    parser.add_argument("--workspace", required=True, help="the workspace it watches")
    parser.add_argument("--api", required=True, help="the base of Fast.io's API")
    parser.add_argument("--key-file", type=Path, help="where it keeps its agent key")
    parser.add_argument("--every", type=float, default=60, metavar="SECONDS", help="how often it looks")
    parser.add_argument("--once", action="store_true", help="look once and end")
    options = parser.parse_args()
    try:
        doorward = find_doorward()
        watch(options, doorward, load_key(options, doorward))
    except Refused as refusal:
        print(f"refused: {refusal}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
