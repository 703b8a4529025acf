// What waits for a person's answer: agents that ask to be let in, and single calls.

import type { QuestionView, RequestView, Snapshot } from '../backend/bindings.ts';
import { count } from './lists.ts';

/** One of either kind. Identifiers never repeat, of whatever kind they are. */
export type Waiting =
  | { id: string; code: string; expires_at: number; request: RequestView; question?: undefined }
  | { id: string; code: string; expires_at: number; question: QuestionView; request?: undefined };

/** All that waits, the longest first. */
export function waitingIn(snapshot: Snapshot): Waiting[] {
  const asked = (one: { created_at: number }) => one.created_at;
  const all: [number, Waiting][] = [
    ...snapshot.requests.map((request): [number, Waiting] => {
      const { id, code, expires_at } = request;
      return [asked(request), { id, code, expires_at, request }];
    }),
    ...snapshot.questions.map((question): [number, Waiting] => {
      const { id, code, expires_at } = question;
      return [asked(question), { id, code, expires_at, question }];
    }),
  ];
  return all.sort(([left], [right]) => left - right).map(([, one]) => one);
}

/** A call as what an agent would do. */
export function doing(what: string): string {
  return /^[A-Z-]+ \//.test(what) ? `call ${what}` : `use the tool ${what}`;
}

/** How many of each kind. */
export function waitingInWords(waiting: readonly Waiting[]): string {
  const calls = waiting.filter(({ question }) => question !== undefined).length;
  const requests = waiting.length - calls;
  const parts = [
    ...(requests > 0 ? [count(requests, 'request waits', 'requests wait')] : []),
    ...(calls > 0 ? [count(calls, 'call waits', 'calls wait')] : []),
  ];
  return parts.join(', ');
}
