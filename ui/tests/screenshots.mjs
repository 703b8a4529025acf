// Leaves a picture of every screen, light and dark, in a folder: `npm run screenshots [-- FOLDER [NAME...]]`.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { open } from './harness.mjs';
import { SCREENS } from './screens.mjs';

const [folder = '/tmp/ui-shots', ...only] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });

/**
 * The whole page, in a window as tall as that: what keeps to the window's edges is then where a person sees it.
 * @param {import('playwright-core').Page} page @param {string} path
 */
async function picture(page, path) {
  const { width, height } = page.viewportSize() ?? { width: 900, height: 760 };
  const needed = await page.evaluate(() => document.documentElement.scrollHeight);
  if (needed > height) {
    // As it opens, too.
    if (path.includes('approval-window')) await page.screenshot({ path: path.replace('.png', '-top.png'), animations: 'disabled' });
    await page.setViewportSize({ width, height: needed });
  }
  await page.screenshot({ path, animations: 'disabled' });
}

const pages = await open();
for (const [name, { query, page: file, by = [] }] of Object.entries(SCREENS)) {
  if (only.length > 0 && !only.includes(name)) continue;
  for (const scheme of /** @type {const} */ (['light', 'dark'])) {
    const small = file === 'approval.html' ? { width: 560, height: 720, page: file } : {};
    const { page, close } = await pages.visit(query, { scheme, ...small });
    for (const step of by) await step(page);
    await page.mouse.move(0, 0);
    // An Approve button rests for a moment; the picture shows it as one meets it.
    await page.waitForTimeout(query.includes('request') || name.startsWith('approval') ? 1400 : 120);
    await picture(page, join(folder, `${name}-${scheme}.png`));
    await close();
  }
}
for (const name of ['connections-many', 'agents-many', 'approvals-open', 'first-run-2', 'connect-more']) {
  const { query, by = [] } = /** @type {import('./screens.mjs').Screen} */ (SCREENS[name]);
  if (only.length > 0 && !only.includes(name)) continue;
  const { page, close } = await pages.visit(query, { width: 420 });
  for (const step of by) await step(page);
  await picture(page, join(folder, `${name}-narrow.png`));
  await close();
}
await pages.close();
