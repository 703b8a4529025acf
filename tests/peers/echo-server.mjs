#!/usr/bin/env node
// An API that says what came to it, for calls that are made twice: directly, and through Doorward's proxy door.
//
//   node echo-server.mjs [--port N]
//
// When it answers it prints one line, {"url":"http://127.0.0.1:PORT"}. It ends on SIGTERM or SIGINT, and when its standard
// input ends (`--keep` turns that off).
//
//   any    /echo/…        200 and {"method","url","headers":{…},"length","sha256","trailers":{…}}: the target as it came,
//                         headers by lower-case name, what the body was
//   any    /bytes/N       N bytes that differ by place, with an ETag; ranges by byte, one or several, and If-Range
//   any    /refuse        413 at once, before the body and without 100 Continue
//   any    /trailers      a chunked body with the trailers X-Sum and X-Late
//   any    /gzip          JSON, compressed, whatever was accepted
//   any    /cookie        200 with Set-Cookie
//   any    /status/N      that status, with an empty body
//   any    /redirect?to=  307 to there

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';

const HOST = '127.0.0.1';
const ETAG = '"of-these-bytes"';

const { values: flags } = parseArgs({
  options: { port: { type: 'string', default: '0' }, keep: { type: 'boolean', default: false } },
});

async function echo(request, response) {
  const hash = createHash('sha256');
  let length = 0;
  for await (const part of request) {
    hash.update(part);
    length += part.length;
  }
  const { method, url, headers, trailers } = request;
  json(response, 200, { method, url, headers, length, sha256: hash.digest('hex'), trailers });
}

/** Each byte tells its place, so that a range out of place is seen. */
function bytesOf(count) {
  const bytes = Buffer.alloc(count);
  for (let place = 0; place < count; place += 1) bytes[place] = (place * 31 + (place >> 8)) & 0xff;
  return bytes;
}

function bytes(request, response, count) {
  const all = bytesOf(count);
  const head = { 'Content-Type': 'application/octet-stream', 'Accept-Ranges': 'bytes', ETag: ETAG };
  const condition = request.headers['if-range'];
  const wanted = condition === undefined || condition === ETAG ? ranges(request.headers.range, count) : [];
  if (wanted.length === 0) return send(request, response, 200, { ...head, 'Content-Length': count }, all);
  if (wanted.some(({ start, end }) => start > end)) {
    return send(request, response, 416, { 'Content-Range': `bytes */${count}`, 'Content-Length': 0 }, Buffer.alloc(0));
  }
  const range = ({ start, end }) => `bytes ${start}-${end}/${count}`;
  if (wanted.length === 1) {
    const part = all.subarray(wanted[0].start, wanted[0].end + 1);
    return send(request, response, 206, { ...head, 'Content-Range': range(wanted[0]), 'Content-Length': part.length }, part);
  }
  const parts = wanted.flatMap((one) => [
    Buffer.from(`--edge\r\nContent-Range: ${range(one)}\r\n\r\n`),
    all.subarray(one.start, one.end + 1),
    Buffer.from('\r\n'),
  ]);
  const body = Buffer.concat([...parts, Buffer.from('--edge--\r\n')]);
  const kind = { 'Content-Type': 'multipart/byteranges; boundary=edge', 'Content-Length': body.length };
  return send(request, response, 206, { ...head, ...kind }, body);
}

function ranges(text, count) {
  const [, list] = /^bytes=(.+)$/.exec(text ?? '') ?? [];
  return (list ?? '').split(',').filter(Boolean).map((one) => {
    const [from, to] = one.trim().split('-');
    if (from === '') return { start: Math.max(count - Number(to), 0), end: count - 1 };
    return { start: Number(from), end: to === '' ? count - 1 : Math.min(Number(to), count - 1) };
  });
}

function send(request, response, status, head, body) {
  response.writeHead(status, head);
  response.end(request.method === 'HEAD' ? undefined : body);
}

function json(response, status, value) {
  const text = JSON.stringify(value);
  response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) });
  response.end(text);
}

function withTrailers(response) {
  response.writeHead(200, { 'Content-Type': 'text/plain', Trailer: 'X-Sum, X-Late' });
  response.write('what came ');
  response.write('in pieces');
  response.addTrailers({ 'X-Sum': '19', 'X-Late': 'yes' });
  response.end();
}

function answer(request, response, continued) {
  const { pathname, searchParams } = new URL(request.url, `http://${HOST}`);
  const [, first, second] = pathname.split('/');
  if (first === 'refuse') {
    response.writeHead(413, { 'Content-Type': 'text/plain', 'Content-Length': 8, Connection: 'close' });
    return response.end('too much');
  }
  if (continued) response.writeContinue();
  if (first === 'bytes') return bytes(request, response, Number(second));
  if (first === 'trailers') return withTrailers(response);
  if (first === 'gzip') {
    const packed = gzipSync(JSON.stringify({ packed: true }));
    const head = { 'Content-Type': 'application/json', 'Content-Encoding': 'gzip', 'Content-Length': packed.length };
    return send(request, response, 200, head, packed);
  }
  if (first === 'cookie') return send(request, response, 200, { 'Set-Cookie': 'session=1; Path=/', 'Content-Length': 0 });
  if (first === 'status') return send(request, response, Number(second), {});
  if (first === 'redirect') return send(request, response, 307, { Location: searchParams.get('to'), 'Content-Length': 0 });
  return echo(request, response);
}

const server = createServer((request, response) => answer(request, response, false));
server.on('checkContinue', (request, response) => answer(request, response, true));
server.listen(Number(flags.port), HOST);
await once(server, 'listening');

const end = () => process.exit(0);
process.on('SIGTERM', end);
process.on('SIGINT', end);
if (!flags.keep) process.stdin.on('end', end).resume();

console.log(JSON.stringify({ url: `http://${HOST}:${server.address().port}` }));
