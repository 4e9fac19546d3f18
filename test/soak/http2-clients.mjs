// Clients of the soak that speak HTTP/2: those that flood, stop halfway, fall silent or send malformed frames, by raw frames
// over TLS and without; and one that behaves, who is owed whole answers beside them.
import { randomBytes } from 'node:crypto';
import http2 from 'node:http2';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import tls from 'node:tls';
import { ACK, END_HEADERS, END_STREAM, FRAME, frame, PREFACE } from '../support/http2-frames.mjs';

/** Short fields as literals without Huffman (RFC 7541 §6.2.2). */
function block(fields) {
  const parts = fields.flatMap((words) =>
    words.map((word) => Buffer.concat([Buffer.of(word.length), Buffer.from(word)])),
  );
  return Buffer.concat(parts.map((part, i) => (i % 2 === 0 ? Buffer.concat([Buffer.of(0), part]) : part)));
}

const head = (secure, method, path, more = []) =>
  block([
    [':method', method],
    [':scheme', secure ? 'https' : 'http'],
    [':authority', 'localhost'],
    [':path', path],
    ...more,
  ]);
const many = (count, make) => Buffer.concat(Array.from({ length: count }, (_, i) => make(i)));
const below = (most) => Math.floor(Math.random() * most);
const id = (i) => 2 * i + 1;
const BEGIN = Buffer.concat([PREFACE, frame(FRAME.settings), frame(FRAME.settings, ACK)]);
const WEBSOCKET = [
  [':protocol', 'websocket'],
  ['sec-websocket-version', '13'],
  ['origin', 'https://localhost'],
];

/** A frame whose type, flags, stream and length need not fit, or a good one with an octet of it changed. */
function malformed(secure) {
  const one = [
    () => frame(below(12), below(256), below(6), randomBytes(below(20))),
    () => frame(FRAME.headers, END_HEADERS | END_STREAM, id(below(4)), head(secure, 'GET', '/')),
    () => frame(FRAME.goaway, 0, 0, Buffer.of(0, 0, 0, 0, 0, 0, 0, below(14))),
    () =>
      frame(
        [FRAME.reset, FRAME.ping, FRAME.window, FRAME.settings, FRAME.priority][below(5)],
        0,
        below(2),
        randomBytes(below(10)),
      ),
  ][below(4)]();
  if (Math.random() < 0.3) one[below(one.length)] = below(256);
  return one;
}

/** Writes until it is closed or so many are written, never faster than it is taken for more than a second. */
async function pour(socket, times, bytes) {
  for (let i = 0; i < times && !socket.destroyed; i++) {
    socket.write(typeof bytes === 'function' ? bytes(i) : bytes);
    for (let waited = 0; waited < 50 && socket.writableNeedDrain && !socket.destroyed; waited++) await sleep(20);
  }
}

