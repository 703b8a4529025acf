// How things are said, as pure functions.

import assert from 'node:assert/strict';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

import { runnerImport } from 'vite';

/** @param {string} name */
async function load(name) {
  const { module } = await runnerImport(fileURLToPath(new URL(`../src/${name}.ts`, import.meta.url)), {
    configFile: false,
    logLevel: 'error',
  });
  return /** @type {any} */ (module);
}

const [time, lists, scopes, health, grants, connect, store, { news }, data, waiting] = await Promise.all(
  ['words/time', 'words/lists', 'words/scopes', 'words/health', 'words/grants', 'pages/connect', 'words/store', 'state/news', 'backend/demo-data', 'words/waiting'].map(load),
);

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const NOW = Date.UTC(2026, 6, 1, 12);

test('moments are said as people say them', () => {
  /** @param {number} ahead */
  const said = (ahead) => time.moment(NOW, NOW + ahead);
  assert.equal(said(0), 'just now');
  assert.equal(said(-89_000), 'just now');
  assert.equal(said(400), 'in 1 second');
  assert.equal(said(89_999), 'in 89 seconds');
  assert.equal(said(90_000), 'in 2 minutes');
  assert.equal(said(42 * MINUTE), 'in 42 minutes');
  assert.equal(said(2 * HOUR), 'in 2 hours');
  assert.equal(said(36 * HOUR), 'in 2 days');
  assert.equal(said(-3 * DAY), '3 days ago');
  assert.equal(said(-2 * MINUTE), '2 minutes ago');
});

test('a moment is said anew before it would be wrong by more than a rounding', () => {
  for (const ahead of [-DAY, -1, 1, 5_000, 89_000, 91_500, 3 * MINUTE, DAY]) {
    const wait = time.untilSaidAnew(NOW, NOW + ahead);
    assert.ok(wait >= 1000 && wait <= MINUTE, `${ahead}: ${wait}`);
    // Never sleeps past the point from which seconds are counted.
    if (ahead > 91_000) assert.ok(ahead - wait >= 90_000 - 1, `${ahead}: ${wait}`);
  }
});

test('the time of day brings its day along when that is another one', () => {
  assert.match(time.clockTime(NOW, NOW + MINUTE), /^\d?\d:\d\d/);
  assert.match(time.clockTime(NOW, NOW + 3 * DAY), /2026/);
});

test('things are counted and listed', () => {
  assert.equal(lists.count(1, 'agent'), '1 agent');
  assert.equal(lists.count(0, 'agent'), '0 agents');
  assert.equal(lists.count(2, 'request waits', 'requests wait'), '2 requests wait');
  assert.equal(lists.list([]), 'nothing');
  assert.equal(lists.list(['a']), 'a');
  assert.equal(lists.list(['a', 'b', 'c']), 'a, b and c');
});

test('sentences from elsewhere begin and end as sentences do', () => {
  assert.equal(lists.sentence('the provider answered 503'), 'The provider answered 503.');
  assert.equal(lists.sentence('Done!'), 'Done!');
  assert.equal(lists.sentence('  '), '');
});

test('a code is spelled for whoever hears it', () => {
  assert.equal(lists.spelled('BCDF-GHJK'), 'B, C, D, F, dash, G, H, J, K');
});

test('text from elsewhere cannot turn or hide what stands beside it', () => {
  assert.equal(lists.plain('a\u{202e}b\u{200b}c\n\td\u{7}'), 'a\u{FFFD}b\u{FFFD}c d\u{FFFD}');
});

test('what was granted is said in words, those of one kind together', () => {
  assert.deepEqual(scopes.grantedInWords(['workspace:1:rw', 'workspace:2:rw', 'workspace:3:r', 'org:*:r', 'user:*:rw']), [
    { what: 'Workspaces', ids: ['1', '2'], may: 'read and write' },
    { what: 'Workspace', ids: ['3'], may: 'read' },
    { what: 'Every organisation', ids: [], may: 'read' },
    { what: 'The whole account', ids: [], may: 'read and write' },
  ]);
  assert.deepEqual(scopes.grantedInWords(['share:7:rwa']), [{ what: 'Share', ids: ['7'], may: 'read, write and administer' }]);
});

test('what is not understood is shown as it came', () => {
  for (const scope of ['openid', 'workspace:1', 'workspace:1:x', 'planet:1:rw', 'a:b:c:d', 'constructor:1:rw', 'user:1:toString']) {
    assert.deepEqual(scopes.grantedInWords([scope]), [{ what: scope, ids: [], may: '' }], scope);
  }
});

test('what was asked goes by the titles of its offer', () => {
  const offer = data.FASTIO;
  assert.deepEqual(scopes.askedInWords('workspace', offer), ['Workspaces that you pick']);
  assert.deepEqual(scopes.askedInWords(' openid  email ', undefined), ['openid', 'email']);
  assert.deepEqual(scopes.askedInWords('', offer), []);
});

test('every health has a label and a shape of its own', () => {
  const snapshot = data.SCENES.errors(NOW);
  /** @type {any[]} */
  const words = snapshot.connections.map(health.healthInWords);
  assert.equal(new Set(words.map(({ shape }) => shape)).size, words.length);
  assert.equal(new Set(words.map(({ label }) => label)).size, words.length);
  assert.deepEqual(
    words.filter(({ next }) => next !== null).map(({ label, next }) => [label, next.says]),
    [
      ['Degraded', 'Next try'],
      ['Halted', 'Next try'],
      ['Refused', 'Next try'],
      ['Rate limited', 'Next call'],
    ],
  );
});

