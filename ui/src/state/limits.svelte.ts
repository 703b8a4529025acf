// Limits as a person types them, and what of them cannot be read. The program alone knows how a pattern is read, so
// what is typed is put to it, shortly after the last key and once more before it is given.

import type { Backend } from '../backend/index.ts';
import type { Policy, Problem, TypedLimits, WrongLimit } from '../backend/bindings.ts';
import { NO_LIMITS, typedLines, typedList } from '../words/grants.ts';

/** Shorter than a person waits for an answer, longer than the pause between two keys. */
const AFTER_TYPING = 300;

export type LimitField = keyof TypedLimits;

export class Limits {
  readOnly = $state(false);
  askEachTime = $state(false);
  maySignIn = $state(false);
  text = $state<Record<LimitField, string>>({ paths: '', methods: '', tools: '', ask: '', deny: '' });
  #wrong = $state.raw<WrongLimit[]>([]);

  readonly #typed = $derived<TypedLimits>({
    paths: typedList(this.text.paths),
    methods: typedList(this.text.methods),
    tools: typedLines(this.text.tools),
    ask: typedLines(this.text.ask),
    deny: typedLines(this.text.deny),
  });
  readonly policy = $derived<Policy>({
    ...NO_LIMITS,
    read_only: this.readOnly,
    path_prefixes: this.#typed.paths,
    methods: this.#typed.methods,
    tools: this.#typed.tools,
    ask_each_time: this.askEachTime,
    ask: this.#typed.ask,
    deny: this.#typed.deny,
    may_manage_sign_in: this.maySignIn,
  });

  /** What is the matter with a field; empty where nothing is. */
  wrongIn(field: LimitField): string {
    return this.#wrong.find((wrong) => wrong.field === field)?.message ?? '';
  }

  /** Looks at what is typed. For `$effect`. */
  attend(backend: Backend): () => void {
    const typed = this.#typed;
    const isEmpty = Object.values(typed).every((list) => list.length === 0);
    if (isEmpty) {
      this.#wrong = [];
      return () => {};
    }
    let isOver = false;
    const timer = setTimeout(() => {
      void backend.checkLimits($state.snapshot(typed)).then(
        (wrong) => {
          if (!isOver) this.#wrong = wrong;
        },
        // Whoever gives them is told.
        () => {},
      );
    }, AFTER_TYPING);
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }

  /** Throws a problem where something cannot be read. */
  async check(backend: Backend): Promise<void> {
    const typed = $state.snapshot(this.#typed);
    if (Object.values(typed).every((list) => list.length === 0)) return;
    this.#wrong = await backend.checkLimits(typed);
    const [first] = this.#wrong;
    if (first === undefined) return;
    throw {
      code: 'rights_invalid',
      message: first.message,
      hint: 'Put it right under “More limits”. Nothing was given.',
    } satisfies Problem;
  }
}
