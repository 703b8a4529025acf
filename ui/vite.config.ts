import { fileURLToPath } from 'node:url';

import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

const page = (name: string) => fileURLToPath(new URL(name, import.meta.url));

export default defineConfig({
  // Relative, so that the same files work in Tauri, in a test's server and from any folder of one.
  base: './',
  plugins: [svelte()],
  clearScreen: false,
  server: { host: '127.0.0.1', port: 5173, strictPort: true },
  build: {
    // What the oldest WebKitGTK that Tauri 2 runs on understands; Edge and Safari of that time do too.
    target: 'safari16.4',
    // The window's CSP takes files of its own only: nothing may be inlined, and no helper script is needed.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: { input: [page('index.html'), page('approval.html')] },
  },
});
