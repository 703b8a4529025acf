#!/usr/bin/env node
// A strict OAuth 2.1 / OpenID Connect server that is not ours: npm's oidc-provider, set up as unforgiving as it gets.
//
//   node oidc-provider.mjs [--port N] [--access-ttl SECONDS] [--refresh-ttl SECONDS] [--refresh-always] [--confidential]
//
// When it answers it prints one line, {"issuer":"http://127.0.0.1:PORT","control":"http://127.0.0.1:PORT"}. It ends on
// SIGTERM or SIGINT, and when its standard input ends: give it a pipe, and it cannot outlive the test that started it
// (`--keep` turns that off, for trying it by hand).
//
// What is strict: PKCE with S256 for everyone; refresh tokens rotate at every use, and a second use of one ends the whole
// grant, with no grace; token requests are taken one at a time, so two uses at once are a reuse for certain; redirect
// URIs match exactly, save for the port of a native client's loopback URI (RFC 8252); `resource` must be the API's.
// Everything is kept in memory (the newest 1000 objects).
//
// Clients: register dynamically (RFC 7591, open), or use "peer-public" (native, no secret) or "peer-confidential"
// (secret "peer-secret"), both with http://127.0.0.1/callback on any port. A native client must be registered with
// "application_type":"native", "token_endpoint_auth_method":"none" and "grant_types":["authorization_code",
// "refresh_token"]. As OpenID Connect has it, a refresh token comes only with the scope `offline_access`, and that scope
// is dropped in silence unless `prompt=consent` is sent too; with --refresh-always it comes anyway, as plain OAuth servers
// do. Other scopes: openid, files:read, files:write. With --confidential every client that registers gets a secret and
// has to show it in the Authorization header (client_secret_basic), whatever it asked for: RFC 7591 §3.2.1 allows that.
//
// What a token opens: GET ISSUER/api/whoami, with any access token that lives, answers {"sub","scope","client_id"}; else
// 401 with WWW-Authenticate: Bearer error="invalid_token".
//
// Answering the consent page by plain HTTP: GET the authorization URL with a cookie jar and follow the redirects to
// ISSUER/interaction/UID, a page with one form; POST to that same URL the fields `account` (any name; the default is
// ada@example.test), `answer` (approve or decline) and one `scope` per scope to grant; follow the redirects until one
// leaves the issuer: that is the client's redirect URI, with code, state and iss. Cookies are required throughout.
// A test that has no cookie jar asks the control port to do just that, below.
//
// The control port, a listener of its own so that no client finds it:
//   POST /answer {"url":AUTHORIZATION_URL,"answer":"approve","account":"…","scope":["…"],"deliver":false}
//        answers {"redirect":URL} with the URL that leaves the issuer; "deliver":true also GETs it, as a browser would,
//        and adds {"delivered":STATUS}. Without "scope" all that was asked is granted.
//   GET  /counts            {"token":{"authorization_code":{"ok":1,"failed":0},"refresh_token":{…}},"revocation":{…},
//                           "registration":{…},…}, by kind of request
//   GET  /grants            [{"id","account","client_id"}], the grants that live
//   POST /grants/ID/revoke  ends one as its owner would from a dashboard; 404 if there is none
//   POST /hold {"token":MS} delays every later answer of the token endpoint, after the server has committed; 0 ends it

import { createServer } from 'node:http';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { setTimeout as delay } from 'node:timers/promises';
import Provider, { errors } from 'oidc-provider';

const { values: flags } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    'access-ttl': { type: 'string', default: '3600' },
    'refresh-ttl': { type: 'string', default: String(14 * 24 * 3600) },
    'refresh-always': { type: 'boolean', default: false },
    confidential: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
  },
});
const HOST = '127.0.0.1';
const WEEKS = 14 * 24 * 3600;
const accessTtl = Number(flags['access-ttl']);

const grants = new Map();
const counts = {};
let tokenHold = 0;

