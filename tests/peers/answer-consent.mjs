#!/usr/bin/env node
// Answers a consent page in a real Chromium, as a person would: by what the page says, not by how it is built.
//
//   node answer-consent.mjs [OPTION...] URL
//
//   --decline              decline instead of allowing
//   --pick NAME[=MODE]     pick just this one (repeat for more); MODE is r, rw or rwa. Without --pick, all are picked
//   --email E --password P sign in as someone else than the demo person, whose words the page shows
//   --timeout SECONDS      for everything together (default 60)
//   --screenshots FOLDER   leaves a picture of every step there: 1-sign-in.png, 2-decision.png, 3-landed.png
//
// URL is an authorization URL or the consent page itself, of crates/fastio-sim or of oidc-provider.mjs. When the browser
// has arrived where the provider sent it, prints one line of JSON and exits 0:
//   {"landed":"http://127.0.0.1:PORT/callback","redirect":"…with code and state…","status":200,"title":"…","text":"…"}
// or, from a page that shows the code instead, {"code":"…"}. Exits 1 when a page is not as expected or nothing listens at
// the redirect URI, 2 on wrong usage, and 3 when there is no Chromium or no playwright-core here: answer by plain HTTP
// then. It ends with Chromium gone, also on SIGTERM.

import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

function leave(status, message) {
  console.error(`answer-consent: ${message}`);
  process.exit(status);
}

function readArguments() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        decline: { type: 'boolean', default: false },
        pick: { type: 'string', multiple: true },
        email: { type: 'string' },
        password: { type: 'string' },
        timeout: { type: 'string', default: '60' },
        screenshots: { type: 'string' },
      },
    });
    if (positionals.length !== 1) throw new Error('give one URL');
    return { ...values, url: new URL(positionals[0]) };
  } catch (error) {
    return leave(2, error.message);
  }
}

function findChromium() {
  for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
    try {
      return execFileSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim();
    } catch {
      // Not this one.
    }
  }
  return leave(3, 'no Chromium here: run scripts/setup test');
}

const options = readArguments();
const executablePath = findChromium();
const { chromium } = await import('playwright-core').catch(() => leave(3, 'no playwright-core: run scripts/setup test'));

// Heard from before the launch on: a browser that is just starting would be left behind.
let outside = false;
let stop = () => {};
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    outside = true;
    stop();
  });
}

const browser = await chromium.launch({
  executablePath,
  // Its own handlers kill the browser, which then leaves its folders behind.
  handleSIGINT: false,
  handleSIGTERM: false,
  args: [
    // The sandbox refuses to run as root, which CI is.
    ...(process.getuid() === 0 ? ['--no-sandbox'] : []),
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    // A browser that calls home would be refused by a closed network, many times a second.
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
});
const page = await browser.newPage();
page.setDefaultTimeout(Number(options.timeout) * 1000);

let steps = 0;
async function picture(name) {
  steps += 1;
  if (!options.screenshots) return;
  mkdirSync(options.screenshots, { recursive: true });
  await page.screenshot({ path: join(options.screenshots, `${steps}-${name}.png`), fullPage: true });
}

async function signIn() {
  const password = page.getByLabel('Password');
  if ((await password.count()) === 0) return;
  const shown = page.getByRole('complementary', { name: 'Demo account' }).locator('code');
  await page.getByLabel('E-mail').fill(options.email ?? (await shown.nth(0).innerText()));
  await password.fill(options.password ?? (await shown.nth(1).innerText()));
  await picture('sign-in');
  await page.getByRole('button', { name: 'Sign in' }).click();
}

async function pick() {
  const boxes = await page.getByRole('checkbox').all();
  if (!options.pick) {
    for (const box of boxes) await box.check();
    return;
  }
  for (const box of boxes) await box.uncheck();
  for (const choice of options.pick) {
    const [, name, mode] = /^(.*?)(?:=(r|rw|rwa))?$/.exec(choice);
    await page.getByRole('checkbox', { name }).check();
    if (mode) await page.getByRole('combobox', { name: `Access to ${name}` }).selectOption(mode);
  }
}

const isProvider = (url) => new URL(url).origin === options.url.origin;

async function answer() {
  await page.goto(options.url.href);
  await signIn();
  const decision = page.getByRole('button', { name: options.decline ? 'Decline' : /^(Allow|Approve)$/ });
  const alert = page.getByRole('alert');
  await decision.or(alert).first().waitFor();
  if (await alert.count()) throw new Error(`the page says: ${await alert.first().innerText()}`);
  if (!options.decline) await pick();
  await picture('decision');

  const landing = page.waitForResponse(
    (response) => response.request().isNavigationRequest() && !isProvider(response.url()),
  );
  const failed = new Promise((_resolve, reject) => {
    page.on('requestfailed', (request) => {
      const why = `nothing answers at ${new URL(request.url()).origin}: ${request.failure()?.errorText}`;
      if (request.isNavigationRequest()) reject(new Error(why));
    });
  });
  const shown = page.getByRole('status').waitFor().then(() => undefined);
  const refused = alert.waitFor().then(async () => {
    throw new Error(`the page says: ${await alert.first().innerText()}`);
  });
  // Whichever comes first decides; the others end with the browser.
  for (const other of [landing, failed, shown, refused]) other.catch(() => {});
  await decision.click();
  const response = await Promise.race([landing, failed, shown, refused]);
  if (!response) return { code: await page.getByRole('status').innerText() };

  // The response comes before the page is there; and the page may tidy its own address.
  await page.waitForURL((url) => !isProvider(url), { waitUntil: 'load' });
  await picture('landed');
  const { origin, pathname } = new URL(response.url());
  const text = (await page.locator('body').innerText()).trim();
  return {
    landed: `${origin}${pathname}`,
    redirect: response.url(),
    status: response.status(),
    title: await page.title(),
    text,
  };
}

const deadline = setTimeout(() => end(1, `not done within ${options.timeout} s`), Number(options.timeout) * 1000);
let ending = false;
async function end(status, message) {
  // Closing the browser fails whatever waits for it: the first reason is the true one.
  if (ending) return;
  ending = true;
  clearTimeout(deadline);
  await browser.close();
  if (message) leave(status, message);
}

stop = () => end(1, 'ended from outside');
if (outside) await stop();
try {
  const result = await answer();
  await end(0);
  console.log(JSON.stringify(result));
} catch (error) {
  await end(1, error.message.split('\n')[0]);
}
