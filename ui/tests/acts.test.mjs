// What a person does in the window, and what the program is then asked: by mouse, by keyboard alone, and live.

import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';

import { open } from './harness.mjs';

/** @typedef {import('playwright-core').Page} Page */

/** @type {Awaited<ReturnType<typeof open>>} */
let pages;
before(async () => {
  pages = await open();
});
after(() => pages.close());

/**
 * What the program was asked, by one command; the last of them.
 * @param {Page} page @param {string} command
 * @returns {Promise<any>}
 */
async function asked(page, command) {
  const calls = await page.evaluate(() => window.doorwardDemo.calls);
  return calls.filter((/** @type {any} */ call) => call.command === command).at(-1)?.argument;
}

/**
 * Changes the demo's data as the program would; the function runs in the page.
 * @param {Page} page @param {string} changed
 */
async function change(page, changed) {
  await page.evaluate((text) => {
    // A function from text would be refused by the CSP; what is needed is data.
    const { requests, questions, connections } = JSON.parse(text);
    window.doorwardDemo.change((before, makers) => ({
      ...(requests ? { requests: requests.map((/** @type {any} */ r) => makers.request(Date.now(), r.name, r.code, r.more ?? {})) } : {}),
      ...(questions ? { questions: questions.map((/** @type {any} */ q) => makers.question(Date.now(), q.agent, q.code, q.more ?? {})) } : {}),
      ...(connections
        ? { connections: before.connections.map((/** @type {any} */ c) => ({ ...c, ...connections[c.name] })) }
        : {}),
    }));
  }, changed);
}

/**
 * Presses Tab until the focus is on what is described, as a person without a mouse does.
 * @param {Page} page @param {import('playwright-core').Locator} wanted
 */
async function tabTo(page, wanted) {
  const target = await wanted.first().elementHandle();
  for (let presses = 0; presses < 80; presses += 1) {
    await page.keyboard.press('Tab');
    if (await page.evaluate((element) => document.activeElement === element, target)) return;
  }
  assert.fail(`Tab does not lead to ${wanted}`);
}

/** @param {Page} page @param {string} name */
const button = (page, name) => page.getByRole('button', { name, exact: true });

test('the keyboard alone connects: choose, review, open, connected', async () => {
  const { page, complaints, close } = await pages.visit('demo=empty');
  await tabTo(page, button(page, 'Connect…'));
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { level: 1, name: 'Connect' }).waitFor();
  await tabTo(page, page.getByRole('radio', { name: /Workspaces that you pick/ }));
  await page.keyboard.press('ArrowDown');
  await tabTo(page, page.getByRole('checkbox', { name: /Reading only/ }));
  await page.keyboard.press('Space');
  await tabTo(page, button(page, 'Review'));
  await page.keyboard.press('Enter');
  await page.getByText('reading only', { exact: true }).waitFor();
  assert.equal(await asked(page, 'open_consent'), undefined, 'the browser stays shut until the person has read the review');
  assert.deepEqual(await asked(page, 'connect'), {
    provider: 'fastio',
    base: null,
    scope: 'org',
    read_only: true,
    tenant: null,
    name: 'fastio',
    agent_name: null,
  });
  await tabTo(page, button(page, 'Open the browser'));
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { level: 1, name: 'Connected fastio' }).waitFor();
  assert.ok(await page.getByText('Organisations that you pick, reading only').isVisible());
  await tabTo(page, button(page, 'Done'));
  await page.keyboard.press('Enter');
  await page.getByRole('article', { name: 'fastio' }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement?.id), 'main', 'the keyboard goes on in the page');
  assert.deepEqual(complaints, []);
  await close();
});

