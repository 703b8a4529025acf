// What the tests in a browser stand on: the built pages on a loopback port, under the CSP that the app has, and one
// Chromium for a whole file of tests.

import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

import { chromium } from 'playwright-core';

const DIST = fileURLToPath(new URL('../dist/', import.meta.url));

/** As strict as src-tauri's, which adds only Tauri's own way to the program. */
export const CSP = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  'connect-src ipc: http://ipc.localhost',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** @type {Record<string, string>} */
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };

/** Serves dist; the address ends with a slash. */
async function serve() {
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://x');
    const path = normalize(join(DIST, pathname === '/' ? 'index.html' : pathname));
    try {
      if (!path.startsWith(DIST)) throw new Error('outside');
      const body = await readFile(path);
      response.writeHead(200, { 'content-type': TYPES[extname(path)] ?? 'application/octet-stream', 'content-security-policy': CSP });
      response.end(body);
    } catch {
      // The browser asks for an icon of its own accord; that there is none is no finding.
      response.writeHead(pathname === '/favicon.ico' ? 204 : 404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const address = /** @type {import('node:net').AddressInfo} */ (server.address());
  return { server, base: `http://127.0.0.1:${address.port}/` };
}

function findChromium() {
  for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
    try {
      return execFileSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim();
    } catch {
      // Not this one.
    }
  }
  throw new Error('no Chromium here: run scripts/setup test');
}

/**
 * A browser and the pages to open in it.
 * @typedef {{ scheme?: 'light' | 'dark', width?: number, height?: number, page?: string, hash?: string }} View
 */
export async function open() {
  const { server, base } = await serve();
  const browser = await chromium.launch({
    executablePath: findChromium(),
    args: [
      // The sandbox refuses to run as root, which CI is.
      ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      // A browser that calls home would be refused by a closed network, many times a second.
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });

  /**
   * Opens a scene of the demo in a page of its own. Whatever the page complains about, the CSP above all, is collected.
   * @param {string} query
   * @param {View} [view]
   */
  async function visit(query, view = {}) {
    const context = await browser.newContext({
      colorScheme: view.scheme ?? 'light',
      viewport: { width: view.width ?? 900, height: view.height ?? 760 },
      // A CSP test that bypassed it would prove nothing.
      bypassCSP: false,
      locale: 'en-GB',
    });
    const page = await context.newPage();
    page.setDefaultTimeout(10_000);
    /** @type {string[]} */
    const complaints = [];
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(String(error)));
    await page.goto(`${base}${view.page ?? 'index.html'}?${query}`);
    await page.locator('h1').first().waitFor();
    return { page, complaints, close: () => context.close() };
  }

  return {
    base,
    browser,
    visit,
    async close() {
      await browser.close();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

/**
 * What axe finds by WCAG 2.2 AA and its good practices, one line for each place.
 * @param {import('playwright-core').Page} page
 * @returns {Promise<string[]>}
 */
export async function violations(page) {
  // By the debugger and not by a script element, which the CSP would rightly refuse.
  await page.evaluate(await readFile(AXE, 'utf8'));
  return page.evaluate(async () => {
    const { violations } = await window.axe.run(document, {
      runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
    });
    return violations.flatMap((/** @type {any} */ found) =>
      found.nodes.map((/** @type {any} */ node) => `${found.id}: ${node.target.join(' ')}: ${node.failureSummary}`),
    );
  });
}
