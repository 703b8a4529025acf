// Loaded into a program of others with `node --import`: adds `Authorization: Bearer $BEARER` to every request that goes to
// the origin $BEARER_FOR and has none. Node announces each request before it is sent, whether it goes through `fetch`
// (undici) or through node:http; so nothing stands between the program and the server, and Host and Origin are the
// program's own.

import { subscribe } from 'node:diagnostics_channel';

const { BEARER, BEARER_FOR } = process.env;
const to = new URL(BEARER_FOR);

subscribe('undici:request:create', ({ request }) => {
  const names = [request.headers].flat().map((part) => String(part).toLowerCase());
  const has = names.some((name) => name === 'authorization' || name.startsWith('authorization:'));
  if (!has && String(request.origin) === to.origin) request.addHeader('authorization', `Bearer ${BEARER}`);
});

subscribe('http.client.request.created', ({ request }) => {
  const goes = `${request.protocol}//${request.getHeader('host')}` === to.origin;
  if (goes && !request.hasHeader('authorization')) request.setHeader('authorization', `Bearer ${BEARER}`);
});
