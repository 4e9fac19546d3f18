// The clients of a rehearsal, and the backend they are brought to: what they do is what clients do most. The rehearsal
// itself is rehearsal.ts.
import { createServer, type Server } from 'node:http';
import net, { type Socket } from 'node:net';
import tls from 'node:tls';
import { acceptKey } from '../handshake/accept.ts';

export const LOOPBACK = '127.0.0.1';
const PLAIN = 'GET /rehearsal?a=b HTTP/1.1\r\nHost: localhost\r\nUser-Agent: rehearsal\r\nAccept: */*\r\n\r\n';
const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const HANDSHAKE = `GET /rehearsal?a=b HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nUser-Agent: rehearsal\r\nSec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n`;
const SWITCHING = `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${acceptKey(KEY)}\r\n\r\n`;
/** A text message of 64 bytes, as a server sends it and, with a key of zeros, as a client does. */
const ANSWER = Buffer.from(`\x81\x40${'a'.repeat(64)}`, 'latin1');
const MESSAGE = Buffer.from(`\x81\xc0\0\0\0\0${'a'.repeat(64)}`, 'latin1');
/** On one connection. */
const MESSAGES = 200;

/** Says ok to requests and handshakes, and a message for a message. */
export async function startBackend(): Promise<Server> {
  const backend = createServer((_, res) => res.end('ok')).on('upgrade', (_, socket) => {
    socket.on('error', () => undefined).on('end', () => socket.destroy());
    socket.on('data', () => socket.write(ANSWER));
    socket.write(SWITCHING);
  });
  await new Promise<void>((resolve, reject) => {
    backend.once('error', reject).listen(0, LOOPBACK, resolve);
  });
  return backend;
}

/** One client, one request after the other; the answers are so small that each comes in one piece. */
export function visit(port: number, until: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, LOOPBACK, () => socket.write(PLAIN));
    socket.on('data', () => {
      if (performance.now() < until) socket.write(PLAIN);
      else socket.destroy();
    });
    socket.once('error', reject).once('close', () => resolve());
  });
}

/** One client, one handshake after the other, each on a connection of its own. */
export async function knock(port: number, until: number): Promise<void> {
  while (performance.now() < until) {
    const socket = net.connect(port, LOOPBACK, () => socket.write(HANDSHAKE));
    socket.on('data', () => socket.resetAndDestroy());
    await end(socket);
  }
}

/** The same over TLS, with some messages on each connection. */
export async function talk(port: number, until: number): Promise<void> {
  while (performance.now() < until) {
    const options = { host: LOOPBACK, port, rejectUnauthorized: false };
    const socket = tls.connect(options, () => socket.write(HANDSHAKE));
    let left = MESSAGES;
    socket.on('data', () => {
      if (left-- > 0 && performance.now() < until) socket.write(MESSAGE);
      else socket.destroy();
    });
    await end(socket);
  }
}

function end(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject).once('close', () => resolve());
  });
}
