// A connection's health in words, and the shape and colour it is shown with: never the colour alone.

import type { ConnectionView, Health } from '../backend/bindings.ts';
import { plain, sentence } from './lists.ts';

export type Shape = 'check' | 'turning' | 'triangle' | 'hourglass' | 'cross' | 'stop' | 'key' | 'dials' | 'question' | 'bars' | 'ring';
export type Tone = 'good' | 'busy' | 'warning' | 'bad' | 'quiet';

export interface HealthWords {
  label: string;
  shape: Shape;
  tone: Tone;
  /** Why, in a sentence or two. */
  cause: string;
  /** A moment that belongs to it, and what happens then. */
  next: { says: string; at: number } | null;
}

/** What the broker says of a connection whose end is under way; nothing can be asked of such a one. */
const ENDING = 'it is being disconnected';

export function isEnding(health: Health): boolean {
  return health.state === 'reconnect_required' && health.why === ENDING;
}

export function healthInWords(connection: Pick<ConnectionView, 'health' | 'provider_title'>): HealthWords {
  const { health, provider_title: title } = connection;
  switch (health.state) {
    case 'connected':
      return { label: 'Connected', shape: 'check', tone: 'good', cause: '', next: null };
    case 'refreshing':
      return {
        label: 'Refreshing',
        shape: 'turning',
        tone: 'busy',
        cause: `${title} is being asked for a fresh token.`,
        next: null,
      };
    case 'degraded':
      return {
        label: health.halted ? 'Halted' : 'Degraded',
        shape: health.halted ? 'stop' : 'triangle',
        tone: 'warning',
        cause: health.halted
          ? `${sentence(plain(health.last_error))} After five failures in a row ${title} is only asked now and then.`
          : `${sentence(plain(health.last_error))} A token that is still valid is handed out meanwhile.`,
        next: { says: 'Next try', at: health.next_try },
      };
    case 'client_rejected':
      return {
        label: 'Client rejected',
        shape: 'key',
        tone: 'bad',
        cause: `${title} does not accept Doorward’s registration: its client secret has expired or was changed. Nothing was erased.`,
        next: health.next_try === null ? null : { says: 'Next try', at: health.next_try },
      };
    case 'misconfigured':
      return {
        label: 'Refused',
        shape: 'dials',
        tone: 'bad',
        cause: `${title} refuses to renew it as it is set up: ${sentence(plain(health.last_error))} Nothing was erased.`,
        next: health.next_try === null ? null : { says: 'Next try', at: health.next_try },
      };
    case 'rate_limited':
      return {
        label: 'Rate limited',
        shape: 'hourglass',
        tone: 'warning',
        cause: `The rate limit at ${title} is used up. Doorward waits for its end.`,
        next: { says: 'Next call', at: health.until },
      };
    case 'reconnect_required':
      return isEnding(health)
        ? {
            label: 'Disconnecting',
            shape: 'ring',
            tone: 'quiet',
            cause: `Agents are refused. Doorward goes on until ${title} has confirmed the end.`,
            next: null,
          }
        : {
            label: 'Reconnect required',
            shape: 'cross',
            tone: 'bad',
            cause: `${sentence(plain(health.why))} Agents are refused until you reconnect; they keep their grants.`,
            next: null,
          };
    case 'unproven':
      return {
        label: 'Unproven',
        shape: 'question',
        tone: 'quiet',
        cause: 'No call has shown yet that it works. The first one will.',
        next: null,
      };
    case 'paused':
      return {
        label: 'Paused',
        shape: 'bars',
        tone: 'quiet',
        cause: 'You paused it. Agents are refused; nothing was erased.',
        next: null,
      };
  }
}
