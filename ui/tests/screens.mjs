// Every screen, by name: the scene it shows and how one gets there. Tests and pictures go through the same list.

/** @typedef {import('playwright-core').Page} Page */

/** @param {string} name @returns {(page: Page) => Promise<void>} */
const press = (name) => (page) => page.getByRole('button', { name, exact: true }).first().click();

/** @param {string} name @returns {(page: Page) => Promise<void>} */
const turnTo = (name) => (page) => page.getByRole('navigation').getByRole('link', { name }).click();

/**
 * @typedef {object} Screen
 * @property {string} query
 * @property {string} [page]
 * @property {((page: Page) => Promise<unknown>)[]} [by]
 * @property {string} heading what the page's heading says when one is there
 */

/** @param {Page} page */
async function toReview(page) {
  await press('Connect…')(page);
  await press('Review')(page);
  await page.getByRole('button', { name: 'Open the browser', exact: true }).waitFor();
}

/** @param {Page} page */
async function toWaiting(page) {
  await toReview(page);
  await press('Open the browser')(page);
  await page.getByText('Answer in your browser.').waitFor();
}

/** @type {Record<string, Screen>} */
export const SCREENS = {
  'first-run-1': { query: 'demo=empty', heading: 'Welcome to Doorward' },
  'first-run-2': { query: 'demo=connected', heading: 'Connections' },
  'first-run-3': { query: 'demo=asked', heading: 'Connections' },
  'connections-one': { query: 'demo=one', heading: 'Connections' },
  'connections-many': { query: 'demo=many', heading: 'Connections' },
  'connections-healths': { query: 'demo=errors', heading: 'Connections' },
  'connections-paused-all': { query: 'demo=paused', heading: 'Connections' },
  'connections-disconnect': { query: 'demo=many', by: [press('Disconnect…')], heading: 'Connections' },
  'connections-disconnected': {
    query: 'demo=many',
    by: [press('Disconnect…'), (page) => page.getByRole('dialog').getByRole('button', { name: 'Disconnect' }).click()],
    heading: 'Connections',
  },
  'connect-form': { query: 'demo=empty', by: [press('Connect…')], heading: 'Connect' },
  'connect-more': { query: 'demo=one', by: [press('Connect…')], heading: 'Connect' },
  'connect-elsewhere': {
    query: 'demo=empty',
    by: [press('Connect…'), (page) => page.getByRole('radio', { name: /Another one/ }).check(), press('Review')],
    heading: 'Connect',
  },
  'connect-refused': {
    query: 'demo=empty&fail=connect:provider_unavailable',
    by: [press('Connect…'), press('Review'), (page) => page.getByRole('alert').waitFor()],
    heading: 'Connect',
  },
  'connect-review': { query: 'demo=empty', by: [toReview], heading: 'Connect' },
  'connect-waiting': { query: 'demo=empty&consent=wait', by: [toWaiting], heading: 'Connect' },
  'connect-paste': {
    query: 'demo=empty&consent=wait',
    by: [
      toWaiting,
      (page) => page.getByText('The browser is on another machine').click(),
      (page) => page.getByLabel('Address that the browser was sent to').fill('https://elsewhere.example'),
      press('Use this address'),
      (page) => page.getByRole('alert').waitFor(),
    ],
    heading: 'Connect',
  },
  'connect-declined': {
    query: 'demo=empty&consent=decline',
    by: [toReview, press('Open the browser'), (page) => page.getByRole('alert').waitFor()],
    heading: 'Connect',
  },
  'connect-done': {
    query: 'demo=empty',
    by: [toReview, press('Open the browser'), (page) => page.getByText('gave its consent').waitFor()],
    heading: 'Connected fastio',
  },
  reconnect: { query: 'demo=errors', by: [press('Reconnect…')], heading: 'Reconnect over' },
  'agents-none': { query: 'demo=connected', by: [turnTo('Agents')], heading: 'Agents' },
  'agents-one': { query: 'demo=one', by: [turnTo('Agents')], heading: 'Agents' },
  'agents-many': { query: 'demo=many', by: [turnTo('Agents')], heading: 'Agents' },
  'agents-revoke': {
    query: 'demo=many',
    by: [
      turnTo('Agents'),
      (page) => page.getByRole('article', { name: 'Script of last week' }).getByRole('button', { name: 'Revoke…' }).click(),
    ],
    heading: 'Agents',
  },
  'agents-revoked': {
    query: 'demo=many',
    by: [
      turnTo('Agents'),
      (page) => page.getByRole('article', { name: 'Script of last week' }).getByRole('button', { name: 'Revoke…' }).click(),
      (page) => page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click(),
      (page) => page.getByRole('region', { name: 'What was done' }).waitFor(),
    ],
    heading: 'Agents',
  },
  'agents-revoke-refused': {
    query: 'demo=one&fail=revoke_agent:store_failed',
    by: [
      turnTo('Agents'),
      press('Revoke…'),
      (page) => page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click(),
      (page) => page.getByRole('alert').waitFor(),
    ],
    heading: 'Agents',
  },
  'agents-pause-refused': {
    query: 'demo=one&fail=set_paused:store_failed',
    by: [turnTo('Agents'), press('Pause'), (page) => page.getByRole('alert').waitFor()],
    heading: 'Agents',
  },
  'activity-none': { query: 'demo=empty', by: [turnTo('Activity'), (page) => page.getByText('Nothing has happened yet.').waitFor()], heading: 'Activity' },
  'activity-some': { query: 'demo=one', by: [turnTo('Activity'), (page) => page.getByText('The store was made.').waitFor()], heading: 'Activity' },
  'activity-many': {
    query: 'demo=many',
    by: [turnTo('Activity'), (page) => page.getByRole('button', { name: 'Show older' }).waitFor()],
    heading: 'Activity',
  },
  'activity-nothing-of-that-kind': {
    query: 'demo=many',
    by: [
      turnTo('Activity'),
      (page) => page.getByLabel('About').selectOption('Locks'),
      (page) => page.getByText('Nothing of that kind yet.').waitFor(),
    ],
    heading: 'Activity',
  },
  'activity-refused': {
    query: 'demo=one&fail=activity:store_failed',
    by: [turnTo('Activity'), (page) => page.getByRole('alert').waitFor()],
    heading: 'Activity',
  },
  'approvals-none': { query: 'demo=one', by: [turnTo('Approvals')], heading: 'Approvals' },
  'approvals-one': { query: 'demo=request', by: [turnTo('Approvals')], heading: 'Approvals' },
  'approvals-many': { query: 'demo=many', by: [turnTo('Approvals')], heading: 'Approvals' },
  'approvals-open': {
    query: 'demo=many',
    by: [turnTo('Approvals'), (page) => page.getByRole('button', { name: /An agent with a name/ }).first().click()],
    heading: 'Approvals',
  },
  'approval-window': { query: 'demo=request', page: 'approval.html', heading: 'My agent' },
  'approval-window-token': {
    query: 'demo=token',
    page: 'approval.html',
    by: [(page) => page.getByText('More limits').click()],
    heading: 'My agent',
  },
  'approval-window-limits': {
    query: 'demo=request',
    page: 'approval.html',
    by: [
      (page) => page.getByRole('radio', { name: /Proxy/ }).check(),
      (page) => page.getByText('More limits').click(),
      (page) => page.getByLabel('Ask me before these calls').fill('POST'),
      (page) => page.getByText('is no pattern of calls').waitFor(),
    ],
    heading: 'My agent',
  },
  'approval-window-call': { query: 'demo=call', page: 'approval.html', heading: 'Tidy' },
  'approval-window-call-long': { query: 'demo=long-call', page: 'approval.html', heading: 'An agent with a name' },
  'approval-window-call-allowed': {
    query: 'demo=call',
    page: 'approval.html',
    by: [press('Always allow'), (page) => page.getByRole('heading', { name: 'Allowed always' }).waitFor()],
    heading: 'Allowed always',
  },
  'approval-window-call-denied': {
    query: 'demo=call',
    page: 'approval.html',
    by: [press('Always deny'), (page) => page.getByRole('heading', { name: 'Denied always' }).waitFor()],
    heading: 'Denied always',
  },
  'approvals-call': { query: 'demo=call', by: [turnTo('Approvals')], heading: 'Approvals' },
  'approvals-call-open': {
    query: 'demo=many',
    by: [turnTo('Approvals'), (page) => page.getByRole('button', { name: /Tidy asks to use the tool storage/ }).click()],
    heading: 'Approvals',
  },
  'approvals-call-denied': {
    query: 'demo=call',
    by: [
      turnTo('Approvals'),
      press('Always deny'),
      turnTo('Agents'),
      (page) => page.getByText('1 lasting answer about single calls').click(),
      (page) => page.getByText('Always denied').waitFor(),
    ],
    heading: 'Agents',
  },
  'agents-answers': {
    query: 'demo=many',
    by: [turnTo('Agents'), (page) => page.getByText('2 lasting answers about single calls').click()],
    heading: 'Agents',
  },
  'approval-window-unknown': { query: 'demo=unknown', page: 'approval.html', heading: 'unnamed agent' },
  'approval-window-nobody': { query: 'demo=one', page: 'approval.html', heading: 'Nobody is waiting' },
  'approval-window-over': {
    query: 'demo=request',
    page: 'approval.html',
    by: [
      (page) => page.evaluate(() => window.doorwardDemo.change(() => ({ requests: [] }))),
      (page) => page.getByText('This request is over').waitFor(),
    ],
    heading: 'This request is over',
  },
  'approval-window-denied': {
    query: 'demo=many',
    page: 'approval.html',
    by: [press('Deny'), (page) => page.getByText('Denied.').first().waitFor()],
    heading: 'Denied',
  },
  'approval-window-refused': {
    query: 'demo=request&fail=approve:rights_invalid',
    page: 'approval.html',
    by: [press('Approve'), (page) => page.getByRole('alert').waitFor()],
    heading: 'My agent',
  },
  'approval-window-locked': { query: 'demo=locked', page: 'approval.html', heading: 'Doorward is locked' },
  locked: { query: 'demo=locked', heading: 'Doorward is locked' },
  'locked-again': {
    query: 'demo=locked&fail=unlock:store_locked',
    by: [press('Try again'), (page) => page.getByRole('alert').waitFor()],
    heading: 'Doorward is locked',
  },
  'locked-passphrase': {
    query: 'demo=passphrase&fail=unlock:passphrase_wrong',
    by: [
      (page) => page.getByLabel('Passphrase').fill('not it'),
      press('Unlock'),
      (page) => page.getByRole('alert').waitFor(),
    ],
    heading: 'Doorward is locked',
  },
  'new-passphrase': {
    query: 'demo=new',
    by: [
      (page) => page.getByLabel('Passphrase').fill('one thing'),
      (page) => page.getByLabel('The same once more').fill('another'),
    ],
    heading: 'Choose a passphrase',
  },
  held: { query: 'demo=held', heading: 'Doorward runs already' },
  broken: { query: 'demo=broken', heading: 'Doorward cannot be shown' },
  quit: { query: 'demo=one', by: [press('Quit…')], heading: 'Connections' },
};
