// Whether the store stands in the way, and how it opens.

import type { Status } from '../backend/bindings.ts';

/** A new store whose key nobody has refused is no obstacle: it is made with the first connection. */
export function isStoreClosed(status: Status): boolean {
  return status.store === 'locked' || (status.store === 'new' && status.locked_because !== null);
}

/** Whether it opens with a passphrase, and with nothing else. */
export function wantsPassphrase(status: Status): boolean {
  const code = status.locked_because?.code;
  return status.keys === 'passphrase' || code === 'passphrase_required' || code === 'passphrase_wrong';
}
