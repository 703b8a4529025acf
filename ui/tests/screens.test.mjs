// Every screen opens, says what it is, breaks no rule of accessibility in either scheme, and none of the CSP.

import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';

import { open, violations } from './harness.mjs';
import { SCREENS } from './screens.mjs';

/** @type {Awaited<ReturnType<typeof open>>} */
let pages;
before(async () => {
  pages = await open();
});
after(() => pages.close());

for (const [name, screen] of Object.entries(SCREENS)) {
  test(`the screen ${name} is in order, light and dark, wide and narrow`, async () => {
    const { page, complaints, close } = await pages.visit(screen.query, screen.page ? { page: screen.page } : {});
    for (const step of screen.by ?? []) await step(page);
    const heading = page.getByRole('heading', { level: 1, includeHidden: true }).first();
    assert.match(await heading.innerText(), new RegExp(screen.heading));
    assert.equal(await page.locator('h1').count(), 1);
    assert.equal(await page.getByRole('main', { includeHidden: true }).count(), 1);

    // By now the page has said all that it had against the CSP; axe is not the page's doing.
    assert.deepEqual(complaints, []);
    for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
      await page.emulateMedia({ colorScheme });
      assert.deepEqual(await violations(page), [], colorScheme);
    }
    for (const width of [420, 1000]) {
      await page.setViewportSize({ width, height: 700 });
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.equal(overflow, 0, `${width} px wide, it scrolls sideways`);
    }
    await close();
  });
}

test('at 320 px, to which a person may zoom, nothing scrolls sideways', async () => {
  for (const [query, file] of [['demo=many'], ['demo=request', 'approval.html'], ['demo=empty']]) {
    const { page, close } = await pages.visit(query ?? '', { width: 320, ...(file ? { page: file } : {}) });
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.equal(overflow, 0, query);
    await close();
  }
});

test('what can be pressed is at least 24 by 24 px', async () => {
  for (const name of ['connections-healths', 'agents-many', 'activity-many', 'approvals-open', 'connect-more', 'approval-window-token']) {
    const screen = SCREENS[name];
    assert.ok(screen);
    const { page, close } = await pages.visit(screen.query, { width: 420, ...(screen.page ? { page: screen.page } : {}) });
    for (const step of screen.by ?? []) await step(page);
    const small = await page.evaluate(() =>
      [...document.querySelectorAll('button, summary, select, input, nav a')].flatMap((element) => {
        // A radio button is pressed by its label.
        const { width, height } = (element.closest('label') ?? element).getBoundingClientRect();
        return width < 24 || height < 24 ? [`${element.tagName} ${element.textContent}: ${width} × ${height}`] : [];
      }),
    );
    assert.deepEqual(small, [], name);
    await close();
  }
});

test('with forced colours everything still has an edge, and nothing breaks', async () => {
  const { page, complaints, close } = await pages.visit('demo=errors');
  await page.emulateMedia({ forcedColors: 'active' });
  const edge = await page.locator('.note').first().evaluate((note) => getComputedStyle(note).borderTopStyle);
  assert.equal(edge, 'solid');
  assert.deepEqual(complaints, []);
  await close();
});

test('nothing moves for whoever asked for reduced motion', async () => {
  const { page, close } = await pages.visit('demo=errors');
  const moving = () => page.evaluate(() => document.getAnimations().length);
  await page.emulateMedia({ reducedMotion: 'no-preference' });
  assert.ok((await moving()) > 0, 'the sign of a refresh turns');
  await page.emulateMedia({ reducedMotion: 'reduce' });
  assert.equal(await moving(), 0);
  await close();
});