test('the keyboard alone approves: narrow, then give', async () => {
  const { page, close } = await pages.visit('demo=request', { page: 'approval.html' });
  await tabTo(page, page.getByRole('combobox', { name: 'It may use' }));
  await page.keyboard.press('ArrowDown');
  await tabTo(page, page.getByRole('radio', { name: /Both, as asked/ }));
  await page.keyboard.press('ArrowDown');
  assert.ok(await page.getByRole('radio', { name: /Proxy/ }).isChecked());
  await tabTo(page, page.getByRole('checkbox', { name: /Reading only/ }));
  await page.keyboard.press('Space');
  await tabTo(page, page.getByText('More limits'));
  await page.keyboard.press('Enter');
  await tabTo(page, page.getByLabel('Only paths that begin with'));
  await page.keyboard.type('/workspace/1/\n/workspace/2/');
  await tabTo(page, page.getByLabel('Only these MCP tools'));
  await page.keyboard.type('storage');
  await tabTo(page, page.getByRole('radio', { name: 'Until you revoke it' }));
  await page.keyboard.press('ArrowRight');
  await page.locator('button[aria-disabled="false"]', { hasText: 'Approve' }).waitFor();
  await tabTo(page, button(page, 'Approve'));
  await page.keyboard.press('Space');
  await page.getByRole('heading', { name: /Approved\. My agent may use work through the proxy door/ }).waitFor();
  assert.deepEqual(await asked(page, 'approve'), {
    code: 'BCDF-GHJK',
    terms: {
      connection: 'work',
      doors: ['proxy'],
      policy: {
        read_only: true,
        path_prefixes: ['/workspace/1/', '/workspace/2/'],
        methods: [],
        tools: ['storage'],
        ask_each_time: false,
        ask: [],
        deny: [],
        may_manage_sign_in: false,
      },
      lifetime: 'hour',
    },
  });
  await tabTo(page, button(page, 'Close'));
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => window.doorwardDemo.calls.some(({ command }) => command === 'close_window'));
  await close();
});

test('the keyboard alone revokes, and comes back from the question without having done it', async () => {
  const { page, close } = await pages.visit('demo=one');
  await tabTo(page, page.getByRole('link', { name: 'Agents' }));
  await page.keyboard.press('Enter');
  await tabTo(page, button(page, 'Revoke…'));
  await page.keyboard.press('Enter');
  await page.getByRole('dialog', { name: 'Revoke My agent?' }).waitFor();
  assert.ok(await button(page, 'Cancel').evaluate((element) => element === document.activeElement), 'the harmless answer has the focus');
  await page.keyboard.press('Escape');
  await page.locator('dialog').waitFor({ state: 'detached' });
  assert.ok(await button(page, 'Revoke…').evaluate((element) => element === document.activeElement), 'the focus is back where it was');
  assert.equal(await asked(page, 'revoke_agent'), undefined);
  await page.keyboard.press('Enter');
  await tabTo(page, page.getByRole('dialog').getByRole('button', { name: 'Revoke' }));
  await page.keyboard.press('Enter');
  await page.getByText('Revoked My agent. Its keys open nothing any more.').first().waitFor();
  assert.equal(await asked(page, 'revoke_agent'), 'agent-my-agent');
  assert.equal(await page.getByRole('article').count(), 0);
  await close();
});

test('nothing that was under way when the window came up approves', async () => {
  const { page, close } = await pages.visit('demo=token', { page: 'approval.html' });
  const approve = button(page, 'Approve');
  assert.notEqual(await page.evaluate(() => document.activeElement?.textContent), 'Approve');
  // In the first moment neither mouse nor key does anything.
  await approve.focus();
  await page.keyboard.press('Enter');
  await approve.click({ force: true });
  assert.equal(await asked(page, 'approve'), undefined);
  await page.locator('button[aria-disabled="false"]', { hasText: 'Approve' }).waitFor();
  // A key that is held down repeats, and a repeat is no deliberate act.
  await approve.evaluate((element) => {
    const held = new KeyboardEvent('keydown', { key: 'Enter', repeat: true, cancelable: true, bubbles: true });
    if (element.dispatchEvent(held)) throw new Error('the repeat was let through');
  });
  // Back from another window, it rests again.
  await page.evaluate(() => window.dispatchEvent(new Event('focus')));
  await page.locator('button[aria-disabled="true"]', { hasText: 'Approve' }).waitFor();
  await approve.click({ force: true });
  assert.equal(await asked(page, 'approve'), undefined);
  // Enter in a field approves nothing either.
  await page.locator('button[aria-disabled="false"]', { hasText: 'Approve' }).waitFor();
  await page.getByRole('radio', { name: 'For an hour' }).focus();
  await page.keyboard.press('Enter');
  assert.equal(await asked(page, 'approve'), undefined);
  await close();
});

