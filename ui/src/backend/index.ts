// Chooses who answers. Only being inside Tauri decides: no address, setting or page can bring demo data into the app.

import { isTauri } from '@tauri-apps/api/core';

import type { Backend } from './backend.ts';

export type { Backend } from './backend.ts';
export { asProblem, FOLDER_HELD } from './backend.ts';

export async function openBackend(): Promise<Backend> {
  if (isTauri()) {
    const { tauriBackend } = await import('./tauri.ts');
    return tauriBackend;
  }
  const { openDemo } = await import('./demo.ts');
  return openDemo(new URLSearchParams(location.search));
}
