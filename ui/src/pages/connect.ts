// What a person wants connected, and the form it is typed into.

import type { ConnectAsk, ConnectionView, ProviderOffer } from '../backend/bindings.ts';

/** What was asked, with the offer it was chosen from. */
export interface Wish {
  ask: ConnectAsk;
  offer: ProviderOffer | undefined;
  /** The name that was suggested for it. */
  suggested: string;
}

/** The provider's name, with a number where connections already have it. */
export function freeName(wanted: string, connections: readonly Pick<ConnectionView, 'name'>[]): string {
  const isTaken = (name: string) => connections.some((connection) => connection.name === name);
  let name = wanted;
  for (let number = 2; isTaken(name); number += 1) name = `${wanted}-${number}`;
  return name;
}

/** What was typed; nothing where only spaces were. */
export function typed(text: string): string | null {
  const trimmed = text.trim();
  return trimmed === '' ? null : trimmed;
}