test('as asked is what is given where the person changes nothing', async () => {
  const { page, close } = await pages.visit('demo=request', { page: 'approval.html' });
  await button(page, 'Approve').click();
  await page.getByRole('heading', { name: /Approved/ }).waitFor();
  const { terms } = await asked(page, 'approve');
  assert.deepEqual([terms.connection, terms.doors, terms.lifetime], [null, null, 'until_revoked']);
  await close();
});

test('the token door and limits exclude each other, and the window says why', async () => {
  const { page, close } = await pages.visit('demo=token', { page: 'approval.html' });
  const readOnly = page.getByRole('checkbox', { name: /Reading only/ });
  assert.ok(await readOnly.isDisabled());
  assert.ok(await page.getByText("A token in an agent's hands cannot be limited.").isVisible());
  await page.getByRole('radio', { name: /Proxy/ }).check();
  await readOnly.check();
  await page.getByRole('radio', { name: /^Token/ }).check();
  await button(page, 'Approve').click();
  await page.getByRole('heading', { name: /Approved/ }).waitFor();
  const { terms } = await asked(page, 'approve');
  assert.deepEqual(terms.doors, ['token']);
  assert.equal(terms.policy.read_only, false, 'a limit that is greyed out is not sent');
  await close();
});

test('a connection that is not there has to be replaced before anything is given', async () => {
  const { page, close } = await pages.visit('demo=unknown', { page: 'approval.html' });
  assert.ok(await page.getByRole('radio', { name: /While the program runs/ }).isDisabled(), 'nobody would notice its end');
  await page.waitForTimeout(1400);
  assert.equal(await button(page, 'Approve').getAttribute('aria-disabled'), 'true');
  await page.getByRole('combobox').selectOption('fastio');
  await button(page, 'Approve').click();
  await page.getByRole('heading', { name: /Approved/ }).waitFor();
  assert.equal((await asked(page, 'approve')).terms.connection, 'fastio');
  await close();
});

test('a call is allowed or denied, once or always, and each says what it means', async () => {
  for (const [name, command, argument, said] of /** @type {const} */ ([
    ['Allow once', 'allow_call', { code: 'HJKL-MNPQ', always: false }, 'Allowed once: Tidy may use the tool storage as it asked.'],
    ['Always allow', 'allow_call', { code: 'HJKL-MNPQ', always: true }, 'Allowed always: Tidy may use the tool storage as it asked.'],
    ['Deny', 'deny_call', { code: 'HJKL-MNPQ', always: false }, 'Denied: Tidy may not use the tool storage as it asked.'],
    ['Always deny', 'deny_call', { code: 'HJKL-MNPQ', always: true }, 'Denied always: Tidy may not use the tool storage as it asked.'],
  ])) {
    const { page, close } = await pages.visit('demo=call', { page: 'approval.html' });
    await page.locator('button[aria-disabled="false"]', { hasText: 'Allow once' }).waitFor();
    await tabTo(page, button(page, name));
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: said }).waitFor();
    assert.deepEqual(await asked(page, command), argument);
    await close();
  }
});

