// The program's commands and events, by the names it gives them.

import { invoke } from '@tauri-apps/api/core';
import { getCurrentWebviewWindow } from '@tauri-apps/api/webviewWindow';

import type { Backend } from './backend.ts';
import type { Goto, Snapshot } from './bindings.ts';

// Listened to as this window: what is sent to another one alone is not heard here.
const here = getCurrentWebviewWindow();

export const tauriBackend: Backend = {
  snapshot: () => invoke('snapshot'),

  connect: (ask) => invoke('connect', { ask }),
  openConsent: (flow) => invoke('open_consent', { flow }),
  awaitConsent: (flow) => invoke('await_consent', { flow }),
  pasteConsent: (flow, address) => invoke('paste_consent', { flow, address }),
  cancelConsent: (flow) => invoke('cancel_consent', { flow }),
  disconnect: (name) => invoke('disconnect', { name }),
  retry: (name) => invoke('retry', { name }),

  approve: (code, terms) => invoke('approve', { code, terms }),
  deny: (code) => invoke('deny', { code }),
  allowCall: (code, always) => invoke('allow_call', { code, always }),
  denyCall: (code, always) => invoke('deny_call', { code, always }),
  takeBack: (answer) => invoke('take_back', { answer }),
  checkLimits: (limits) => invoke('check_limits', { limits }),
  revokeAgent: (agent) => invoke('revoke_agent', { agent }),
  setPaused: (target, paused) => invoke('set_paused', { target, paused }),
  activity: (ask) => invoke('activity', { ask }),
  releaseLock: (lock) => invoke('release_lock', { lock }),

  unlock: (passphrase) => invoke('unlock', { passphrase }),
  takeOver: () => invoke('take_over'),
  quit: () => invoke('quit'),
  closeWindow: () => here.close(),

  onChanged: (heard) => here.listen<Snapshot>('changed', ({ payload }) => heard(payload)),
  onGoto: (heard) => here.listen<Goto>('goto', ({ payload }) => heard(payload)),
};
