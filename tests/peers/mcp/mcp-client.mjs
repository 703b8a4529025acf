#!/usr/bin/env node
// An agent made with the MCP TypeScript SDK: does at a server what its flags say, and prints one line of what it saw.
//
//   node mcp-client.mjs (--url URL [--bearer TOKEN] [--transport http|sse] | -- COMMAND…)
//     [--revision legacy|auto|2026-07-28] [--name CLIENT_NAME] [--list] [--pages] [--call-all]
//     [--call 'NAME {"argument":"value"}']... [--progress NAME] [--cancel NAME] [--read URI]... [--answer 'TEXT']
//
// A COMMAND is a server that speaks over its standard streams: a bridge of ours or of others.
//
// The line: {"server","protocol","tools":[NAME,…],"resources":[URI,…],"prompts":[NAME,…],"pages":N,
// "calls":[{"name","failed","text"}],"progress":[…],"cancelled":true,"read":{URI:TEXT},"asked":[METHOD,…]}, each member
// only where its flag asks for it. --list lists tools, resources and prompts, whole; --pages counts the pages of tools;
// --call-all calls every listed tool with the arguments its schema requires, made up; --answer answers elicitations.
// An error that ends it: {"error":{"code","message"}} and status 1.

import { Client, SSEClientTransport, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { parseArgs } from 'node:util';

const { values: flags, positionals: program } = parseArgs({
  allowPositionals: true,
  options: {
    url: { type: 'string' },
    bearer: { type: 'string' },
    transport: { type: 'string', default: 'http' },
    revision: { type: 'string', default: 'legacy' },
    name: { type: 'string', default: 'doorward-test-client' },
    list: { type: 'boolean', default: false },
    pages: { type: 'boolean', default: false },
    'call-all': { type: 'boolean', default: false },
    call: { type: 'string', multiple: true, default: [] },
    progress: { type: 'string' },
    cancel: { type: 'string' },
    read: { type: 'string', multiple: true, default: [] },
    answer: { type: 'string' },
  },
});
const saw = {};

function transport() {
  if (program.length > 0) {
    const [command, ...args] = program;
    return new StdioClientTransport({ command, args, env: process.env, stderr: 'inherit' });
  }
  const headers = flags.bearer ? { Authorization: `Bearer ${flags.bearer}` } : {};
  const Transport = flags.transport === 'sse' ? SSEClientTransport : StreamableHTTPClientTransport;
  return new Transport(new URL(flags.url), { requestInit: { headers } });
}

async function run() {
  const mode = /^\d/.test(flags.revision) ? { pin: flags.revision } : flags.revision;
  const capabilities = flags.answer === undefined ? {} : { elicitation: {}, sampling: {}, roots: {} };
  const client = new Client({ name: flags.name, version: '1.0.0' }, { capabilities, versionNegotiation: { mode } });
  if (flags.answer !== undefined) answerQuestions(client);
  await client.connect(transport());
  saw.server = client.getServerVersion()?.name;
  saw.protocol = client.getNegotiatedProtocolVersion();
  if (flags.list) await list(client);
  if (flags.pages) saw.pages = await pages(client);
  if (flags['call-all'] || flags.call.length > 0) saw.calls = await call(client);
  if (flags.progress) saw.progress = await progress(client, flags.progress);
  if (flags.cancel) saw.cancelled = await cancel(client, flags.cancel);
  if (flags.read.length > 0) saw.read = await read(client);
  await client.close();
}

function answerQuestions(client) {
  saw.asked = [];
  client.setRequestHandler('elicitation/create', () => {
    saw.asked.push('elicitation/create');
    const content = Object.fromEntries(['name', 'username', 'email', 'color'].map((field) => [field, flags.answer]));
    return { action: 'accept', content };
  });
  client.setRequestHandler('sampling/createMessage', () => {
    saw.asked.push('sampling/createMessage');
    return { role: 'assistant', model: 'none', content: { type: 'text', text: flags.answer } };
  });
  client.setRequestHandler('roots/list', () => {
    saw.asked.push('roots/list');
    return { roots: [{ uri: `file:///${flags.answer}` }] };
  });
}

async function list(client) {
  saw.tools = (await client.listTools()).tools.map(({ name }) => name);
  saw.resources = (await client.listResources()).resources.map(({ uri }) => uri);
  saw.prompts = (await client.listPrompts()).prompts.map(({ name }) => name);
}

async function pages(client) {
  let cursor;
  let count = 0;
  const seen = new Set();
  do {
    const page = await client.request({ method: 'tools/list', params: cursor === undefined ? {} : { cursor } });
    if (page.tools.some(({ name }) => seen.has(name))) throw new Error('a tool stands on two pages');
    for (const { name } of page.tools) seen.add(name);
    cursor = page.nextCursor;
    count += 1;
  } while (cursor !== undefined);
  return count;
}

async function call(client) {
  const asked = flags.call.map((text) => {
    const [, name, given] = /^(\S+)\s*(.*)$/s.exec(text);
    return { name, arguments: given === '' ? {} : JSON.parse(given) };
  });
  if (flags['call-all']) {
    const { tools } = await client.listTools();
    // What is there to be cancelled does not end by itself.
    for (const { name, inputSchema } of tools.filter((tool) => tool.name !== flags.cancel)) asked.push({ name, arguments: madeUp(inputSchema) });
  }
  const calls = [];
  for (const params of asked) {
    try {
      const { content = [], isError = false } = await client.callTool(params);
      const text = content.map((part) => part.text ?? `<${part.type}>`).join('\n');
      calls.push({ name: params.name, failed: isError, text });
    } catch (error) {
      calls.push({ name: params.name, error: told(error) });
    }
  }
  return calls;
}

/** The least that a schema asks for. */
function madeUp({ properties = {}, required = [] }) {
  const value = ({ type, enum: choices, const: only }) => {
    if (only !== undefined) return only;
    if (choices) return choices[0];
    return { string: 'x', integer: 1, number: 1, boolean: true, array: [], object: {} }[type] ?? 'x';
  };
  return Object.fromEntries(required.map((name) => [name, value(properties[name] ?? {})]));
}

async function progress(client, name) {
  const steps = [];
  const onprogress = ({ progress: step, total }) => void steps.push(`${step}/${total}`);
  await client.callTool({ name, arguments: {} }, { onprogress });
  return steps;
}

async function cancel(client, name) {
  const controller = new AbortController();
  const called = client.callTool({ name, arguments: {} }, { signal: controller.signal });
  // Long enough for the call to be under way; what is cancelled before it is sent shows nothing.
  setTimeout(() => controller.abort(), 300);
  try {
    await called;
    return false;
  } catch (error) {
    if (!controller.signal.aborted) throw error;
    // The connection is still good.
    await client.listTools();
    return true;
  }
}

async function read(client) {
  const contents = {};
  for (const uri of flags.read) {
    const found = await client.readResource({ uri });
    contents[uri] = found.contents.map(({ text, blob }) => text ?? blob).join('\n');
  }
  return contents;
}

function told(error) {
  const { code, message, data } = error;
  return { code: code ?? error.name, message, ...(data !== undefined && { data }) };
}

try {
  await run();
  console.log(JSON.stringify(saw));
  // A stream that the server holds open is no reason to stay.
  process.exit(0);
} catch (error) {
  console.log(JSON.stringify({ ...saw, error: told(error) }));
  process.exit(1);
}
