import { getContext, setContext } from 'svelte';

import type { Desk } from './desk.svelte.ts';

const KEY = Symbol('desk');

export function provideDesk(desk: Desk): void {
  setContext(KEY, desk);
}

export function useDesk(): Desk {
  return getContext<Desk>(KEY);
}
