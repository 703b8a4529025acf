// Plain data for the demo: one function for each scene, seen from a given moment.

import type {
  AgentView,
  ConnectionView,
  GrantView,
  Health,
  LockView,
  Policy,
  Problem,
  ProviderOffer,
  QuestionView,
  RequestView,
  Snapshot,
  Status,
} from './bindings.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const NO_COUNT = { succeeded: 0, failed: 0 };
const NO_LIMITS: Policy = {
  read_only: false,
  path_prefixes: [],
  methods: [],
  tools: [],
  ask_each_time: false,
  ask: [],
  deny: [],
  may_manage_sign_in: false,
};

export const FASTIO: ProviderOffer = {
  name: 'fastio',
  title: 'Fast.io',
  default_scope: 'workspace',
  scopes: [
    {
      word: 'workspace',
      title: 'Workspaces that you pick',
      explains: 'You choose the workspaces on the consent page, each for reading or for reading and writing.',
    },
    {
      word: 'org',
      title: 'Organisations that you pick',
      explains: 'Everything in the organisations you choose: their workspaces and shares too.',
    },
    { word: 'all_workspaces', title: 'Every workspace', explains: 'All workspaces you can open, and those you join later.' },
    { word: 'all_orgs', title: 'Every organisation', explains: 'All organisations, with their workspaces and shares.' },
    { word: 'all_shares', title: 'Every share', explains: 'All shares you are a member of.' },
    { word: 'all_sign_envelopes', title: 'Every signing envelope', explains: 'Documents that are out for signing.' },
    { word: 'user', title: 'The whole account', explains: 'Everything you can do yourself. Seldom needed.' },
  ],
};

export function status(changes: Partial<Status> = {}): Status {
  return {
    version: '0.1.0',
    pid: 4242,
    store: 'unlocked',
    keys: 'keyring',
    pin_set: false,
    url: 'http://127.0.0.1:13667',
    connections: 0,
    need_reconnect: 0,
    need_look: 0,
    halted: 0,
    agents: 0,
    requests: 0,
    questions: 0,
    revocations_owed: 0,
    tokens_unsaved: 0,
    locks: [],
    locked_because: null,
    ...changes,
  };
}

function snapshot(parts: Partial<Omit<Snapshot, 'status'>> & { status?: Partial<Status> } = {}): Snapshot {
  return counted({
    connections: parts.connections ?? [],
    agents: parts.agents ?? [],
    requests: parts.requests ?? [],
    questions: parts.questions ?? [],
    providers: parts.providers ?? [FASTIO],
    status: status(parts.status),
  });
}

/** The same snapshot, its status counting what is in it. */
export function counted(snapshot: Snapshot): Snapshot {
  const { connections, agents, requests, questions } = snapshot;
  return {
    ...snapshot,
    agents: agents.map((agent) => ({
      ...agent,
      holds: snapshot.status.locks.filter((lock) => lock.agent === agent.id),
    })),
    connections: connections.map((connection) => ({
      ...connection,
      agents: agents.filter((agent) => agent.grants.some((grant) => grant.connection === connection.name)).length,
    })),
    status: {
      ...snapshot.status,
      connections: connections.length,
      need_reconnect: connections.filter(({ health, name }) => health.state === 'reconnect_required' && name !== 'going').length,
      agents: agents.length,
      requests: requests.length,
      questions: questions.length,
    },
  };
}

export function connection(now: number, name: string, changes: Partial<ConnectionView> = {}): ConnectionView {
  return {
    id: `connection-${name}`,
    name,
    tenant: 'personal',
    provider: 'fastio',
    provider_title: 'Fast.io',
    issuer: 'https://api.fast.io',
    account: 'sam@example.com',
    asked: 'workspace',
    read_only: false,
    granted: ['workspace:4190267351234567890:rw'],
    granted_stated: true,
    health: { state: 'connected' },
    connected_at: now - 3 * DAY,
    access_expires_at: now + 42 * MINUTE + 20 * SECOND,
    proven_at: now - 4 * MINUTE,
    agents: 0,
    health_since: now - 3 * DAY,
    next_refresh: now + 37 * MINUTE,
    last_error: null,
    rates: { five_minutes: NO_COUNT, hour: { succeeded: 1, failed: 0 }, day: { succeeded: 26, failed: 0 } },
    ...changes,
  };
}