test('nothing that was under way when the window came up allows a call, or answers it for good', async () => {
  const { page, close } = await pages.visit('demo=call', { page: 'approval.html' });
  for (const name of ['Allow once', 'Always allow', 'Always deny']) {
    const answer = button(page, name);
    assert.equal(await page.evaluate(() => document.activeElement?.tagName), 'BODY', 'no answer has the focus');
    await page.evaluate(() => window.dispatchEvent(new Event('focus')));
    await answer.focus();
    await page.keyboard.press('Enter');
    await answer.click({ force: true });
    assert.equal(await asked(page, 'allow_call'), undefined);
    assert.equal(await asked(page, 'deny_call'), undefined);
    await page.locator('button[aria-disabled="false"]', { hasText: name }).waitFor();
    await answer.evaluate((element) => {
      const held = new KeyboardEvent('keydown', { key: 'Enter', repeat: true, cancelable: true, bubbles: true });
      if (element.dispatchEvent(held)) throw new Error('the repeat was let through');
    });
    await answer.evaluate((element) => /** @type {HTMLElement} */ (element).blur());
  }
  await close();
});

test('what an agent wrote is text, scrolls by the keyboard, and what is cut off is said', async () => {
  const { page, close } = await pages.visit('demo=long-call', { page: 'approval.html', height: 720 });
  const box = page.getByRole('region', { name: 'With this body' });
  assert.match(await box.innerText(), /<b>/);
  assert.equal(await box.locator('b').count(), 0, 'markup is not interpreted');
  await tabTo(page, box);
  await page.keyboard.press('End');
  await page.waitForFunction(() => (document.querySelector('.arguments')?.scrollTop ?? 0) > 0);
  assert.ok(await page.getByText('5120 more characters are not shown.').isVisible());
  assert.ok(await button(page, 'Deny').isVisible(), 'the answers stay in sight');
  await close();
});

test('a call that is over says so, and no other takes its place', async () => {
  const { page, close } = await pages.visit('demo=call', { page: 'approval.html' });
  await page.getByRole('heading', { name: /Tidy/ }).waitFor();
  await change(page, JSON.stringify({ questions: [{ agent: 'Another', code: 'WXYZ-WXYZ' }] }));
  await page.getByRole('heading', { name: 'This call is over' }).waitFor();
  await button(page, '1 more waits: show the next').click();
  await page.getByRole('heading', { name: /Another/ }).waitFor();
  await close();
});

test('a limit that cannot be read is said in the program’s words and is not given', async () => {
  const { page, close } = await pages.visit('demo=request', { page: 'approval.html' });
  await page.getByRole('radio', { name: /Proxy/ }).check();
  await page.getByText('More limits').click();
  const ask = page.getByLabel('Ask me before these calls');
  await ask.fill('POST');
  await page.getByText('"POST" is no pattern of calls').waitFor();
  assert.equal(await ask.getAttribute('aria-invalid'), 'true');
  await button(page, 'Approve').click();
  await page.getByRole('alert').waitFor();
  assert.equal(await asked(page, 'approve'), undefined);
  await ask.fill('POST,PUT /workspace/\ntool storage(action=delete, force=true)');
  await page.getByLabel('Never these calls').fill('* /org/');
  await page.getByRole('checkbox', { name: /Ask me before each new call/ }).check();
  await page.getByRole('checkbox', { name: /May manage sign-in/ }).check();
  await page.locator('textarea[aria-invalid="true"]').waitFor({ state: 'detached' });
  await button(page, 'Approve').click();
  await page.getByRole('heading', { name: /Approved/ }).waitFor();
  const { policy } = (await asked(page, 'approve')).terms;
  assert.deepEqual(policy.ask, ['POST,PUT /workspace/', 'tool storage(action=delete, force=true)']);
  assert.deepEqual([policy.deny, policy.ask_each_time, policy.may_manage_sign_in], [['* /org/'], true, true]);
  await close();
});

