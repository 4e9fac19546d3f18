// The clients of drain.mjs: tunnels that keep talking, requests under way, and answers without an end. Each tells how it ended,
// by what came on the wire: no library smooths it.
import { randomBytes } from 'node:crypto';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import tls from 'node:tls';

/** Streams on one connection of HTTP/2; as many as a gateway allows by default. */
const STREAMS = 100;

const textFrame = (text) => {
  const mask = Buffer.alloc(4);
  return Buffer.concat([Buffer.from([0x81, 0x80 | text.length]), mask, Buffer.from(text)]);
};

/** Reads whole frames of up to 125 octets and takes them from the buffer; gives them and what is left. */
function takeFrames(buffer) {
  const frames = [];
  let at = 0;
  while (buffer.length - at >= 2 && buffer.length - at >= 2 + (buffer[at + 1] & 0x7f)) {
    const length = buffer[at + 1] & 0x7f;
    frames.push({ opcode: buffer[at] & 0x0f, payload: buffer.subarray(at + 2, at + 2 + length) });
    at += 2 + length;
  }
  return { frames, rest: buffer.subarray(at) };
}

/**
 * Talks on an open tunnel until it ends: a message each `everyMs`. Resolves with `clean <code>` (a Close, and then the end), or
 * with `no close`, `torn` (in the middle of a frame) or `reset`.
 */
function talk(stream, everyMs, rest) {
  return new Promise((resolve) => {
    let held = rest;
    let code = null;
    let reset = false;
    const timer = setInterval(() => code === null && stream.writable && stream.write(textFrame('tick')), everyMs);
    const onData = (chunk) => {
      const taken = takeFrames(Buffer.concat([held, chunk]));
      held = taken.rest;
      for (const { opcode, payload } of taken.frames) {
        if (opcode !== 8 || code !== null) continue;
        code = payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
        // RFC 6455 §5.5.1: the same code comes back, masked as all of a client's.
        if (stream.writable) stream.write(Buffer.from([0x88, 0x82, 0, 0, 0, 0, code >> 8, code & 0xff]));
      }
    };
    stream.on('data', onData);
    stream.on('error', () => {
      reset = true;
    });
    stream.on('end', () => stream.end());
    stream.on('close', () => {
      clearInterval(timer);
      const how = code !== null && held.length === 0 ? `clean ${code}` : held.length > 0 ? 'torn' : 'no close';
      resolve({ how: reset && code === null ? 'reset' : how, at: performance.now() });
    });
  });
}

/** Opens a tunnel over HTTP/1.1; gives what talk() gives, as a promise in an object. */
function openHttp1(connect, everyMs) {
  return new Promise((resolve, reject) => {
    const socket = connect();
    let head = Buffer.alloc(0);
    socket.on('error', reject);
    socket.write(
      `GET /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n` +
        `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`,
    );
    const onData = (chunk) => {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf('\r\n\r\n');
      if (end === -1) return;
      socket.off('data', onData);
      if (!head.toString('latin1').startsWith('HTTP/1.1 101')) {
        reject(new Error(head.toString('latin1').split('\r\n')[0]));
        return;
      }
      resolve({ ended: talk(socket, everyMs, head.subarray(end + 4)) });
    };
    socket.on('data', onData);
  });
}

function openHttp2(session, everyMs) {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ...{
        ':method': 'CONNECT',
        ':protocol': 'websocket',
        ':scheme': 'https',
        ':authority': 'localhost',
        ':path': '/echo',
      },
      'sec-websocket-version': '13',
    });
    stream.on('error', reject);
    stream.once('response', (fields) => {
      if (fields[':status'] === 200) resolve({ ended: talk(stream, everyMs, Buffer.alloc(0)) });
      else reject(new Error(`status ${fields[':status']}`));
    });
  });
}

/** Opens `count` tunnels of a kind (`ws`, `wss`, `h2`), a few at a time. */
export async function openTunnels(kind, port, count, everyMs) {
  const at = { host: '127.0.0.1', port };
  const secure = { ...at, rejectUnauthorized: false };
  const tunnels = [];
  let session = null;
  for (let opened = 0; opened < count; ) {
    // All at once they would time each other out on a small machine.
    const batch = Math.min(kind === 'wss' ? STREAMS / 4 : STREAMS, count - opened);
    if (kind === 'h2') {
      session = http2.connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
      session.on('error', () => {});
      await new Promise((resolve) => session.once('remoteSettings', resolve));
    }
    const open = () =>
      kind === 'h2'
        ? openHttp2(session, everyMs)
        : openHttp1(() => (kind === 'wss' ? tls.connect(secure) : net.connect(at)), everyMs);
    tunnels.push(...(await Promise.all(Array.from({ length: batch }, open))));
    opened += batch;
  }
  return tunnels;
}

/** A request over HTTP/1.1; resolves with `whole` or how it broke, once its answer has begun in `begun`. */
export function request(kind, port, path) {
  const module = kind === 'ws' ? http : https;
  let onBegun;
  const begun = new Promise((resolve) => {
    onBegun = resolve;
  });
  const ended = new Promise((resolve) => {
    const settle = (how) => resolve({ how, at: performance.now() });
    const sent = module.get({ host: '127.0.0.1', port, path, agent: false, rejectUnauthorized: false }, (response) => {
      onBegun();
      response.resume();
      response.on('end', () => settle(response.statusCode === 200 ? 'whole' : `status ${response.statusCode}`));
      response.on('error', () => settle('broken off'));
    });
    sent.on('error', (error) => {
      onBegun();
      settle(error.code ?? 'failed');
    });
  });
  return { begun, ended };
}