/** Each is given a socket that has sent nothing, and whether it has TLS. */
const MISBEHAVIOURS = {
  async resets(socket, secure) {
    socket.write(BEGIN);
    const request = (i) => frame(FRAME.headers, END_HEADERS | END_STREAM, id(i), head(secure, 'GET', '/'));
    const reset = (i) => frame(FRAME.reset, 0, id(i), Buffer.of(0, 0, 0, 8));
    await pour(socket, 20, (n) => many(100, (i) => Buffer.concat([request(100 * n + i), reset(100 * n + i)])));
  },
  async continuations(socket, secure) {
    socket.write(Buffer.concat([BEGIN, frame(FRAME.headers, 0, 1, head(secure, 'GET', '/'))]));
    await pour(
      socket,
      20,
      many(100, () => frame(FRAME.continuation, 0, 1)),
    );
  },
  async settings(socket) {
    socket.write(BEGIN);
    await pour(
      socket,
      20,
      many(200, () => frame(FRAME.settings)),
    );
  },
  async pings(socket) {
    socket.write(BEGIN);
    if (Math.random() < 0.5) socket.pause();
    await pour(
      socket,
      20,
      many(200, () => frame(FRAME.ping, 0, 0, Buffer.alloc(8))),
    );
  },
  async emptyData(socket, secure) {
    socket.write(Buffer.concat([BEGIN, frame(FRAME.headers, END_HEADERS, 1, head(secure, 'POST', '/'))]));
    await pour(
      socket,
      30,
      many(500, () => frame(FRAME.data, 0, 1)),
    );
  },
  async priorities(socket) {
    socket.write(BEGIN);
    await pour(socket, 20, (n) =>
      many(200, (i) => frame(FRAME.priority, 0, id(200 * n + i), Buffer.of(0, 0, 0, 0, 15))),
    );
  },
  async halfOpen(socket, secure) {
    socket.end(Buffer.concat([BEGIN, frame(FRAME.headers, END_HEADERS, 1, head(secure, 'POST', '/'))]));
    await sleep(below(500));
  },
  /** Says too little for a session, or nothing with a session. */
  async silent(socket, secure) {
    const request = frame(FRAME.headers, END_HEADERS, 1, head(secure, 'POST', '/'));
    socket.write([PREFACE.subarray(0, below(24)), BEGIN, Buffer.concat([BEGIN, request])][below(3)]);
    await sleep(below(3000));
  },
  async malformed(socket, secure) {
    socket.write(Buffer.concat([BEGIN, many(1 + below(12), () => malformed(secure))]));
    await sleep(50);
  },
  /** Downloads that are not read, on one connection, and left. */
  async downloads(socket, secure) {
    const request = (i) =>
      frame(FRAME.headers, END_HEADERS | END_STREAM, id(i), head(secure, 'GET', '/download/length'));
    socket.write(Buffer.concat([BEGIN, many(20, request)]));
    if (Math.random() < 0.5) socket.pause();
    await sleep(below(800));
  },
  /** WebSockets over it that are left open, half a frame within. */
  async webSockets(socket, secure) {
    const open = (i) => frame(FRAME.headers, END_HEADERS, id(i), head(secure, 'CONNECT', '/local/echo', WEBSOCKET));
    socket.write(Buffer.concat([BEGIN, many(10, open)]));
    await sleep(20);
    if (!socket.destroyed) socket.write(many(10, (i) => frame(FRAME.data, 0, id(i), Buffer.of(0x82, 0xfe, 0, 200, 1))));
    await sleep(below(500));
  },
};

export const misbehavedHttp2 = Object.fromEntries(Object.keys(MISBEHAVIOURS).map((name) => [name, 0]));

/** One nuisance after the other. */
export async function misbehavingHttp2Client(gateway, over) {
  const names = Object.keys(MISBEHAVIOURS);
  while (!over()) {
    const name = names[below(names.length)];
    const secure = Math.random() < 0.5;
    const socket = secure
      ? tls.connect({ port: gateway.secure, host: '127.0.0.1', ALPNProtocols: ['h2'], rejectUnauthorized: false })
      : net.connect(gateway.priorKnowledge, '127.0.0.1');
    socket.on('error', () => {}).resume();
    await MISBEHAVIOURS[name](socket, secure);
    misbehavedHttp2[name]++;
    if (Math.random() < 0.5 && !secure) socket.resetAndDestroy();
    else socket.destroy();
    await sleep(20);
  }
}

/** Requests over kept connections with TLS. `judge` says what is wrong with an answer, or null. */
export async function plainHttp2Client(gateway, books, judge, over) {
  let session = null;
  while (!over()) {
    if (session === null || session.closed || session.destroyed) {
      session = http2.connect(`https://127.0.0.1:${gateway.secure}`, { rejectUnauthorized: false });
      session.on('error', () => {});
    }
    const path = Math.random() < 0.2 ? '/large' : '/';
    const answer = await ask(session, path);
    books.requests++;
    books.statuses.set(answer.status, (books.statuses.get(answer.status) ?? 0) + 1);
    const fault = judge(answer, path);
    if (fault !== null && books.faults.length < 50) books.faults.push(`GET ${path}: ${fault}`);
    await sleep(below(20));
  }
  session?.destroy();
}

function ask(session, path) {
  return new Promise((resolve) => {
    const stream = session.request({ ':path': path });
    const chunks = [];
    let headers = null;
    stream.on('response', (fields) => {
      headers = fields;
    });
    stream.on('data', (chunk) => chunks.push(chunk));
    stream.on('error', () => {});
    stream.on('close', () => {
      if (headers === null) return void resolve({ status: 'broken' });
      const whole = stream.readableEnded && stream.rstCode === 0;
      resolve({ status: headers[':status'], whole, headers, body: Buffer.concat(chunks) });
    });
  });
}