// The port must be known before there is an issuer, so the listener comes first and has nothing to answer with.
let answer = (_request, response) => response.writeHead(503).end();
const server = createServer((request, response) => answer(request, response));
server.listen(Number(flags.port), HOST);
await once(server, 'listening');
const issuer = `http://${HOST}:${server.address().port}`;
const api = `${issuer}/api`;

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: 'peer-public',
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      redirect_uris: [`http://${HOST}/callback`],
      grant_types: ['authorization_code', 'refresh_token'],
    },
    {
      client_id: 'peer-confidential',
      client_secret: 'peer-secret',
      application_type: 'native',
      redirect_uris: [`http://${HOST}/callback`],
      grant_types: ['authorization_code', 'refresh_token'],
    },
  ],
  scopes: ['openid', 'offline_access', 'files:read', 'files:write'],
  // Not the account's own names: a claim asked for would be one more thing to consent to.
  claims: { openid: ['sub'] },
  findAccount: async (_context, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
  clockTolerance: 0,
  pkce: { required: () => true },
  rotateRefreshToken: () => true,
  issueRefreshToken: async (_context, client, source) =>
    client.grantTypeAllowed('refresh_token') && (flags['refresh-always'] || source.scopes.has('offline_access')),
  expiresWithSession: async () => false,
  features: {
    devInteractions: { enabled: false },
    registration: { enabled: true, initialAccessToken: false },
    revocation: { enabled: true, allowedPolicy: sameClient },
    introspection: { enabled: true, allowedPolicy: sameClient },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: async (_context, resource) => {
        if (resource !== api) throw new errors.InvalidTarget(`no such resource: ${resource}`);
        return { scope: 'files:read files:write', audience: api, accessTokenTTL: accessTtl, accessTokenFormat: 'opaque' };
      },
      // Without this, a client that left `resource` out of the token request would get a token for userinfo only.
      useGrantedResource: async () => true,
    },
  },
  ttl: {
    AccessToken: accessTtl,
    AuthorizationCode: 60,
    RefreshToken: Number(flags['refresh-ttl']),
    IdToken: 3600,
    Interaction: 600,
    Session: WEEKS,
    Grant: WEEKS,
  },
  cookies: { keys: [randomBytes(32).toString('hex')] },
  jwks: {
    keys: [{ ...generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }), use: 'sig' }],
  },
  interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
  renderError: async (context, out) => {
    context.type = 'json';
    context.body = out;
  },
});

async function sameClient(_context, client, token) {
  return token.clientId === client.clientId;
}

provider.on('grant.revoked', (_context, id) => grants.delete(id));

// The library looks whether a refresh token is spent and spends it in two steps, so of two requests at once both would
// be served. Real servers do it in one; so does a queue of one.
let queue = Promise.resolve();
provider.use(async (context, next) => {
  if (context.path !== '/token') return next();
  const turn = queue.then(next);
  queue = turn.catch(() => {});
  await turn;
  if (tokenHold > 0) await delay(tokenHold);
});

provider.use(async (context, next) => {
  await next();
  const route = context.oidc?.route;
  if (!route) return;
  const kind = route === 'token' ? (context.oidc.params?.grant_type ?? 'unknown') : undefined;
  const slot = kind ? ((counts.token ??= {})[kind] ??= zero()) : (counts[route] ??= zero());
  slot[context.status < 400 ? 'ok' : 'failed'] += 1;
});
const zero = () => ({ ok: 0, failed: 0 });

const serve = provider.callback();
answer = (request, response) => {
  const path = new URL(request.url, issuer).pathname;
  if (path === '/api/whoami') return guarded(whoami, request, response);
  if (path.startsWith('/interaction/')) return guarded(interact, request, response);
  if (flags.confidential && path === '/reg' && request.method === 'POST') {
    return guarded(registerWithSecret, request, response);
  }
  return serve(request, response);
};

async function guarded(handler, request, response) {
  try {
    await handler(request, response);
  } catch (error) {
    if (!response.headersSent) json(response, error.statusCode ?? 500, { error: error.message });
  }
}

// A body that was read already is taken from `request.body`.
async function registerWithSecret(request, response) {
  const asked = JSON.parse(await body(request));
  request.body = { ...asked, token_endpoint_auth_method: 'client_secret_basic' };
  return serve(request, response);
}

async function whoami(request, response) {
  const value = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
  const token = value && (await provider.AccessToken.find(value));
  if (!token) {
    response.setHeader('WWW-Authenticate', 'Bearer error="invalid_token"');
    return json(response, 401, { error: 'invalid_token' });
  }
  return json(response, 200, { sub: token.accountId, scope: token.scope, client_id: token.clientId });
}