test('grants are said in words', () => {
  assert.equal(grants.doorsInWords(['proxy']), 'the proxy door');
  assert.equal(grants.doorsInWords(['token', 'proxy']), 'the proxy and token doors');
  assert.deepEqual(grants.limitsInWords(grants.NO_LIMITS), []);
  assert.deepEqual(
    grants.limitsInWords({
      read_only: true,
      path_prefixes: ['/a'],
      methods: ['GET'],
      tools: ['x', 'y'],
      ask_each_time: true,
      ask: ['POST /b/'],
      deny: ['* /c/', 'tool z'],
      may_manage_sign_in: true,
    }),
    [
      'reading only',
      'only below /a',
      'only GET',
      'only the tools x and y',
      'asking you each time',
      'asking you before POST /b/',
      'never * /c/ and tool z',
      'may make and manage keys and sessions',
    ],
  );
  assert.deepEqual(grants.lifetimeInWords('until_revoked'), { says: 'until you revoke it', at: null });
  assert.deepEqual(grants.lifetimeInWords({ until: 5 }), { says: 'ends', at: 5 });
  assert.match(grants.lifetimeInWords({ while_running: { pid: 12, started: 1 } }).says, /process 12/);
});

test('what agents ask is read as the broker reads it', () => {
  assert.deepEqual(grants.parseWanted(['fastio:token', 'work']), [
    { connection: 'fastio', door: 'token' },
    { connection: 'work', door: 'proxy' },
  ]);
  assert.deepEqual(grants.byConnection(grants.parseWanted(['a:proxy', 'b:token', 'a:token', 'a:proxy'])), [
    { connection: 'a', doors: ['proxy', 'token'] },
    { connection: 'b', doors: ['token'] },
  ]);
});

test('a typed list has each thing once', () => {
  assert.deepEqual(grants.typedList(' /a/ \n\n/b/, /a/'), ['/a/', '/b/']);
  assert.deepEqual(grants.typedList('  '), []);
  assert.deepEqual(grants.typedLines('GET,HEAD /a/ \n\ntool x(a=b, c=d)\nGET,HEAD /a/'), ['GET,HEAD /a/', 'tool x(a=b, c=d)']);
});

test('a call is said as what an agent does, and both kinds are counted, the longest waiting first', () => {
  assert.equal(waiting.doing('POST /workspace/'), 'call POST /workspace/');
  assert.equal(waiting.doing('storage'), 'use the tool storage');
  assert.equal(waiting.doing('get the /etc/passwd'), 'use the tool get the /etc/passwd');
  const all = waiting.waitingIn(data.SCENES.many(NOW));
  assert.deepEqual([all.length, all.at(-1).question !== undefined], [5, true]);
  assert.equal(waiting.waitingInWords(all), '3 requests wait, 2 calls wait');
  assert.equal(waiting.waitingInWords(waiting.waitingIn(data.SCENES.call(NOW))), '1 call waits');
});

test('names are taken as the core takes them', () => {
  for (const good of ['fastio', 'a', 'work-2', 'x.y_z', '9lives', 'a'.repeat(40)]) assert.ok(grants.isName(good), good);
  for (const bad of ['', '-a', '.', 'A', 'a b', 'a/b', 'é', 'a\n', 'a'.repeat(41)]) assert.ok(!grants.isName(bad), bad);
});

test('a second connection gets a name that is free', () => {
  const named = (/** @type {string[]} */ ...names) => names.map((name) => ({ name }));
  assert.equal(connect.freeName('fastio', []), 'fastio');
  assert.equal(connect.freeName('fastio', named('fastio', 'fastio-2')), 'fastio-3');
});

test('a new store stands in the way only when its key was refused', () => {
  const refused = { code: 'passphrase_required', detail: '', hint: '' };
  assert.ok(!store.isStoreClosed(data.status({ store: 'new' })));
  assert.ok(store.isStoreClosed(data.status({ store: 'new', locked_because: refused })));
  assert.ok(store.isStoreClosed(data.status({ store: 'locked' })));
  assert.ok(store.wantsPassphrase(data.status({ locked_because: refused })));
  assert.ok(!store.wantsPassphrase(data.status({ keys: 'keyring' })));
});

test('a change is told, a refresh that comes and goes is not', () => {
  const before = data.SCENES.one(NOW);
  const withHealth = (/** @type {any} */ health) => ({ ...before, connections: [{ ...before.connections[0], health }] });
  assert.deepEqual(news(before, before), []);
  assert.deepEqual(news(before, withHealth({ state: 'refreshing' })), []);
  assert.deepEqual(news(before, withHealth({ state: 'reconnect_required', why: 'x' })), ['fastio: Reconnect required.']);
  assert.deepEqual(news(before, data.SCENES.request(NOW)).slice(0, 2), ['My agent asks for approval.', 'work is there.']);
  assert.deepEqual(news(before, { ...before, connections: [] }), ['fastio is gone.']);
});
