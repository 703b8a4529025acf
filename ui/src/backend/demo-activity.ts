// The audit log of the demo, as the program would say it.

import type { ActivityAsk, ActivityPage, AgentView, AuditRowView, AuditTopic } from './bindings.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

type Line = [ago: number, kind: string, says: string, agent?: string | undefined, connection?: string];

const SOME: Line[] = [
  [2 * MINUTE, 'agent.used', 'My agent called `tool storage(action=list)` 14 times through fastio.', 'My agent', 'fastio'],
  [2 * MINUTE, 'agent.used', 'My agent called `tool storage(action=delete)` twice through fastio, refused.', 'My agent', 'fastio'],
  [2 * MINUTE, 'agent.refused', 'My agent was refused twice: `policy_denied`.', 'My agent'],
  [9 * MINUTE, 'lock.given_back', 'Doorward gave back the lock of Left for lunch on `workspace/12/storage/9f0c1/lock/`: the agent was revoked.', 'Left for lunch', 'fastio'],
  [10 * MINUTE, 'agent.revoked', 'You revoked Left for lunch.', 'Left for lunch'],
  [38 * MINUTE, 'connection.refreshed', 'The access token of fastio was renewed.', undefined, 'fastio'],
  [3 * HOUR, 'key.issued', 'My agent fetched its agent key.', 'My agent'],
  [3 * HOUR, 'pairing.approved', 'You let My agent in: `fastio:proxy`.', 'My agent'],
  [3 * HOUR, 'pairing.asked', 'My agent asked for `fastio:proxy`.'],
  [4 * HOUR, 'connection.connected', 'You connected fastio at `fastio`.', undefined, 'fastio'],
  [4 * HOUR, 'store.created', 'The store was made.'],
];

const LONG =
  'An agent with a name as long as a name may be, and not a bit more called `POST /current/workspace/4190267351234567890/storage/2yxh5-ojakx-r3mwz-ty6tv-k66cj-nqsw/a-path-that-does-not-end-for-a-while/and-goes-on/upload/` 1804 times through a-name-as-long-as-a-name-may-be-40-chars, without an answer: whether it was carried out is not known.';

function manyLines(): Line[] {
  const calls = Array.from({ length: 120 }, (_, nth): Line => {
    const path = `/workspace/4190267351234567890/storage/node-${nth}/`;
    return [(nth + 3) * 7 * MINUTE, 'agent.used', `Tidy called \`GET ${path}\` ${nth + 2} times through fastio.`, 'Tidy', 'fastio'];
  });
  const others: Line[] = [
    [MINUTE, 'agent.used', LONG, 'Indexer', 'a-name-as-long-as-a-name-may-be-40-chars'],
    [2 * MINUTE, 'agent.used', 'Tidy made other calls 300 times through fastio, 7 without success.', 'Tidy', 'fastio'],
    [3 * MINUTE, 'later.invented', '`later.invented`'],
  ];
  return [...others, ...calls];
}

/** The log of a scene, the newest row first. */
export function activity(now: number, scene: string): AuditRowView[] {
  const lines = scene === 'empty' ? [] : scene === 'many' ? manyLines() : SOME;
  return lines.map(([ago, kind, says, agent, connection], nth) => ({
    row: lines.length - nth,
    at: now - ago,
    kind,
    tenant: 'personal',
    connection: connection ?? null,
    agent: agent ?? null,
    detail: {},
    says,
  }));
}

const TOPICS: Record<string, AuditTopic> = {
  'agent.used': 'uses',
  'agent.refused': 'refusals',
  'pairing.asked': 'access',
  'pairing.approved': 'access',
  'key.issued': 'access',
  'agent.revoked': 'access',
  'connection.connected': 'connections',
  'connection.refreshed': 'connections',
  'lock.given_back': 'locks',
  'store.created': 'store',
};

/** What the program answers to a question about the log. */
export function activityPage(log: AuditRowView[], ask: ActivityAsk, agents: AgentView[]): ActivityPage {
  const name = agents.find(({ id }) => id === ask.agent)?.name;
  const found = log.filter(
    (row) =>
      (ask.agent === null || row.agent === name) &&
      (ask.connection === null || row.connection === ask.connection) &&
      (ask.topic === null || TOPICS[row.kind] === ask.topic) &&
      (ask.before === null || row.row < ask.before),
  );
  return { rows: found.slice(0, ask.limit), has_more: found.length > ask.limit };
}