export function grant(name: string, changes: Partial<GrantView> = {}): GrantView {
  return {
    id: `grant-${name}`,
    connection: name,
    doors: ['proxy'],
    policy: NO_LIMITS,
    lifetime: 'until_revoked',
    answers: [],
    ...changes,
  };
}

export function agent(now: number, name: string, changes: Partial<AgentView> = {}): AgentView {
  return {
    id: agentId(name),
    name,
    tenant: 'personal',
    paused: false,
    grants: [grant('fastio')],
    metrics: false,
    keys: 1,
    last_used_at: now - 3 * MINUTE,
    created_at: now - 2 * DAY,
    holds: [],
    ...changes,
  };
}

export function lock(now: number, agentName: string, node: string, changes: Partial<LockView> = {}): LockView {
  return {
    id: `lock-${node}`,
    agent: agentId(agentName),
    agent_name: agentName,
    connection: 'fastio',
    path: `/workspace/4190267351234567890/storage/${node}/lock/`,
    since: now - 4 * MINUTE,
    until: now + 6 * MINUTE,
    returning: null,
    last_error: null,
    ...changes,
  };
}

function agentId(name: string): string {
  return `agent-${name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')}`;
}

export function request(now: number, name: string, code: string, changes: Partial<RequestView> = {}): RequestView {
  return {
    id: `request-${code.toLowerCase()}`,
    name,
    code,
    wanted: ['fastio:proxy'],
    program: {
      id: { pid: 31337, started: 8811223 },
      uid: 1000,
      executable: '/usr/bin/python3.13',
      script: '/home/sam/agents/tidy.py',
      folder: '/home/sam/agents',
      parent: '/usr/bin/bash',
    },
    created_at: now - 20 * SECOND,
    expires_at: now + 9 * MINUTE + 40 * SECOND,
    ...changes,
  };
}

export function question(now: number, agent: string, code: string, changes: Partial<QuestionView> = {}): QuestionView {
  return {
    id: `question-${code.toLowerCase()}`,
    code,
    agent,
    connection: 'fastio',
    what: 'storage',
    arguments: JSON.stringify({ action: 'delete', profile_type: 'workspace', profile_id: '4190267351234567890', node_id: '2b7qz' }, null, 2),
    unshown: 0,
    program: null,
    created_at: now - 8 * SECOND,
    expires_at: now + 9 * MINUTE + 52 * SECOND,
    ...changes,
  };
}

const LONG = 'An agent with a name as long as a name may be, and not a bit more';