test('a lasting answer is shown with its agent and taken back', async () => {
  const { page, close } = await pages.visit('demo=many');
  await page.getByRole('link', { name: /Agents/ }).click();
  const card = page.getByRole('article', { name: 'Tidy', exact: true });
  assert.match(await card.innerText(), /asking you each time, asking you before POST \/workspace\//);
  await card.getByText('2 lasting answers about single calls').click();
  await card.getByRole('button', { name: 'Take back' }).first().click();
  await card.getByText('1 lasting answer about single calls').waitFor();
  assert.equal(await asked(page, 'take_back'), 'answer-1');
  await close();
});

test('a call that was denied for good is listed with its agent, and the keyboard alone takes that back', async () => {
  const { page, close } = await pages.visit('demo=call');
  await page.getByRole('link', { name: /Approvals/ }).click();
  await page.locator('button[aria-disabled="false"]', { hasText: 'Always deny' }).waitFor();
  await tabTo(page, button(page, 'Always deny'));
  await page.keyboard.press('Space');
  await page.getByRole('region', { name: 'What was done' }).getByText('Denied always: Tidy may not use the tool storage as it asked.').waitFor();
  await page.getByRole('link', { name: /Agents/ }).click();
  const card = page.getByRole('article', { name: 'Tidy', exact: true });
  await tabTo(page, card.getByText('1 lasting answer about single calls'));
  await page.keyboard.press('Enter');
  await card.getByText('Always denied: storage').waitFor();
  await tabTo(page, card.getByRole('button', { name: 'Take back' }));
  await page.keyboard.press('Enter');
  await card.getByText(/lasting answer/).waitFor({ state: 'detached' });
  assert.equal(await asked(page, 'take_back'), 'answer-hjkl-mnpq');
  await close();
});

test('no request takes the place of another under the hand', async () => {
  const { page, close } = await pages.visit('demo=request', { page: 'approval.html' });
  await page.getByRole('heading', { name: /My agent/ }).waitFor();
  await change(page, JSON.stringify({ requests: [{ name: 'Another', code: 'WXYZ-WXYZ' }] }));
  await page.getByRole('heading', { name: 'This request is over' }).waitFor();
  await button(page, '1 more request waits: show the next').click();
  await page.getByRole('heading', { name: /Another/ }).waitFor();
  assert.equal(await button(page, 'Approve').getAttribute('aria-disabled'), 'true', 'the rest begins anew');
  await close();
});

test('a request is chosen by the address the window opens with, and by a notification', async () => {
  const { page, close } = await pages.visit('demo=many&request=request-zxwv-tsrq', { page: 'approval.html' });
  assert.match(await page.locator('h1').innerText(), /unnamed agent/);
  await page.evaluate(() => window.doorwardDemo.goto({ page: 'approvals', request: 'request-bcdf-ghjk' }));
  await page.getByRole('heading', { name: /Tidy helper/ }).waitFor();
  await close();
});

test('the code is spelled, and the claim is called a claim', async () => {
  const { page, close } = await pages.visit('demo=request', { page: 'approval.html' });
  assert.ok((await page.getByText('Code: B, C, D, F, dash, G, H, J, K').count()) === 1);
  assert.match(await page.locator('h1').innerText(), /calls itself/);
  await close();
});

test('what happens elsewhere is shown and said at once', async () => {
  const { page, close } = await pages.visit('demo=one');
  await page.getByText('Connected', { exact: true }).waitFor();
  await change(page, JSON.stringify({ connections: { fastio: { health: { state: 'reconnect_required', why: 'the provider ended it' } } } }));
  await page.getByText('Reconnect required', { exact: true }).waitFor();
  assert.match(await page.getByRole('status').innerText(), /fastio: Reconnect required/);
  assert.match(await page.getByRole('link', { name: /Connections/ }).innerText(), /1/);
  await change(page, JSON.stringify({ requests: [{ name: 'Newcomer', code: 'BCDF-GHJK' }] }));
  await page.getByRole('link', { name: /Approvals 1 waiting/ }).waitFor();
  assert.match(await page.getByRole('status').innerText(), /Newcomer asks for approval/);
  await change(page, JSON.stringify({ questions: [{ agent: 'My agent', code: 'HJKL-MNPQ' }] }));
  await page.getByRole('link', { name: /Approvals 2 waiting/ }).waitFor();
  assert.match(await page.getByRole('status').innerText(), /My agent asks to use the tool storage/);
  const asks = await page.evaluate(() => window.doorwardDemo.calls.filter(({ command }) => command === 'snapshot').length);
  assert.equal(asks, 1, 'nothing is polled');
  await close();
});

test('a notification leads to its page and its connection', async () => {
  const { page, close } = await pages.visit('demo=errors');
  await page.getByRole('link', { name: 'Agents' }).click();
  await page.evaluate(() => window.doorwardDemo.goto({ page: 'connections', connection: 'over' }));
  await page.waitForFunction(() => document.activeElement?.textContent === 'over');
  await page.evaluate(() => window.doorwardDemo.goto({ page: 'connect', connection: 'over' }));
  await page.getByRole('heading', { name: 'Reconnect over' }).waitFor();
  await button(page, 'Review').waitFor();
  await close();
});

test('times go on by themselves, and only while something needs it', async () => {
  const { page, close } = await pages.visit('demo=ending', { page: 'approval.html' });
  await page.getByText('ends in 1 second').waitFor();
  await close();

  const still = await pages.visit('demo=empty');
  const timers = await still.page.evaluate(async () => {
    let set = 0;
    const { setTimeout: real } = window;
    window.setTimeout = Object.assign((/** @type {TimerHandler} */ act, /** @type {number | undefined} */ wait) => {
      set += 1;
      return real(act, wait);
    });
    await new Promise((resolve) => real(resolve, 1500));
    return set;
  });
  assert.equal(timers, 0, 'a page that shows no time sets no timer');
  await still.close();
});

test('a consent that is given up is cancelled, wherever the person goes instead', async () => {
  const { page, close } = await pages.visit('demo=empty&consent=wait');
  await button(page, 'Connect…').click();
  await button(page, 'Review').click();
  await button(page, 'Open the browser').click();
  await page.getByText('Answer in your browser.').waitFor();
  await page.getByRole('link', { name: 'Agents' }).click();
  await page.getByRole('heading', { level: 1, name: 'Agents' }).waitFor();
  await page.waitForTimeout(150);
  assert.equal(await asked(page, 'cancel_consent'), 'flow-1');
  await close();
});

test('the address can be pasted where the browser cannot reach this machine', async () => {
  const { page, close } = await pages.visit('demo=empty&consent=wait');
  await button(page, 'Connect…').click();
  await button(page, 'Review').click();
  await button(page, 'Open the browser').click();
  await page.getByText('The browser is on another machine').click();
  await page.getByLabel('Address that the browser was sent to').fill(' http://127.0.0.1:5/callback?code=c&state=s ');
  await button(page, 'Use this address').click();
  await page.getByRole('heading', { level: 1, name: 'Connected fastio' }).waitFor();
  assert.deepEqual(await asked(page, 'paste_consent'), { flow: 'flow-1', address: 'http://127.0.0.1:5/callback?code=c&state=s' });
  await close();
});

test('reconnecting asks for what the connection had, by its name', async () => {
  const { page, close } = await pages.visit('demo=errors');
  await button(page, 'Reconnect…').click();
  await button(page, 'Review').click();
  await button(page, 'Open the browser').waitFor();
  assert.deepEqual(await asked(page, 'connect'), {
    provider: null,
    base: null,
    scope: 'workspace',
    read_only: false,
    tenant: null,
    name: 'over',
    agent_name: null,
  });
  await close();
});

test('a second connection gets a name, a tenant and an address of its own', async () => {
  const { page, close } = await pages.visit('demo=one');
  await button(page, 'Connect…').click();
  await page.getByLabel('Name of the connection').fill('fastio');
  await button(page, 'Review').click();
  assert.ok(await page.getByText('There is a connection “fastio”.').isVisible());
  assert.equal(await asked(page, 'connect'), undefined);
  await page.getByLabel('Name of the connection').fill('');
  await page.getByLabel('Tenant').fill('work');
  await page.getByLabel('Another address of Fast.io').fill('http://127.0.0.1:9');
  await button(page, 'Review').click();
  await page.getByText('127.0.0.1:9', { exact: true }).waitFor();
  const ask = await asked(page, 'connect');
  assert.deepEqual([ask.name, ask.tenant, ask.base], ['fastio-2', 'work', 'http://127.0.0.1:9']);
  await close();
});

test('pausing goes for one connection, one agent, and all', async () => {
  const { page, close } = await pages.visit('demo=one');
  await button(page, 'Pause').click();
  await page.getByText('Paused', { exact: true }).waitFor();
  assert.deepEqual(await asked(page, 'set_paused'), { target: { connection: 'fastio' }, paused: true });
  await button(page, 'Resume').click();
  await page.getByText('Connected', { exact: true }).waitFor();
  await button(page, 'Pause all agents').click();
  await page.getByRole('region', { name: 'All agents are paused' }).waitFor();
  assert.deepEqual(await asked(page, 'set_paused'), { target: 'all_agents', paused: true });
  await button(page, 'Resume all').click();
  await page.getByRole('region', { name: 'All agents are paused' }).waitFor({ state: 'detached' });
  await page.getByRole('link', { name: 'Agents' }).click();
  await button(page, 'Pause').click();
  await button(page, 'Resume').waitFor();
  assert.deepEqual(await asked(page, 'set_paused'), { target: { agent: 'agent-my-agent' }, paused: true });
  await close();
});

test('disconnecting says before and after what becomes of a token that was handed out', async () => {
  const { page, close } = await pages.visit('demo=many');
  const card = page.getByRole('article', { name: 'fastio', exact: true });
  await card.getByRole('button', { name: 'Disconnect…' }).click();
  const dialog = page.getByRole('dialog');
  assert.match(await dialog.innerText(), /8 agents lose it at once/);
  assert.match(await dialog.innerText(), /may work there until .*in 42 minutes/);
  await dialog.getByRole('button', { name: 'Disconnect' }).click();
  await page.getByRole('region', { name: 'What was done' }).waitFor();
  assert.match(await page.getByRole('region', { name: 'What was done' }).innerText(), /not confirmed the end yet[\s\S]*in 42 minutes/);
  await close();
});

test('a locked store is opened, a new one gets its passphrase, a held folder is taken over', async () => {
  for (const [query, act] of /** @type {const} */ ([
    ['demo=locked', async (/** @type {Page} */ page) => button(page, 'Try again').click()],
    [
      'demo=passphrase',
      async (/** @type {Page} */ page) => {
        await page.getByLabel('Passphrase').fill('open');
        await page.keyboard.press('Enter');
      },
    ],
    [
      'demo=new',
      async (/** @type {Page} */ page) => {
        await page.getByLabel('Passphrase').fill('new one');
        await page.getByLabel('The same once more').fill('new one');
        await button(page, 'Use this passphrase').click();
      },
    ],
    ['demo=held', async (/** @type {Page} */ page) => button(page, 'Take over').click()],
  ])) {
    const { page, close } = await pages.visit(query);
    await act(page);
    await page.getByRole('heading', { level: 1, name: 'Connections' }).waitFor();
    await close();
  }
});

test('every refusal is shown with what to do next, and the act can be tried again', async () => {
  for (const code of ['provider_unavailable', 'provider_unsafe', 'name_taken', 'account_differs', 'store_failed']) {
    const { page, close } = await pages.visit(`demo=empty&fail=connect:${code}`);
    await button(page, 'Connect…').click();
    await button(page, 'Review').click();
    const alert = page.getByRole('alert');
    await alert.waitFor();
    assert.equal(await alert.locator('p').count(), 2, code);
    await page.locator('button[aria-disabled="false"]', { hasText: 'Review' }).waitFor();
    await close();
  }
});

test('the command of the first steps can be copied', async () => {
  const { page, close } = await pages.visit('demo=connected');
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await button(page, 'Copy').click();
  await button(page, 'Copied').waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), 'doorward pair "My agent" --scope fastio:proxy');
  await close();
});

