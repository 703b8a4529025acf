#!/usr/bin/env python3
"""An agent made with the MCP Python SDK: does at a server what its flags say, and prints one line of what it saw.

The line has the members that tests/peers/mcp/mcp-client.mjs tells of, so that the two can be compared:
{"server","protocol","tools","resources","prompts","pages","calls":[{"name","failed","text"}],"progress","cancelled",
"read","asked"}, each only where its flag asks for it. An error that ends it: {"error":{"code","message"}}, status 1.
"""

import argparse
import asyncio
import json
import sys
from contextlib import AsyncExitStack

from mcp import Client, MCPError, types
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

# Long enough for a call to be under way: what is cancelled before it is sent shows nothing.
BEFORE_CANCEL_SECONDS = 0.3


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--url", required=True)
    parser.add_argument("--bearer")
    parser.add_argument("--transport", choices=["http", "sse"], default="http")
    parser.add_argument("--revision", default="legacy", help="legacy, auto, or a revision such as 2026-07-28")
    parser.add_argument("--name", default="doorward-test-client")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--pages", action="store_true")
    parser.add_argument("--call", action="append", default=[], metavar="'NAME {…}'")
    parser.add_argument("--progress", metavar="NAME")
    parser.add_argument("--cancel", metavar="NAME")
    parser.add_argument("--read", action="append", default=[], metavar="URI")
    parser.add_argument("--answer", metavar="TEXT")
    return parser.parse_args()


async def transport(flags, stack):
    headers = {"Authorization": f"Bearer {flags.bearer}"} if flags.bearer else None
    if flags.transport == "sse":
        return sse_client(flags.url, headers=headers)
    http = await stack.enter_async_context(create_mcp_http_client(headers=headers))
    return streamable_http_client(flags.url, http_client=http)


def answers(text, asked):
    """What the client says where the server asks."""

    async def elicit(_context, _params):
        asked.append("elicitation/create")
        content = {field: text for field in ("name", "username", "email", "color")}
        return types.ElicitResult(action="accept", content=content)

    async def sample(_context, _params):
        asked.append("sampling/createMessage")
        content = types.TextContent(type="text", text=text)
        return types.CreateMessageResult(role="assistant", model="none", content=content)

    async def roots(_context):
        asked.append("roots/list")
        return types.ListRootsResult(roots=[types.Root(uri=f"file:///{text}")])

    return {"elicitation_callback": elicit, "sampling_callback": sample, "list_roots_callback": roots}


async def whole(ask, member):
    """Every page of a list, and how many there were."""
    items, cursor, pages = [], None, 0
    while pages == 0 or cursor is not None:
        page = await ask(cursor=cursor)
        items += getattr(page, member)
        cursor, pages = page.next_cursor, pages + 1
    return items, pages


async def call(client, wanted):
    calls = []
    for text in wanted:
        name, _, given = text.partition(" ")
        try:
            result = await client.call_tool(name, json.loads(given or "{}"))
            parts = [getattr(part, "text", f"<{part.type}>") for part in result.content]
            calls.append({"name": name, "failed": result.is_error, "text": "\n".join(parts)})
        except MCPError as error:
            calls.append({"name": name, "error": told(error)})
    return calls


async def progress(client, name):
    steps = []

    async def step(done, total, _message):
        steps.append(f"{done:g}/{total:g}")

    await client.call_tool(name, {}, progress_callback=step)
    return steps


async def cancel(client, name):
    called = asyncio.create_task(client.call_tool(name, {}))
    await asyncio.sleep(BEFORE_CANCEL_SECONDS)
    is_cancelled = called.cancel()
    await asyncio.wait([called])
    # The connection is still good.
    await client.list_tools(cache_mode="bypass")
    return is_cancelled and called.cancelled()


async def read(client, uris):
    contents = {}
    for uri in uris:
        found = (await client.read_resource(uri)).contents
        contents[uri] = "\n".join(getattr(part, "text", None) or part.blob for part in found)
    return contents


async def run(flags, saw):
    asked = []
    more = {} if flags.answer is None else answers(flags.answer, asked)
    async with AsyncExitStack() as stack:
        info = types.Implementation(name=flags.name, version="1.0.0")
        made = Client(await transport(flags, stack), client_info=info, mode=flags.revision, **more)
        client = await stack.enter_async_context(made)
        saw["server"] = client.server_info.name if client.server_info else None
        saw["protocol"] = client.protocol_version
        if flags.list or flags.pages:
            tools, pages = await whole(client.list_tools, "tools")
        if flags.list:
            saw["tools"] = [tool.name for tool in tools]
            offers = client.server_capabilities
            resources = (await whole(client.list_resources, "resources"))[0] if offers.resources else []
            prompts = (await whole(client.list_prompts, "prompts"))[0] if offers.prompts else []
            saw["resources"] = [str(found.uri) for found in resources]
            saw["prompts"] = [found.name for found in prompts]
        if flags.pages:
            saw["pages"] = pages
        if flags.call:
            saw["calls"] = await call(client, flags.call)
        if flags.progress:
            saw["progress"] = await progress(client, flags.progress)
        if flags.cancel:
            saw["cancelled"] = await cancel(client, flags.cancel)
        if flags.read:
            saw["read"] = await read(client, flags.read)
    if flags.answer is not None:
        saw["asked"] = asked


def told(error):
    return {"code": getattr(error, "code", type(error).__name__), "message": str(error)}


def innermost(error):
    """A group of tasks wraps what ended one of them."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def main():
    saw = {}
    try:
        asyncio.run(run(arguments(), saw))
    except Exception as error:  # Whatever it is, the line says it.
        saw["error"] = told(innermost(error))
    print(json.dumps(saw))
    return 1 if "error" in saw else 0


if __name__ == "__main__":
    sys.exit(main())