function many(now: number): Snapshot {
  const limited: Policy = {
    ...NO_LIMITS,
    read_only: true,
    path_prefixes: ['/workspace/4190267351234567890/storage/', '/workspace/9081726354/'],
    tools: ['workspace', 'storage'],
  };
  return snapshot({
    connections: [
      connection(now, 'fastio'),
      connection(now, 'a-name-as-long-as-a-name-may-be-40-chars', {
        account: 'a.person.with.quite.a.long.address@subsidiary.of.a.company.example.com',
        tenant: 'a-customer-with-a-long-name',
        granted: Array.from({ length: 14 }, (_, nth) => `workspace:41902673512345${67890 + nth}:${nth < 9 ? 'rw' : 'r'}`),
        access_expires_at: now + 50 * SECOND,
      }),
      connection(now, 'work-reading', {
        tenant: 'work',
        account: 'sam@work.example',
        read_only: true,
        granted: ['org:88123:r'],
        health: { state: 'refreshing' },
      }),
      connection(now, 'whole', { asked: 'user', granted: ['user:*:rw', 'userdetails:*:rw'] }),
      connection(now, 'notes', {
        provider: 'login.example.org',
        provider_title: 'login.example.org',
        issuer: 'https://login.example.org',
        asked: 'openid notes.read offline_access',
        granted: [],
        granted_stated: false,
        account: null,
        access_expires_at: null,
        health: { state: 'unproven' },
        proven_at: null,
      }),
    ],
    agents: [
      agent(now, 'Tidy', {
        grants: [
          grant('fastio', {
            policy: {
              ...NO_LIMITS,
              ask_each_time: true,
              ask: ['POST /workspace/', 'tool storage(action=delete|move)'],
              deny: ['* /org/'],
              may_manage_sign_in: true,
            },
            answers: [
              { id: 'answer-1', what: 'storage', says: 'allow', created_at: now - 5 * MINUTE },
              { id: 'answer-2', what: `DELETE /workspace/4190267351234567890/${'deep/'.repeat(12)}`, says: 'deny', created_at: now - 2 * DAY },
            ],
          }),
        ],
      }),
      agent(now, LONG, {
        tenant: 'a-customer-with-a-long-name',
        grants: [grant('a-name-as-long-as-a-name-may-be-40-chars', { policy: limited, lifetime: { until: now + 50 * MINUTE } })],
      }),
      agent(now, 'Indexer', {
        tenant: 'work',
        grants: [grant('work-reading', { lifetime: { while_running: { pid: 991, started: 12 } } })],
        last_used_at: null,
      }),
      agent(now, 'Script of last week', { grants: [grant('fastio', { doors: ['proxy', 'token'] })], last_used_at: now - 6 * DAY, keys: 2 }),
      agent(now, 'Backup', { grants: [grant('whole', { doors: ['token'] })], paused: true }),
      agent(now, 'Left over', { grants: [], keys: 0, last_used_at: now - 40 * DAY }),
      ...Array.from({ length: 6 }, (_, nth) => agent(now, `Worker ${nth + 1}`, { last_used_at: now - (nth + 1) * HOUR })),
    ],
    requests: [
      request(now, 'Tidy helper', 'BCDF-GHJK'),
      request(now, LONG, 'QRST-VWXZ', {
        wanted: ['fastio:token', 'work-reading:proxy', 'whole:proxy'],
        expires_at: now + 55 * SECOND,
        program: {
          id: { pid: 7, started: 1 },
          uid: 1000,
          executable: '/home/sam/.local/share/a/very/long/path/that/does/not/end/for/a/while/bin/agent-runner-nightly',
          script: null,
          folder: '/home/sam/Projects/2026/a customer with spaces/checkout/packages/agents/nightly',
          parent: null,
        },
      }),
      request(now, 'unnamed agent', 'ZXWV-TSRQ', { program: null, wanted: ['elsewhere:proxy'] }),
    ],
    status: {
      locks: [
        lock(now, 'Tidy', '2yxh5-ojakx-r3mwz-ty6tv-k66cj-nqsw'),
        lock(now, 'Tidy', 'a-node-whose-end-is-not-known', { until: null }),
        lock(now, 'Left for lunch', '9f0c1-an-agent-that-was-revoked', {
          returning: 'the agent was revoked',
          last_error: 'HTTP 503',
        }),
        lock(now, LONG, 'another-node', { connection: 'a-name-as-long-as-a-name-may-be-40-chars' }),
      ],
    },
    questions: [question(now, 'Tidy', 'HJKL-MNPQ'), longCall(now)],
  });
}

/** A body that is longer than a window, with letters that want to be markup. */
function longCall(now: number): QuestionView {
  const lines = Array.from({ length: 160 }, (_, nth) => `  "line-${nth + 1}": "<b>${'long words '.repeat(nth % 9)}</b>",`);
  return question(now, LONG, 'LMNP-QRST', {
    connection: 'a-name-as-long-as-a-name-may-be-40-chars',
    what: `POST /workspace/4190267351234567890/storage/${'a-folder-in-a-folder/'.repeat(6)}create/?name=Report%20of%20the%20year`,
    arguments: `{\n${lines.join('\n')}\n  "unbroken": "${'x'.repeat(400)}"\n}`,
    unshown: 5120,
    program: request(now, '', '').program,
    expires_at: now + 55 * SECOND,
  });
}

const HEALTHS: [string, Health['state'], (now: number) => Health][] = [
  ['good', 'connected', () => ({ state: 'connected' })],
  ['renewing', 'refreshing', () => ({ state: 'refreshing' })],
  ['shaky', 'degraded', (now) => ({ state: 'degraded', last_error: 'the provider answered 503', next_try: now + 20 * SECOND, halted: false })],
  ['halted', 'degraded', (now) => ({ state: 'degraded', last_error: 'no connection to api.fast.io', next_try: now + 45 * SECOND, halted: true })],
  ['secret', 'client_rejected', () => ({ state: 'client_rejected', last_error: 'HTTP 401, error invalid_client', next_try: null })],
  ['scope', 'misconfigured', (now) => ({ state: 'misconfigured', last_error: 'HTTP 400, error invalid_scope', next_try: now + 4 * MINUTE })],
  ['busy', 'rate_limited', (now) => ({ state: 'rate_limited', until: now + 3 * MINUTE + 10 * SECOND })],
  ['over', 'reconnect_required', () => ({ state: 'reconnect_required', why: 'the provider refused to renew it (invalid_grant)' })],
  ['going', 'reconnect_required', () => ({ state: 'reconnect_required', why: 'it is being disconnected' })],
  ['restored', 'unproven', () => ({ state: 'unproven' })],
  ['resting', 'paused', () => ({ state: 'paused' })],
];