test('a lock is shown where it is held, and given back', async () => {
  const { page, complaints, close } = await pages.visit('demo=many');
  const onConnection = page.getByRole('article', { name: 'fastio', exact: true });
  await onConnection.getByText('held by Tidy, taken 4 minutes ago, ends in 6 minutes').waitFor();
  await onConnection.getByText(/Being given back: the agent was revoked\.\s+The last try failed \(HTTP 503\)/).waitFor();
  assert.equal(await onConnection.getByRole('button', { name: 'Release' }).count(), 2, 'one is on its way already');
  await page.getByRole('navigation').getByRole('link', { name: 'Agents' }).click();
  const tidy = page.getByRole('article', { name: 'Tidy', exact: true });
  await tidy.getByText('its end is not known').waitFor();
  await tabTo(page, tidy.getByRole('button', { name: 'Release' }));
  await page.keyboard.press('Enter');
  await tidy.getByText('Being given back: you asked for it.').waitFor();
  assert.equal(await asked(page, 'release_lock'), 'lock-2yxh5-ojakx-r3mwz-ty6tv-k66cj-nqsw');
  await tidy.getByText('Being given back').waitFor({ state: 'detached' });
  assert.equal(await tidy.getByRole('button', { name: 'Release' }).count(), 1);
  assert.deepEqual(complaints, []);
  await close();
});

