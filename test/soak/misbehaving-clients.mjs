// Clients of the soak that misbehave: they read slowly, stop halfway, vanish, or send what is no HTTP and no WebSocket.
// Nothing is expected of the gateway for them but that it goes on. And plain HTTP clients, who are owed whole answers.
import { createHash, randomBytes } from 'node:crypto';
import http from 'node:http';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import tls from 'node:tls';
import { DESCRIPTORS } from './gateway.mjs';

const HANDSHAKE = (path) =>
  `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
  `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`;

function connect(target) {
  const socket = target.secure
    ? tls.connect({ port: target.secure, host: '127.0.0.1', rejectUnauthorized: false })
    : net.connect(target.plain, '127.0.0.1');
  socket.on('error', () => {});
  return socket;
}

/** A client frame of one binary message. */
function frame(length) {
  const head = length < 126 ? Buffer.of(0x82, 0x80 | length) : Buffer.alloc(14);
  if (length >= 126) {
    head[0] = 0x82;
    head[1] = 0xff;
    head.writeBigUInt64BE(BigInt(length), 2);
  }
  return length < 126 ? Buffer.concat([head, Buffer.alloc(4 + length)]) : Buffer.concat([head, Buffer.alloc(length)]);
}

const FRAMINGS = ['length', 'chunked', 'until-close', '1.0', 'closing'];
/** A masked ping with nothing in it. */
const PING = Buffer.of(0x89, 0x80, 0, 0, 0, 0);

/** A client frame of one text message. */
function textFrame(text) {
  const whole = frame(Math.max(126, text.length));
  whole[0] = 0x81;
  whole.write(text.padEnd(126), 14, 'latin1');
  return whole;
}

/** Each is given a socket and the path of a WebSocket, and may take as long as it wants to. */
const MISBEHAVIOURS = {
  async slowReader(socket, path) {
    socket.write(HANDSHAKE(path));
    for (let i = 0; i < 40 && !socket.destroyed; i++) socket.write(frame(100_000));
    socket.pause();
    for (let i = 0; i < 20 && !socket.destroyed; i++) {
      await sleep(100);
      socket.read(1000);
    }
  },
  async halfHead(socket) {
    socket.write('GET / HTTP/1.1\r\nHost: loc');
    await sleep(Math.random() * 4000);
  },
  async halfFrame(socket, path) {
    socket.write(HANDSHAKE(path));
    socket.write(frame(100_000).subarray(0, 3000));
    await sleep(Math.random() * 2000);
  },
  async halfOpen(socket, path) {
    socket.write(HANDSHAKE(path));
    socket.end(frame(10));
    await sleep(1000);
  },
  async garbage(socket) {
    socket.write(randomBytes(1 + Math.floor(Math.random() * 3000)));
    await sleep(50);
  },
  async garbageTunnel(socket, path) {
    socket.write(HANDSHAKE(path));
    await sleep(20);
    for (let i = 0; i < 5 && !socket.destroyed; i++) socket.write(randomBytes(1 + Math.floor(Math.random() * 3000)));
    await sleep(200);
  },
  async leavesAtOnce(socket, path) {
    socket.write(HANDSHAKE(path));
    await sleep(Math.random() * 4);
  },
  /** Leaves by FIN while its handshake is pending: its backend says nothing, or an interim answer alone. */
  async finWhilePending(socket) {
    socket.write(HANDSHAKE(Math.random() < 0.5 ? '/ws/mute' : '/ws/interim'));
    await sleep(Math.random() * 150);
    socket.end();
    await sleep(200);
  },
  /** Frames of one byte, as fast as they are taken, and pings among them. */
  async tinyMessages(socket, path) {
    socket.write(HANDSHAKE(path));
    const many = Buffer.concat(Array.from({ length: 2000 }, (_, i) => (i % 10 === 0 ? PING : frame(1))));
    for (let i = 0; i < 30 && !socket.destroyed; i++) {
      socket.write(many);
      // Not for ever: the gateway may have paused it.
      for (let waited = 0; waited < 25 && socket.writableNeedDrain && !socket.destroyed; waited++) await sleep(20);
    }
  },
  /** Deep and huge JSON for a room that nobody else is in. */
  async heavyJson(socket) {
    socket.write(HANDSHAKE(`/rooms/heavy-${Math.random()}/u`));
    await sleep(20);
    const depth = 10 + Math.floor(Math.random() * 20_000);
    const data = Math.random() < 0.5 ? `${'['.repeat(depth)}${']'.repeat(depth)}` : `"${'a'.repeat(depth * 40)}"`;
    socket.write(textFrame(`{"type":"publish","data":${data}}`));
    socket.write(textFrame(`{"type":"publish","data":{"${'"x":{'.repeat(20)}`));
    await sleep(200);
  },
  /** A download that it leaves, or does not read. */
  async download(socket) {
    const framing = FRAMINGS[Math.floor(Math.random() * FRAMINGS.length)];
    const version = Math.random() < 0.3 ? '1.0' : '1.1';
    socket.write(`GET /download/${framing} HTTP/${version}\r\nHost: localhost\r\n\r\n`);
    if (Math.random() < 0.5) socket.pause();
    await sleep(Math.random() * 800);
  },
  async silent() {
    await sleep(Math.random() * 3000);
  },
};

