// What the window may ask of the program behind it. Two answer: Tauri's commands, and plain data for a browser.

import type {
  ActivityAsk,
  ActivityPage,
  AgentRevoked,
  ConnectAsk,
  ConnectionView,
  ConsentStarted,
  Disconnected,
  Goto,
  LockView,
  PauseTarget,
  Problem,
  Snapshot,
  Terms,
  TypedLimits,
  WrongLimit,
} from './bindings.ts';

export type Unlisten = () => void;

/** Every call that fails rejects with a {@link Problem}. */
export interface Backend {
  snapshot(): Promise<Snapshot>;

  connect(ask: ConnectAsk): Promise<ConsentStarted>;
  openConsent(flow: string): Promise<void>;
  awaitConsent(flow: string): Promise<ConnectionView>;
  pasteConsent(flow: string, address: string): Promise<ConnectionView>;
  cancelConsent(flow: string): Promise<void>;
  disconnect(name: string): Promise<Disconnected>;
  /** Tries a connection again now; rejects with the reason if it still does not work. */
  retry(name: string): Promise<ConnectionView>;

  approve(code: string, terms: Terms): Promise<string>;
  deny(code: string): Promise<void>;
  /** Lets a call go on; resolves with what was called. */
  allowCall(code: string, always: boolean): Promise<string>;
  denyCall(code: string, always: boolean): Promise<string>;
  /** Takes a lasting answer back. */
  takeBack(answer: string): Promise<string>;
  /** What of typed limits cannot be read. */
  checkLimits(limits: TypedLimits): Promise<WrongLimit[]>;
  revokeAgent(agent: string): Promise<AgentRevoked>;
  setPaused(target: PauseTarget, paused: boolean): Promise<number>;
  /** A page of the audit log, the newest row first. */
  activity(ask: ActivityAsk): Promise<ActivityPage>;
  /** Answers when it is written down that the lock is to be given back; the provider is told next. */
  releaseLock(lock: string): Promise<LockView>;

  unlock(passphrase: string | null): Promise<void>;
  takeOver(): Promise<void>;
  quit(): Promise<void>;
  /** Closes the window that asks; the program decides whether it is hidden or gone. */
  closeWindow(): Promise<void>;

  onChanged(heard: (snapshot: Snapshot) => void): Promise<Unlisten>;
  onGoto(heard: (target: Goto) => void): Promise<Unlisten>;
}

/** Another Doorward holds the folder: the one problem of `snapshot` that has a screen of its own. */
export const FOLDER_HELD = 'folder_held';

/** Whatever was thrown, as a problem that can be shown. */
export function asProblem(thrown: unknown): Problem {
  if (typeof thrown === 'object' && thrown !== null && 'message' in thrown) {
    const { code, message, hint } = thrown as Record<string, unknown>;
    return {
      code: typeof code === 'string' ? code : 'internal',
      message: String(message),
      hint: typeof hint === 'string' ? hint : 'Try again. If it stays so, start Doorward again.',
    };
  }
  return {
    code: 'internal',
    message: typeof thrown === 'string' ? thrown : 'Doorward failed.',
    hint: 'Try again. If it stays so, start Doorward again.',
  };
}
