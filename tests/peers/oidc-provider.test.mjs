// That the strict server is as strict as its header says, so that a test of ours which passes against it means something.

import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { createInterface } from 'node:readline';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';

let peer;
let issuer;
let control;
let metadata;

before(async () => {
  peer = spawn(process.execPath, [new URL('oidc-provider.mjs', import.meta.url).pathname, '--access-ttl', '2'], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const [line] = await once(createInterface({ input: peer.stdout }), 'line');
  ({ issuer, control } = JSON.parse(line));
  metadata = await (await fetch(`${issuer}/.well-known/oauth-authorization-server`)).json();
});

after(async () => {
  peer.stdin.end();
  assert.deepEqual(await once(peer, 'exit'), [0, null], 'it ends when its standard input does');
});

const redirect = 'http://127.0.0.1:49152/callback';
const ask = async (path, value) => {
  const init = value && { method: 'POST', body: JSON.stringify(value) };
  const reply = await fetch(`${control}${path}`, init);
  return { status: reply.status, body: await reply.json() };
};
const post = async (url, fields, headers = {}) => {
  const reply = await fetch(url, { method: 'POST', body: new URLSearchParams(fields), headers });
  const text = await reply.text();
  return { status: reply.status, body: text ? JSON.parse(text) : {} };
};
const token = (fields) => post(metadata.token_endpoint, fields);
const whoami = async (access) =>
  (await fetch(`${issuer}/api/whoami`, { headers: { Authorization: `Bearer ${access}` } })).status;

async function register() {
  const reply = await fetch(metadata.registration_endpoint, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({
      client_name: 'test',
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: ['http://127.0.0.1/callback'],
    }),
  });
  assert.equal(reply.status, 201);
  return (await reply.json()).client_id;
}

function authorizationUrl(client, verifier, extra = {}) {
  const url = new URL(metadata.authorization_endpoint);
  const fields = {
    client_id: client,
    response_type: 'code',
    redirect_uri: redirect,
    scope: 'openid offline_access files:read',
    prompt: 'consent',
    state: 'st',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    ...extra,
  };
  for (const [name, value] of Object.entries(fields)) if (value) url.searchParams.set(name, value);
  return url.href;
}

async function consent(client, extra, choice = {}) {
  const verifier = randomBytes(32).toString('base64url');
  const { status, body } = await ask('/answer', { url: authorizationUrl(client, verifier, extra), ...choice });
  assert.equal(status, 200, JSON.stringify(body));
  return { verifier, back: new URL(body.redirect).searchParams, redirect: body.redirect };
}

const exchange = (client, { verifier, back }) =>
  token({
    grant_type: 'authorization_code',
    client_id: client,
    code: back.get('code'),
    redirect_uri: redirect,
    code_verifier: verifier,
  });
const refresh = (client, value) => token({ grant_type: 'refresh_token', client_id: client, refresh_token: value });

async function connected(extra) {
  const client = await register();
  const { status, body } = await exchange(client, await consent(client, extra));
  assert.equal(status, 200, JSON.stringify(body));
  return { client, tokens: body };
}

test('metadata names every endpoint and only S256', () => {
  assert.equal(metadata.issuer, issuer);
  assert.deepEqual(metadata.code_challenge_methods_supported, ['S256']);
  assert.equal(metadata.authorization_response_iss_parameter_supported, true);
  for (const name of ['registration', 'revocation', 'introspection', 'token', 'authorization']) {
    assert.ok(metadata[`${name}_endpoint`].startsWith(issuer), name);
  }
});

test('a registered native client connects on any loopback port, and its tokens work until they expire', async () => {
  const client = await register();
  const answer = await consent(client);
  assert.ok(answer.redirect.startsWith(`${redirect}?`));
  assert.equal(answer.back.get('state'), 'st');
  assert.equal(answer.back.get('iss'), issuer);
  const { body } = await exchange(client, answer);
  assert.equal(body.token_type, 'Bearer');
  assert.equal(body.expires_in, 2);
  assert.ok(body.refresh_token);
  assert.equal(await whoami(body.access_token), 200);
  await delay(2100);
  assert.equal(await whoami(body.access_token), 401);
  assert.equal((await refresh(client, body.refresh_token)).status, 200);
});

test('a code works once, with its verifier, and using it again ends what it gave', async () => {
  const client = await register();
  const first = await consent(client);
  assert.equal((await exchange(client, { ...first, verifier: 'x'.repeat(43) })).body.error, 'invalid_grant');
  const answer = await consent(client);
  const { body } = await exchange(client, answer);
  assert.equal((await exchange(client, answer)).body.error, 'invalid_grant');
  assert.equal((await refresh(client, body.refresh_token)).body.error, 'invalid_grant');
});

