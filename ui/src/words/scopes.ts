// What was granted, in words. Fast.io grants `entity:id:mode`; whatever is not of that form is shown as it came.

import type { ConnectionView, ProviderOffer } from '../backend/bindings.ts';
import { plain } from './lists.ts';

/** One line of what was granted: what, which of it, and what may be done with it. */
export interface GrantedLine {
  what: string;
  ids: string[];
  may: string;
}

interface Entity {
  one: string;
  many: string;
  all: string;
}

// Maps, not objects: a scope is another's text, and `constructor` is a property of every object.
const ENTITIES = new Map<string, Entity>(Object.entries({
  user: { one: 'The whole account', many: 'The whole account', all: 'The whole account' },
  userdetails: {
    one: 'Password, e-mail and sign-in settings',
    many: 'Password, e-mail and sign-in settings',
    all: 'Password, e-mail and sign-in settings',
  },
  org: { one: 'Organisation', many: 'Organisations', all: 'Every organisation' },
  workspace: { one: 'Workspace', many: 'Workspaces', all: 'Every workspace' },
  share: { one: 'Share', many: 'Shares', all: 'Every share' },
  sign_envelope: { one: 'Signing envelope', many: 'Signing envelopes', all: 'Every signing envelope' },
}));

const MODES = new Map<string, string>(Object.entries({
  r: 'read',
  rw: 'read and write',
  rwa: 'read, write and administer',
}));

/** The granted scopes, those of one kind together. */
export function grantedInWords(scopes: readonly string[]): GrantedLine[] {
  const groups = new Map<string, { names: Entity; may: string; ids: string[] }>();
  const others: GrantedLine[] = [];
  for (const scope of scopes) {
    const [entity = '', id = '', mode = '', ...rest] = scope.split(':');
    const names = ENTITIES.get(entity);
    const may = MODES.get(mode);
    if (names === undefined || may === undefined || id === '' || rest.length > 0) {
      others.push({ what: plain(scope), ids: [], may: '' });
      continue;
    }
    const key = `${entity} ${mode} ${id === '*'}`;
    const group = groups.get(key) ?? { names, may, ids: [] };
    if (id !== '*') group.ids.push(plain(id));
    groups.set(key, group);
  }
  const known = [...groups.values()].map(({ names, may, ids }) => {
    const what = ids.length === 0 ? names.all : ids.length === 1 ? names.one : names.many;
    return { what, ids, may };
  });
  return [...known, ...others];
}

/** What was asked: the titles its provider's scopes go by, or the words themselves. */
export function askedInWords(scope: string, offer: ProviderOffer | undefined): string[] {
  const words = scope.split(/\s+/).filter((word) => word !== '');
  return words.map((word) => offer?.scopes.find((known) => known.word === word)?.title ?? plain(word));
}

/** What a connection holds, whether or not the provider said so (RFC 6749 §5.1: silence grants what was asked). */
export function holdsStated(connection: ConnectionView): boolean {
  return connection.granted_stated && connection.granted.length > 0;
}
