// The server that stands behind Doorward's MCP door in the scenarios passes the official suite by itself, so that what
// fails through the door is the door's.

import { spawn, execFile } from 'node:child_process';
import { createInterface } from 'node:readline';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import assert from 'node:assert/strict';
import test from 'node:test';

const run = promisify(execFile);
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const LEAST = { '2025-11-25': 33, '2026-07-28': 40 };

async function server(...flags) {
  const child = spawn(process.execPath, [here('everything-server.mjs'), ...flags], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [line] = await once(createInterface(child.stdout), 'line');
  return { ...JSON.parse(line), end: () => child.stdin.end() };
}

async function conformance(...flags) {
  const { stdout } = await run(process.execPath, [here('conformance.mjs'), ...flags], { maxBuffer: 1 << 26 });
  return JSON.parse(stdout);
}

test('every scenario of both revisions passes, by the bearer alone', async (context) => {
  const { url, control, end } = await server('--bearer', 'sesame');
  context.after(end);
  const results = await conformance('--url', url, '--bearer', 'sesame');
  for (const [revision, scenarios] of Object.entries(results)) {
    const failed = Object.entries(scenarios).filter(([, { passed }]) => !passed);
    assert.deepEqual(failed, [], revision);
    assert.ok(Object.keys(scenarios).length >= LEAST[revision], `${Object.keys(scenarios).length} of ${revision}`);
  }
  const seen = await (await fetch(`${control}/seen`)).json();
  assert.deepEqual([seen.refused, seen.authorizations], [0, ['Bearer sesame']]);
});

test('an agent key is refused where any access token is good', async (context) => {
  const { url, end } = await server('--bearer', 'any');
  context.after(end);
  const status = async (authorization) => {
    const headers = { 'Content-Type': 'application/json', Accept: 'application/json, text/event-stream', ...authorization };
    const body = JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'initialize',
      params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
    });
    const answer = await fetch(url, { method: 'POST', headers, body });
    await answer.body?.cancel();
    return answer.status;
  };
  assert.equal(await status({ Authorization: 'Bearer an-access-token' }), 200);
  assert.equal(await status({ Authorization: 'Bearer dwk_0123' }), 401);
  assert.equal(await status({}), 401);
});

test('a server that refuses everything passes nothing', async (context) => {
  const { url, end } = await server('--bearer', 'sesame');
  context.after(end);
  const results = await conformance('--url', url, '--bearer', 'wrong', '--scenario', 'tools-list');
  for (const scenarios of Object.values(results)) assert.equal(scenarios['tools-list'].passed, false);
});