test('without PKCE or with plain there is no code', async () => {
  const client = await register();
  for (const extra of [
    { code_challenge: '', code_challenge_method: '' },
    { code_challenge: 'x'.repeat(43), code_challenge_method: 'plain' },
  ]) {
    assert.equal((await consent(client, extra)).back.get('error'), 'invalid_request');
  }
});

test('another redirect URI is not redirected to', async () => {
  const client = await register();
  const url = authorizationUrl(client, 'v', { redirect_uri: 'http://127.0.0.1:49152/elsewhere' });
  assert.equal((await ask('/answer', { url })).status, 409);
});

test('every refresh rotates, and reuse ends the family', async () => {
  const { client, tokens } = await connected();
  const second = (await refresh(client, tokens.refresh_token)).body;
  const third = (await refresh(client, second.refresh_token)).body;
  assert.equal(new Set([tokens, second, third].map((each) => each.refresh_token)).size, 3);
  assert.equal(await whoami(third.access_token), 200);
  const reused = await refresh(client, second.refresh_token);
  assert.deepEqual([reused.status, reused.body.error], [400, 'invalid_grant']);
  assert.equal((await refresh(client, third.refresh_token)).body.error, 'invalid_grant');
  assert.equal(await whoami(third.access_token), 401);
});

test('of two refreshes at once just one is answered', async () => {
  for (let round = 0; round < 10; round += 1) {
    const { client, tokens } = await connected();
    const replies = await Promise.all([1, 2, 3].map(() => refresh(client, tokens.refresh_token)));
    assert.equal(replies.filter((reply) => reply.status === 200).length, 1);
  }
});

test('revoking the refresh token ends the grant', async () => {
  const { client, tokens } = await connected();
  const before = (await ask('/grants')).body.length;
  const fields = { client_id: client, token: tokens.refresh_token, token_type_hint: 'refresh_token' };
  assert.equal((await post(metadata.revocation_endpoint, fields)).status, 200);
  assert.equal((await refresh(client, tokens.refresh_token)).body.error, 'invalid_grant');
  assert.equal(await whoami(tokens.access_token), 401);
  assert.equal((await ask('/grants')).body.length, before - 1);
});

test('a grant revoked by its owner is gone', async () => {
  const { client, tokens } = await connected();
  const { id } = (await ask('/grants')).body.find((grant) => grant.client_id === client);
  assert.equal((await ask(`/grants/${id}/revoke`, {})).status, 200);
  assert.equal((await ask(`/grants/${id}/revoke`, {})).status, 404);
  assert.equal(await whoami(tokens.access_token), 401);
  assert.equal((await refresh(client, tokens.refresh_token)).body.error, 'invalid_grant');
});

test('the person may decline, or grant less', async () => {
  const client = await register();
  assert.equal((await consent(client, {}, { answer: 'decline' })).back.get('error'), 'access_denied');
  const asked = { scope: 'openid offline_access files:read files:write' };
  const answer = await consent(client, asked, { scope: ['openid', 'offline_access', 'files:read'] });
  const { body } = await exchange(client, answer);
  assert.deepEqual(body.scope.split(' ').sort(), ['files:read', 'offline_access', 'openid']);
});

test('offline_access without prompt=consent is dropped in silence', async () => {
  const { tokens } = await connected({ prompt: '' });
  assert.equal(tokens.refresh_token, undefined);
});

test('OAuth without openid works, for the API and no other resource', async () => {
  const { client, tokens } = await connected({ scope: 'offline_access files:read', resource: `${issuer}/api` });
  assert.equal(await whoami(tokens.access_token), 200);
  assert.equal((await refresh(client, tokens.refresh_token)).status, 200);
  const refused = await consent(client, { resource: 'https://elsewhere.test/' });
  assert.equal(refused.back.get('error'), 'invalid_target');
});

test('a confidential client must show its secret', async () => {
  const answer = await consent('peer-confidential');
  const fields = {
    grant_type: 'authorization_code',
    code: answer.back.get('code'),
    redirect_uri: redirect,
    code_verifier: answer.verifier,
  };
  const basic = (secret) => ({ Authorization: `Basic ${Buffer.from(`peer-confidential:${secret}`).toString('base64')}` });
  assert.equal((await post(metadata.token_endpoint, fields, basic('wrong'))).body.error, 'invalid_client');
  assert.equal((await post(metadata.token_endpoint, fields, basic('peer-secret'))).status, 200);
});

test('the control port counts token requests by kind and can hold their answers', async () => {
  const { client, tokens } = await connected();
  const kind = async () => (await ask('/counts')).body.token.refresh_token;
  const start = await kind();
  await refresh(client, 'nonsense');
  await ask('/hold', { token: 300 });
  const began = performance.now();
  assert.equal((await refresh(client, tokens.refresh_token)).status, 200);
  await ask('/hold', { token: 0 });
  assert.ok(performance.now() - began >= 300);
  assert.deepEqual(await kind(), { ok: start.ok + 1, failed: start.failed + 1 });
});