function healths(now: number): Snapshot {
  return snapshot({
    connections: HEALTHS.map(([name, , health]) => {
      const hasEnded = name === 'over' || name === 'going';
      return connection(now, name, { health: health(now), access_expires_at: hasEnded ? null : now + 10 * MINUTE });
    }),
    agents: [agent(now, 'Tidy', { grants: HEALTHS.map(([name]) => grant(name)) })],
    status: { revocations_owed: 1, url: null },
  });
}

const locked = (changes: Partial<Status>) =>
  snapshot({
    status: {
      store: 'locked',
      pin_set: null,
      locked_because: {
        code: 'store_locked',
        detail: 'The OS keyring is locked.',
        hint: 'Unlock your keyring, for example by signing in to your desktop, then try again.',
      },
      ...changes,
    },
  });

/** What a scene is: a snapshot, or the problem that keeps it from being had. */
export const SCENES: Record<string, (now: number) => Snapshot | Problem> = {
  empty: () => snapshot(),
  connected: (now) => snapshot({ connections: [connection(now, 'fastio')] }),
  asked: (now) => snapshot({ connections: [connection(now, 'fastio')], requests: [request(now, 'My agent', 'BCDF-GHJK')] }),
  one: (now) => snapshot({ connections: [connection(now, 'fastio')], agents: [agent(now, 'My agent')] }),
  request: (now) =>
    snapshot({
      connections: [connection(now, 'fastio'), connection(now, 'work', { tenant: 'work' })],
      agents: [agent(now, 'Tidy')],
      requests: [request(now, 'My agent', 'BCDF-GHJK', { wanted: ['fastio:proxy', 'fastio:token'] })],
    }),
  token: (now) =>
    snapshot({
      connections: [connection(now, 'fastio')],
      agents: [agent(now, 'Tidy')],
      requests: [request(now, 'My agent', 'BCDF-GHJK', { wanted: ['fastio:token'] })],
    }),
  unknown: (now) =>
    snapshot({
      connections: [connection(now, 'fastio')],
      agents: [agent(now, 'Tidy')],
      requests: [request(now, 'unnamed agent', 'ZXWV-TSRQ', { program: null, wanted: ['elsewhere:proxy'] })],
    }),
  ending: (now) =>
    snapshot({
      connections: [connection(now, 'fastio')],
      agents: [agent(now, 'Tidy')],
      requests: [request(now, 'My agent', 'BCDF-GHJK', { expires_at: now + 3 * SECOND })],
    }),
  call: (now) =>
    snapshot({
      connections: [connection(now, 'fastio')],
      agents: [agent(now, 'Tidy')],
      questions: [question(now, 'Tidy', 'HJKL-MNPQ')],
    }),
  'long-call': (now) => snapshot({ connections: [connection(now, 'fastio')], agents: [agent(now, LONG)], questions: [longCall(now)] }),
  many,
  errors: healths,
  paused: (now) =>
    snapshot({
      connections: [connection(now, 'fastio')],
      agents: [agent(now, 'My agent', { paused: true }), agent(now, 'Tidy', { paused: true })],
    }),
  locked: () => locked({}),
  passphrase: () =>
    locked({
      keys: 'passphrase',
      locked_because: {
        code: 'passphrase_required',
        detail: "The store's key comes from your passphrase.",
        hint: 'Type the passphrase you chose.',
      },
    }),
  new: () =>
    locked({
      store: 'new',
      keys: 'passphrase',
      locked_because: {
        code: 'passphrase_required',
        detail: 'There is no OS keyring here, so a passphrase keeps the store.',
        hint: 'Choose a passphrase.',
      },
    }),
  held: () => ({
    code: 'folder_held',
    message: 'Another Doorward (`doorward serve`, process 4711) holds the data folder.',
    hint: 'Take over, or go on with the other one and close this window.',
  }),
  broken: () => ({
    code: 'store_failed',
    message: 'The store cannot be opened: the disk is full.',
    hint: 'Nothing was lost. Make room on the disk, then try again.',
  }),
};
