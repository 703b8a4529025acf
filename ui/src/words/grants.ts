// Doors, limits and lifetimes in words.

import type { Door, GrantView, Lifetime, LifetimeAsk, Policy } from '../backend/bindings.ts';
import { list, plain } from './lists.ts';

/** One thing an agent asks for. */
export interface Wanted {
  connection: string;
  door: Door;
}

export const NO_LIMITS: Policy = {
  read_only: false,
  path_prefixes: [],
  methods: [],
  tools: [],
  ask_each_time: false,
  ask: [],
  deny: [],
  may_manage_sign_in: false,
};

export const DOOR_TITLES: Record<Door, string> = { proxy: 'Proxy', token: 'Token' };

export const DOOR_EXPLAINED: Record<Door, string> = {
  proxy: 'Doorward makes each call for the agent. The agent never sees the access token, and limits hold.',
  token: 'The agent gets the access token itself. What it does with it cannot be limited, nor taken back before it ends.',
};

export const LIFETIMES: { word: LifetimeAsk; title: string }[] = [
  { word: 'until_revoked', title: 'Until you revoke it' },
  { word: 'hour', title: 'For an hour' },
  { word: 'today', title: 'Until the end of today' },
  { word: 'while_running', title: 'While the program runs' },
];

/** Reads `NAME:door`, the form in which agents ask. */
export function parseWanted(words: readonly string[]): Wanted[] {
  return words.map((word) => {
    const at = word.lastIndexOf(':');
    const door = at < 0 ? 'proxy' : word.slice(at + 1);
    return { connection: at < 0 ? word : word.slice(0, at), door: door === 'token' ? 'token' : 'proxy' };
  });
}

export function doorsInWords(doors: readonly Door[]): string {
  return doors.length === 1 ? `the ${doors[0]} door` : `the ${list([...doors].sort())} doors`;
}

/** What a policy says, one thing each; none where it says nothing. */
export function limitsInWords(policy: Policy): string[] {
  const limits: string[] = [];
  if (policy.read_only) limits.push('reading only');
  if (policy.path_prefixes.length > 0) limits.push(`only below ${list(policy.path_prefixes.map(plain))}`);
  if (policy.methods.length > 0) limits.push(`only ${list(policy.methods.map(plain))}`);
  if (policy.tools.length > 0) {
    const tools = policy.tools.length === 1 ? 'tool' : 'tools';
    limits.push(`only the ${tools} ${list(policy.tools.map(plain))}`);
  }
  if (policy.ask_each_time) limits.push('asking you each time');
  if (policy.ask.length > 0) limits.push(`asking you before ${list(policy.ask.map(plain))}`);
  if (policy.deny.length > 0) limits.push(`never ${list(policy.deny.map(plain))}`);
  if (policy.may_manage_sign_in) limits.push('may make and manage keys and sessions');
  return limits;
}

/** A lifetime, but for its moment, which changes as one looks at it. */
export function lifetimeInWords(lifetime: Lifetime): { says: string; at: number | null } {
  if (lifetime === 'until_revoked') return { says: 'until you revoke it', at: null };
  if ('until' in lifetime) return { says: 'ends', at: lifetime.until };
  return { says: `while process ${lifetime.while_running.pid} runs`, at: null };
}

/** What was asked, the doors of one connection together. */
export function byConnection(wanted: readonly Wanted[]): { connection: string; doors: Door[] }[] {
  const grouped: { connection: string; doors: Door[] }[] = [];
  for (const { connection, door } of wanted) {
    const known = grouped.find((group) => group.connection === connection);
    if (known === undefined) grouped.push({ connection, doors: [door] });
    else if (!known.doors.includes(door)) known.doors.push(door);
  }
  return grouped;
}

/** Whether an agent holds a door through which a token leaves Doorward. */
export function handsOutTokens(grants: readonly GrantView[], connection: string): boolean {
  return grants.some((grant) => grant.connection === connection && grant.doors.includes('token'));
}

/** Lines or words that a person typed as a list. */
export function typedList(text: string): string[] {
  const items = text.split(/[\n,]/).map((item) => item.trim());
  return [...new Set(items.filter((item) => item !== ''))];
}

/** Lines that a person typed as a list, where a comma may stand within one. */
export function typedLines(text: string): string[] {
  const lines = text.split('\n').map((line) => line.trim());
  return [...new Set(lines.filter((line) => line !== ''))];
}

/** A name for a connection or a tenant, as the core takes it. */
export function isName(text: string): boolean {
  return /^[a-z0-9][a-z0-9._-]{0,39}$/.test(text);
}
