#!/usr/bin/env node
// The server that the MCP conformance suite expects and does not bring: made with the MCP TypeScript SDK, which serves
// 2026-07-28 and the revisions before it at one address.
//
//   node everything-server.mjs [--port N] [--bearer TOKEN | --bearer any]
//
// When it answers it prints one line, {"url":"http://127.0.0.1:PORT/mcp","control":"http://127.0.0.1:PORT"}. It ends on
// SIGTERM or SIGINT, and when its standard input ends (`--keep` turns that off, for trying it by hand).
//
// With --bearer it answers 401 to whoever does not show that token in Authorization; `any` means any access token, but
// never an agent key of Doorward's: it stands behind Doorward's door then, where only access tokens may come.
//
// The control port, a listener of its own:
//   GET /seen   {"requests":N,"refused":N,"authorizations":["Bearer …",…],"hosts":[…],"origins":[…]}: each distinct value
//               that any request brought, let in or not

import { createServer } from 'node:http';
import { once } from 'node:events';
import { randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import { createMcpHandler, isInitializeRequest, isLegacyRequest } from '@modelcontextprotocol/server';
import {
  NodeStreamableHTTPServerTransport,
  localhostHostValidation,
  localhostOriginValidation,
  toNodeHandler,
  toWebRequest,
} from '@modelcontextprotocol/node';
import { everything } from './everything.mjs';

const HOST = '127.0.0.1';
const AGENT_KEY = /^Bearer dwk_/i;

const { values: flags } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    bearer: { type: 'string' },
    keep: { type: 'boolean', default: false },
  },
});

// The revisions before 2026-07-28: one server for each session, and what it has sent, for whoever comes back for it.
const sessions = new Map();
const changed = {
  tools() {
    modern.notify.toolsChanged();
    for (const { server } of sessions.values()) server.sendToolListChanged();
  },
  prompts() {
    modern.notify.promptsChanged();
    for (const { server } of sessions.values()) server.sendPromptListChanged();
  },
};
const modern = createMcpHandler(() => everything(changed), { legacy: 'reject' });
const serveModern = toNodeHandler(modern);

class Sent {
  #events = [];
  async storeEvent(stream, message) {
    this.#events.push({ stream, message });
    return String(this.#events.length);
  }
  async getStreamIdForEventId(id) {
    return this.#events[Number(id) - 1]?.stream;
  }
  async replayEventsAfter(id, { send }) {
    const stream = await this.getStreamIdForEventId(id);
    for (const [index, event] of this.#events.entries()) {
      // The first event of a stream is empty: it is there to come back to.
      if (index >= Number(id) && event.stream === stream && event.message.jsonrpc) await send(String(index + 1), event.message);
    }
    return stream;
  }
}

async function open() {
  const transport = new NodeStreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    eventStore: new Sent(),
    retryInterval: 200,
    onsessioninitialized: (id) => void sessions.set(id, { server, transport }),
    onsessionclosed: (id) => void sessions.delete(id),
  });
  const server = everything(changed);
  await server.connect(transport);
  return transport;
}

async function serveLegacy(request, response, body) {
  const id = request.headers['mcp-session-id'];
  const known = id && sessions.get(id)?.transport;
  if (known) return known.handleRequest(request, response, body);
  if (!id && isInitializeRequest(body)) return (await open()).handleRequest(request, response, body);
  const [status, message] = id ? [404, 'Session not found'] : [400, 'Bad Request: no session'];
  return json(response, status, { jsonrpc: '2.0', error: { code: -32000, message }, id: null });
}

const seen = { requests: 0, refused: 0, authorizations: new Set(), hosts: new Set(), origins: new Set() };

function isLetIn(request) {
  const { authorization, host, origin } = request.headers;
  seen.requests += 1;
  if (authorization) seen.authorizations.add(authorization);
  if (host) seen.hosts.add(host);
  if (origin) seen.origins.add(origin);
  if (flags.bearer === undefined) return true;
  if (flags.bearer === 'any') return /^Bearer ./i.test(authorization ?? '') && !AGENT_KEY.test(authorization);
  return authorization === `Bearer ${flags.bearer}`;
}

const isHostGood = localhostHostValidation();
const isOriginGood = localhostOriginValidation();

async function answer(request, response) {
  if (!isLetIn(request)) {
    seen.refused += 1;
    response.setHeader('WWW-Authenticate', 'Bearer error="invalid_token"');
    return json(response, 401, { error: 'invalid_token' });
  }
  if (!isHostGood(request, response) || !isOriginGood(request, response)) return undefined;
  if (new URL(request.url, `http://${HOST}`).pathname !== '/mcp') return json(response, 404, { error: 'not_found' });
  const text = await whole(request);
  // A parsed body of none is no body; one that is no JSON is for the SDK to refuse.
  let body;
  try {
    body = text === '' ? undefined : JSON.parse(text);
  } catch {
    return json(response, 400, { jsonrpc: '2.0', error: { code: -32700, message: 'Parse error' }, id: null });
  }
  const isLegacy = await isLegacyRequest(await toWebRequest(request, body ?? null));
  return isLegacy ? serveLegacy(request, response, body) : serveModern(request, response, body);
}

async function whole(request) {
  let all = '';
  for await (const part of request.setEncoding('utf8')) all += part;
  return all;
}

function json(response, status, value) {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(value));
}

async function listening(answers, port) {
  const listener = createServer((request, response) => {
    Promise.resolve(answers(request, response)).catch((error) => {
      console.error(error);
      if (!response.headersSent) json(response, 500, { error: String(error) });
    });
  });
  listener.listen(port, HOST);
  await once(listener, 'listening');
  return `http://${HOST}:${listener.address().port}`;
}

const control = await listening((_request, response) => {
  const lists = Object.entries(seen).map(([name, value]) => [name, value instanceof Set ? [...value] : value]);
  json(response, 200, Object.fromEntries(lists));
}, 0);
const origin = await listening(answer, Number(flags.port));

const end = () => process.exit(0);
process.on('SIGTERM', end);
process.on('SIGINT', end);
if (!flags.keep) process.stdin.on('end', end).resume();

console.log(JSON.stringify({ url: `${origin}/mcp`, control }));
