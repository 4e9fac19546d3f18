// Upgrades that do not happen: refused by the gateway, refused by the backend, or to something else than WebSocket. What
// the client sent behind its head must be neither a request nor the start of a tunnel (RFC 6455 §4.2.2, RFC 9110 §7.8).
import { createServer } from 'node:http';
import { handshake } from '../../support/raw.ts';
import type { Case } from './attack.ts';
import type { Script } from './canary.ts';
import { HOST, LAST, refused, SMUGGLED, through } from './cases-framing.ts';

const LAST_ONLY = 'GET /public/last';
type Changes = Parameters<typeof handshake>[0];

/** A handshake with a request behind it. */
const behind = (path: string, changes: Changes = {}, body = ''): string =>
  `${handshake(changes, `GET ${path} HTTP/1.1`)}${body}${SMUGGLED}${LAST}`;

const answer = (status: string, fields: string, body = ''): Script => ({
  answer: () => `HTTP/1.1 ${status}\r\n${fields}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
});
const switching = (fields: readonly string[]): string =>
  ['HTTP/1.1 101 Switching Protocols', ...fields, '', ''].join('\r\n');

/** What the backend answers a handshake with, by path: one real 101, and much that is none. */
export const UPGRADE_SCRIPTS: Readonly<Record<string, Script>> = {
  '/ws': {
    tunnel: true,
    answer: (_, accept) => switching(['Upgrade: websocket', 'Connection: Upgrade', `Sec-WebSocket-Accept: ${accept}`]),
  },
  '/refused/426': answer(
    '426 Upgrade Required',
    'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13',
  ),
  '/refused/200': answer('200 OK', 'X: y', 'a page'),
  '/refused/404': answer('404 Not Found', 'X: y', 'nothing'),
  '/refused/500': answer('500 Internal Server Error', 'X: y'),
  '/refused/502': answer('502 Bad Gateway', 'X: y'),
  '/refused/upgraded-200': answer('200 OK', 'Upgrade: websocket\r\nConnection: Upgrade', ''),
  '/refused/bare-101': { answer: () => switching([]) },
  '/refused/101-without-accept': { answer: () => switching(['Upgrade: websocket', 'Connection: Upgrade']) },
  '/refused/101-without-upgrade': {
    answer: (_, accept) => switching(['Connection: Upgrade', `Sec-WebSocket-Accept: ${accept}`]),
  },
  '/refused/101-without-connection': {
    answer: (_, accept) => switching(['Upgrade: websocket', `Sec-WebSocket-Accept: ${accept}`]),
  },
  '/refused/101-to-h2c': {
    answer: (_, accept) => switching(['Upgrade: h2c', 'Connection: Upgrade', `Sec-WebSocket-Accept: ${accept}`]),
  },
  '/refused/101-with-another-accept': {
    answer: () =>
      switching(['Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=']),
  },
  '/refused/interim-answers-without-end': { answer: () => 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(50_000) },
  '/refused/101-then-200': {
    answer: () => `${switching([])}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhidden`,
  },
};

const backendSays = (what: string, status: number, requests = 1): Case => ({
  name: `a request behind an upgrade that the backend answers with ${what}`,
  bytes: behind(`/refused/${what}`),
  want: { answers: [status], reached: Array.from({ length: requests }, () => `GET /refused/${what}`) },
});

export const BEHIND_UPGRADES: readonly Case[] = [
  backendSays('426', 426),
  backendSays('200', 200),
  backendSays('404', 404),
  backendSays('500', 500),
  backendSays('502', 502),
  backendSays('upgraded-200', 200),
  backendSays('bare-101', 502),
  backendSays('101-without-accept', 502),
  backendSays('101-without-upgrade', 502),
  backendSays('101-without-connection', 502),
  backendSays('101-to-h2c', 502),
  backendSays('101-with-another-accept', 502),
  backendSays('101-then-200', 502),
  backendSays('interim-answers-without-end', 502),
  {
    name: 'a request behind an upgrade to no route',
    bytes: behind('/nowhere'),
    want: refused(404),
  },
  {
    name: 'a request behind an upgrade with a wrong version',
    bytes: behind('/ws', { 'Sec-WebSocket-Version': '777' }),
    want: refused(426),
  },
  {
    name: 'a request behind an upgrade with a bad key',
    bytes: behind('/ws', { 'Sec-WebSocket-Key': 'short' }),
    want: refused(400),
  },
  {
    name: 'a request behind an upgrade to a plain route',
    bytes: behind('/public/a'),
    want: refused(404),
  },
  {
    name: 'a request that comes after the refusal of an upgrade',
    bytes: [handshake({ 'Sec-WebSocket-Version': '777' }, 'GET /ws HTTP/1.1'), SMUGGLED, LAST],
    want: refused(426),
  },
  {
    name: 'a request that comes after the backend refused an upgrade',
    bytes: [handshake({}, 'GET /refused/426 HTTP/1.1'), SMUGGLED, LAST],
    want: { answers: [426], reached: ['GET /refused/426'] },
  },
  {
    name: 'a request behind an upgrade that succeeds is bytes of the tunnel',
    bytes: behind('/ws'),
    want: { answers: [101], reached: ['GET /ws', `tunnel: ${JSON.stringify(`${SMUGGLED}${LAST}`)}`] },
  },
];

const bodied = (name: string, changes: Changes, body: string): Case => ({
  name,
  bytes: behind('/ws', changes, body),
  want: refused(),
});

export const BODIES: readonly Case[] = [
  bodied('an upgrade with a body by Content-Length', { 'Content-Length': '5' }, 'hello'),
  bodied('an upgrade with a body in chunks', { 'Transfer-Encoding': 'chunked' }, '5\r\nhello\r\n0\r\n\r\n'),
  bodied('an upgrade with an empty body in chunks', { 'Transfer-Encoding': 'chunked' }, '0\r\n\r\n'),
  bodied('an upgrade with the request behind it as its body', { 'Content-Length': String(SMUGGLED.length) }, ''),
  bodied('an upgrade with both framings', { 'Content-Length': '5', 'Transfer-Encoding': 'chunked' }, '0\r\n\r\n'),
  bodied('an upgrade with Content-Length twice', { 'Content-Length': ['0', '5'] }, 'hello'),
  {
    name: 'an upgrade by POST with a body',
    bytes: `${handshake({ 'Content-Length': '5' }, 'POST /ws HTTP/1.1')}hello${SMUGGLED}${LAST}`,
    want: refused(405),
  },
  {
    name: 'an upgrade in HTTP/1.0',
    bytes: `${handshake({}, 'GET /ws HTTP/1.0')}${SMUGGLED}${LAST}`,
    want: refused(),
  },
];

const watch = ['upgrade', 'http2-settings'] as const;
const NO_UPGRADE = '{upgrade: none} {http2-settings: none}';
const plain = (name: string, fields: string, behindIt = ''): Case => ({
  name,
  bytes: `GET /public/a HTTP/1.1\r\n${HOST}\r\n${fields}\r\n\r\n${behindIt}${LAST}`,
  want: through(`GET /public/a ${NO_UPGRADE}`, `${LAST_ONLY} ${NO_UPGRADE}`),
  watch,
});

export const H2C: readonly Case[] = [
  plain(
    'Upgrade: h2c with HTTP2-Settings',
    'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA',
  ),
  plain('Upgrade: h2c without naming it', 'Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA'),
  plain('Upgrade: h2c, h2c', 'Connection: Upgrade\r\nUpgrade: h2c, h2c'),
  plain('Upgrade: TLS/1.0', 'Connection: Upgrade\r\nUpgrade: TLS/1.0'),
  plain('Upgrade: websocket2', 'Connection: Upgrade\r\nUpgrade: websocket2'),
  plain('Upgrade: websocket without Connection', 'Upgrade: websocket'),
  {
    ...plain('Upgrade: h2c with the preface behind it', 'Connection: Upgrade\r\nUpgrade: h2c'),
    bytes: `GET /public/a HTTP/1.1\r\n${HOST}\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${LAST}`,
    want: { answers: [200, 400], reached: [`GET /public/a ${NO_UPGRADE}`] },
  },
  {
    name: 'Upgrade: h2c, websocket',
    bytes: handshake({
      Upgrade: 'h2c, websocket',
      Connection: 'Upgrade, HTTP2-Settings',
      'HTTP2-Settings': 'AAMAAABk',
    }),
    want: {
      answers: [101],
      reached: ['GET /ws {upgrade: websocket} {http2-settings: none}'],
    },
    watch,
  },
  {
    name: 'Upgrade: h2c on the path of a WebSocket',
    bytes: `${handshake({ Upgrade: 'h2c', Connection: 'Upgrade, HTTP2-Settings', 'HTTP2-Settings': 'AAMAAABk' })}${LAST}`,
    want: refused(426),
    watch,
  },
  {
    name: 'a body in chunks behind Upgrade: h2c',
    bytes: `POST /public/a HTTP/1.1\r\n${HOST}\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n${LAST}`,
    want: through(`POST /public/a "hello" ${NO_UPGRADE}`, `${LAST_ONLY} ${NO_UPGRADE}`),
    // Node that can be told not to take such an upgrade loses what came along behind it: the connection ends there.
    ...('shouldUpgradeCallback' in createServer() ? { byNode: through(`POST /public/a "hello" ${NO_UPGRADE}`) } : {}),
    watch,
  },
  {
    name: 'both framings behind Upgrade: h2c',
    bytes: `POST /public/a HTTP/1.1\r\n${HOST}\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}${LAST}`,
    want: refused(),
  },
];