async function interact(request, response) {
  const { uid, params } = await provider.interactionDetails(request, response);
  const asked = (params.scope ?? '').split(' ').filter(Boolean);
  if (request.method !== 'POST') return page(response, uid, params, asked);

  const form = new URLSearchParams(await body(request));
  if (form.get('answer') !== 'approve') {
    return provider.interactionFinished(request, response, {
      error: 'access_denied',
      error_description: 'the person declined',
    });
  }
  const accountId = form.get('account') || 'ada@example.test';
  const scope = form.getAll('scope').join(' ');
  const grant = new provider.Grant({ accountId, clientId: params.client_id });
  grant.addOIDCScope(scope);
  const left = asked.filter((name) => !scope.split(' ').includes(name));
  // What is neither granted nor rejected would be asked for again, without end.
  if (left.length > 0) grant.rejectOIDCScope(left.join(' '));
  if (params.resource) {
    grant.addResourceScope(api, scope);
    if (left.length > 0) grant.rejectResourceScope(api, left.join(' '));
  }
  const grantId = await grant.save();
  grants.set(grantId, { id: grantId, account: accountId, client_id: params.client_id });
  return provider.interactionFinished(request, response, { login: { accountId }, consent: { grantId } });
}

function page(response, uid, params, asked) {
  const box = (name) => `<label><input type="checkbox" name="scope" value="${text(name)}" checked> ${text(name)}</label>`;
  response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8', 'Cache-Control': 'no-store' });
  response.end(`<!doctype html><html lang="en"><title>Consent</title>
<h1>${text(params.client_id)} asks for access</h1>
<form method="post" action="/interaction/${text(uid)}">
<p><label>Account <input name="account" value="ada@example.test"></label></p>
<p>${asked.map(box).join(' ')}</p>
<button name="answer" value="approve">Approve</button> <button name="answer" value="decline">Decline</button>
</form></html>`);
}

const text = (value) => String(value).replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);

const control = createServer((request, response) => guarded(command, request, response));
control.listen(0, HOST);
await once(control, 'listening');

async function command(request, response) {
  const { pathname } = new URL(request.url, issuer);
  const call = `${request.method} ${pathname}`;
  if (call === 'GET /counts') return json(response, 200, counts);
  if (call === 'GET /grants') return json(response, 200, [...grants.values()]);
  if (call === 'POST /answer') return json(response, 200, await answerConsent(JSON.parse(await body(request))));
  if (call === 'POST /hold') {
    tokenHold = JSON.parse(await body(request)).token ?? 0;
    return json(response, 200, { token: tokenHold });
  }
  const id = /^POST \/grants\/([\w-]+)\/revoke$/.exec(call)?.[1];
  if (id && grants.delete(id)) {
    for (const model of [provider.AccessToken, provider.RefreshToken, provider.AuthorizationCode]) {
      await model.revokeByGrantId(id);
    }
    await (await provider.Grant.find(id))?.destroy();
    return json(response, 200, { revoked: id });
  }
  return json(response, 404, { error: 'not found' });
}

// The person's browser, as far as a test needs one: over HTTP like anybody, with cookies.
async function answerConsent({ url, answer: chosen = 'approve', account = 'ada@example.test', scope, deliver = false }) {
  if (!url?.startsWith(`${issuer}/`)) throw Object.assign(new Error('url is not of this issuer'), { statusCode: 400 });
  const jar = new Map();
  const visit = async (target, form) => {
    const reply = await fetch(target, {
      method: form ? 'POST' : 'GET',
      body: form,
      redirect: 'manual',
      headers: { Cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; ') },
    });
    for (const cookie of reply.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie);
      if (value) jar.set(name, value);
      else jar.delete(name);
    }
    return reply;
  };

  let target = url;
  let form;
  // start → page → answer → resume → the client: five steps; more is a loop.
  for (let step = 0; step < 8; step += 1) {
    const reply = await visit(target, form);
    form = undefined;
    const location = reply.headers.get('location');
    if (location) {
      target = new URL(location, target).href;
      if (target.startsWith(`${issuer}/`)) continue;
      const delivered = deliver ? (await fetch(target)).status : undefined;
      return { redirect: target, delivered };
    }
    const html = await reply.text();
    if (reply.status !== 200 || !new URL(target).pathname.startsWith('/interaction/')) {
      throw Object.assign(new Error(`no consent page but ${reply.status}: ${html}`), { statusCode: 409 });
    }
    form = new URLSearchParams({ account, answer: chosen });
    const asked = [...html.matchAll(/name="scope" value="([^"]+)"/g)].map(([, name]) => name);
    for (const name of scope ?? asked) form.append('scope', name);
  }
  throw new Error('the redirects did not end');
}

async function body(request) {
  let all = '';
  for await (const part of request) all += part;
  return all;
}

function json(response, status, value) {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(`${JSON.stringify(value)}\n`);
}

const end = () => process.exit(0);
process.on('SIGTERM', end);
process.on('SIGINT', end);
if (!flags.keep) process.stdin.on('end', end).resume();

console.log(JSON.stringify({ issuer, control: `http://${HOST}:${control.address().port}` }));
