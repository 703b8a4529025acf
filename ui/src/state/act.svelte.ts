// One thing a person can set off: whether it is under way, and why it failed.

import { asProblem } from '../backend/index.ts';
import type { Problem } from '../backend/bindings.ts';

export class Act {
  busy = $state(false);
  problem = $state.raw<Problem | null>(null);

  /** Does it, unless it is under way already. Says whether it was done. */
  async run(act: () => Promise<void>): Promise<boolean> {
    if (this.busy) return false;
    this.busy = true;
    this.problem = null;
    try {
      await act();
      return true;
    } catch (thrown) {
      this.problem = asProblem(thrown);
      return false;
    } finally {
      this.busy = false;
    }
  }
}