export const misbehaved = Object.fromEntries(Object.keys(MISBEHAVIOURS).map((name) => [name, 0]));

/** One nuisance after the other, over plain TCP and TLS. */
export async function misbehavingClient(gateway, paths, over) {
  const names = Object.keys(MISBEHAVIOURS);
  while (!over()) {
    const name = names[Math.floor(Math.random() * names.length)];
    const path = paths[Math.floor(Math.random() * paths.length)];
    const socket = connect(Math.random() < 0.3 ? { secure: gateway.secure } : { plain: gateway.plain });
    if (name !== 'slowReader') socket.resume();
    await MISBEHAVIOURS[name](socket, path);
    misbehaved[name]++;
    // A reset, an end in order, or simply gone with everything unread.
    // node can't reset a TLS connection.
    if (Math.random() < 0.5 && !socket.encrypted) socket.resetAndDestroy();
    else socket.destroy();
    await sleep(20);
  }
}

/**
 * Takes the descriptors away while it is calm: silent connections, more than there is room for. What of the admin listener
 * did not answer meanwhile is given back.
 */
export async function exhaustDescriptors(gateway) {
  const sockets = Array.from({ length: DESCRIPTORS + 100 }, () => connect({ plain: gateway.plain }));
  for (const socket of sockets) socket.resume();
  const missed = [];
  // Longer than any timer of the gateway that looks after something now and then.
  for (let i = 0; i < 6; i++) {
    await sleep(500);
    for (const path of ['/readyz', '/metrics']) if (!(await gateway.answers(path))) missed.push(path);
  }
  for (const socket of sockets) socket.destroy();
  return missed;
}

/** Plain requests over kept connections: an answer is the backend's, whole, or a refusal of the gateway's own. */
export async function plainClient(port, books, over) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  while (!over()) {
    const body = Math.random() < 0.3 ? randomBytes(Math.floor(Math.random() * 50_000)) : null;
    const path = Math.random() < 0.2 ? '/large' : '/';
    const answer = await ask({ agent, port, path, body });
    books.requests++;
    books.statuses.set(answer.status, (books.statuses.get(answer.status) ?? 0) + 1);
    const fault = faultOf(answer, path, body);
    if (fault !== null && books.faults.length < 50) books.faults.push(`${body ? 'POST' : 'GET'} ${path}: ${fault}`);
    await sleep(Math.random() * 20);
  }
  agent.destroy();
}

/** What is wrong with an answer to a request for `path` with that body, or with none; null: nothing. */
export function faultOf({ status, whole, headers, body: content }, path, body = null) {
  if (status === 'broken') return null;
  if (status === 200) {
    if (!whole) return null;
    const text = content.toString('latin1', 0, 100);
    if (body) return text === digestOf(body) ? null : 'the body was altered';
    if (path === '/large') return digestOf(content) === headers['x-digest'] ? null : 'the answer was altered';
    return text === 'fine' ? null : `the answer was ${text}`;
  }
  if (![502, 503, 504].includes(status)) return `status ${status}`;
  return headers['x-gateway-reason'] ? null : `${status} without a reason`;
}

const digestOf = (bytes) => createHash('sha256').update(bytes).digest('hex');

function ask({ agent, port, path, body }) {
  return new Promise((resolve) => {
    const req = http.request({ agent, port, host: '127.0.0.1', path, method: body ? 'POST' : 'GET' }, (res) => {
      const chunks = [];
      res.on('data', (chunk) => chunks.push(chunk));
      res.on('error', () => {});
      res.on('close', () =>
        resolve({ status: res.statusCode, whole: res.complete, headers: res.headers, body: Buffer.concat(chunks) }),
      );
    });
    // A kept connection that the gateway ended just now, or an answer cut off with its backend.
    req.on('error', () => resolve({ status: 'broken' }));
    req.end(body ?? undefined);
  });
}
