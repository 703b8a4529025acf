// The one clock of the window. It ticks only while something on the page says a time that is about to change, and only
// as often as that needs.

import { untrack } from 'svelte';

import { untilSaidAnew } from '../words/time.ts';

class Clock {
  now = $state(Date.now());
  #watched = new Map<symbol, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #fires = Infinity;

  constructor() {
    document.addEventListener('visibilitychange', () => this.#tick());
  }

  /** Says that the page shows `at`, until the returned function is called. */
  watch(at: number): () => void {
    const key = Symbol('moment');
    this.#watched.set(key, at);
    // Between ticks the clock stands; what appears now is said as of now.
    if (Date.now() - untrack(() => this.now) >= 1000) this.now = Date.now();
    this.#schedule();
    return () => {
      this.#watched.delete(key);
      this.#schedule();
    };
  }

  #tick(): void {
    this.now = Date.now();
    this.#fires = Infinity;
    this.#schedule();
  }

  #schedule(): void {
    const now = Date.now();
    const waits = [...this.#watched.values()].map((at) => untilSaidAnew(now, at));
    const fires = document.hidden || waits.length === 0 ? Infinity : now + Math.min(...waits);
    if (fires === this.#fires) return;
    clearTimeout(this.#timer);
    this.#fires = fires;
    if (fires !== Infinity) this.#timer = setTimeout(() => this.#tick(), fires - now);
  }
}

export const clock = new Clock();
