#!/usr/bin/env node
// Runs every server scenario of the MCP conformance suite against a server, for each revision of the protocol.
//
//   node conformance.mjs --url URL [--bearer TOKEN] [--revision REVISION]... [--scenario NAME]
//
// Prints one line: {"REVISION":{"SCENARIO":{"passed":true,"checks":["CHECK_ID SUCCESS",…]},…},…}. What a check merely
// tells (INFO) is left out; a scenario that leaves no result, because the suite gave up, has no checks and has not passed.
// So two servers can be compared scenario by scenario. It ends with 0 whatever the results are, and with 1 if the suite
// could not be run.
//
// Two things the suite does not do by itself:
// - it sends no Authorization header: `bearer.mjs`, loaded into its process, adds one to what goes to that origin;
// - it runs on Node 22 and newer, and Debian's is older: the lock file brings one, which nothing else uses.

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';

const REVISIONS = ['2025-11-25', '2026-07-28'];
const PATIENCE_MS = 120_000;
const run = promisify(execFile);
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const SUITE = here('node_modules/@modelcontextprotocol/conformance/dist/index.js');

const { values: flags } = parseArgs({
  options: {
    url: { type: 'string' },
    bearer: { type: 'string' },
    revision: { type: 'string', multiple: true, default: REVISIONS },
    scenario: { type: 'string' },
  },
});

const results = {};
for (const revision of flags.revision) results[revision] = await results_of(revision);
console.log(JSON.stringify(results));

async function results_of(revision) {
  const folder = await mkdtemp(join(tmpdir(), 'conformance-'));
  try {
    const which = flags.scenario ? ['--scenario', flags.scenario] : ['--suite', 'all'];
    // It ends with 1 when a check fails: that is a result.
    const told = await suite('server', '--url', flags.url, ...which, '--spec-version', revision, '-o', folder).catch((error) => error);
    const found = await read(folder);
    if (Object.keys(found).length === 0) throw new Error(`the suite left no results:\n${told.stdout}${told.stderr}`);
    const scenarios = flags.scenario ? [flags.scenario] : await scenarios_of(revision);
    return Object.fromEntries(scenarios.map((name) => [name, judged(found[name])]));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** All that apply, whether or not a requirement set counts them; extensions belong to no revision. */
async function scenarios_of(revision) {
  const { stdout } = await suite('list', '--server', '--spec-version', revision);
  const names = [...stdout.matchAll(/^ +- (\S+) \[([^\]]+)\]/gm)].filter(([, , kinds]) => kinds !== 'extension');
  return names.map(([, name]) => name);
}

async function read(folder) {
  const found = {};
  for (const name of await readdir(folder)) {
    const [, scenario] = /^server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z$/.exec(name) ?? [];
    if (scenario) found[scenario] = JSON.parse(await readFile(join(folder, name, 'checks.json'), 'utf8'));
  }
  return found;
}

function judged(checks = []) {
  const counted = checks.filter(({ status }) => status !== 'INFO');
  const why = counted.filter(({ status }) => status !== 'SUCCESS').map(({ id, errorMessage }) => `${id}: ${errorMessage}`);
  return {
    passed: counted.length > 0 && why.length === 0,
    checks: counted.map(({ id, status }) => `${id} ${status}`),
    ...(why.length > 0 && { why }),
  };
}

function suite(...words) {
  const environment = { ...process.env };
  if (flags.bearer) {
    Object.assign(environment, { BEARER: flags.bearer, BEARER_FOR: new URL(flags.url).origin });
    words.unshift('--import', here('bearer.mjs'), SUITE);
  } else {
    words.unshift(SUITE);
  }
  return run(node(), words, { env: environment, timeout: PATIENCE_MS, maxBuffer: 1 << 26 });
}

function node() {
  const brought = here(`node_modules/node-linux-${process.arch}/bin/node`);
  if (existsSync(brought)) return brought;
  if (Number(process.versions.node.split('.')[0]) >= 22) return process.execPath;
  throw new Error('the suite needs Node 22 or newer, and node_modules has none (npm ci)');
}
