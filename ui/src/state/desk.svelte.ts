// What the window knows and shows: the newest snapshot, where the person is, what was said last.

import { asProblem, openBackend, type Backend } from '../backend/index.ts';
import type { Goto, Page, Problem, Snapshot } from '../backend/bindings.ts';
import { news } from './news.ts';

/** Something that was done, told until the person puts it away or goes elsewhere. */
export interface Told {
  text: string;
  more: string[];
  /** Whether something was given, or ended or kept back. */
  icon: 'check' | 'ring';
}

export class Desk {
  snapshot = $state.raw<Snapshot | null>(null);
  problem = $state.raw<Problem | null>(null);
  place = $state<Page>('connections');
  /** The connection or request that the person was sent to, or chose. */
  chosen = $state<string | null>(null);
  told = $state.raw<Told | null>(null);
  /** Said once by the live region. */
  spoken = $state('');

  readonly backend: Backend;
  /** Counts what arrived, so that a slow answer never replaces a newer event. */
  #arrived = 0;

  private constructor(backend: Backend) {
    this.backend = backend;
  }

  /** The window is drawn while the first answer is still under way. */
  static async open(): Promise<Desk> {
    const desk = new Desk(await openBackend());
    void desk.#begin();
    return desk;
  }

  /** Listens first and asks then: nothing that happens in between is missed. */
  async #begin(): Promise<void> {
    try {
      await this.backend.onChanged((snapshot) => this.#arrive(snapshot));
      await this.backend.onGoto((target) => this.goto(target));
    } catch (thrown) {
      this.problem = asProblem(thrown);
      return;
    }
    await this.load();
  }

  async load(): Promise<void> {
    const seen = this.#arrived;
    try {
      const snapshot = await this.backend.snapshot();
      if (seen === this.#arrived) this.#arrive(snapshot);
    } catch (thrown) {
      if (seen === this.#arrived) this.problem = asProblem(thrown);
    }
  }

  #arrive(snapshot: Snapshot): void {
    this.#arrived += 1;
    const before = this.snapshot;
    this.snapshot = snapshot;
    this.problem = null;
    const told = before === null ? [] : news(before, snapshot);
    if (told.length > 0) this.say(told.join(' '));
  }

  goto(target: Goto): void {
    this.told = null;
    this.place = target.page;
    this.chosen = target.request ?? target.connection ?? null;
  }

  show(place: Page, chosen: string | null = null): void {
    this.told = null;
    this.place = place;
    this.chosen = chosen;
  }

  tell(text: string, more: string[] = [], icon: Told['icon'] = 'ring'): void {
    this.told = { text, more, icon };
    this.say([text, ...more].join(' '));
  }

  say(text: string): void {
    // The same words again would be no change, and be kept silent.
    this.spoken = text === this.spoken ? `${text}\u{00A0}` : text;
  }
}