test('what happened is read the newest first, narrowed, and followed back', async () => {
  const { page, complaints, close } = await pages.visit('demo=many');
  await page.getByRole('navigation').getByRole('link', { name: 'Activity' }).click();
  const rows = page.getByRole('list', { name: 'What happened, the newest first' }).getByRole('listitem');
  await rows.first().getByText('without an answer: whether it was carried out is not known').waitFor();
  assert.equal(await rows.count(), 50);
  await tabTo(page, button(page, 'Show older'));
  await page.keyboard.press('Enter');
  await rows.nth(99).waitFor();
  assert.equal((await asked(page, 'activity')).before, 74, 'from the oldest row that is shown');
  assert.ok(await rows.nth(50).evaluate((row) => document.activeElement === row), 'the keyboard goes on where the older rows begin');
  await button(page, 'Show older').click();
  await rows.nth(122).waitFor();
  await button(page, 'Show older').waitFor({ state: 'detached' });

  await page.getByLabel('Agent', { exact: true }).selectOption('Indexer');
  await rows.nth(1).waitFor({ state: 'detached' });
  await rows.first().waitFor();
  assert.equal(await rows.count(), 1);
  await page.getByLabel('Connection', { exact: true }).selectOption('fastio');
  await page.getByText('Nothing of that kind yet.').waitFor();
  assert.deepEqual(await asked(page, 'activity'), {
    agent: 'agent-indexer',
    connection: 'fastio',
    topic: null,
    before: null,
    limit: 50,
    up_to_now: false,
  });
  assert.deepEqual(complaints, []);
  await close();
});

test('the page Activity reads again when something has happened, and as much as it shows', async () => {
  const { page, close } = await pages.visit('demo=many');
  await page.getByRole('navigation').getByRole('link', { name: 'Activity' }).click();
  await button(page, 'Show older').click();
  await page.getByText('Tidy called').nth(96).waitFor();
  const count = () => page.evaluate(() => window.doorwardDemo.calls.filter(({ command }) => command === 'activity').length);
  const before = await count();
  await change(page, JSON.stringify({ requests: [] }));
  await page.waitForFunction((before) => window.doorwardDemo.calls.filter(({ command }) => command === 'activity').length > before, before);
  assert.equal((await asked(page, 'activity')).limit, 100);
  await page.waitForTimeout(300);
  assert.equal(await count(), before + 1, 'once, and not on a timer');
  await close();
});
