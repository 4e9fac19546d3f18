// The other ends of a rehearsal, in a thread of their own, so that the gateway's has only the gateway to run: the clients, and
// the backend they are brought to. What they do is what clients do most. The rehearsal itself is rehearsal.ts.
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import tls from 'node:tls';
import { type MessagePort, parentPort } from 'node:worker_threads';
import { acceptKey } from '../handshake/accept.ts';

/** What clients do: one request after the other on one connection; handshakes; handshakes and messages over TLS. */
export type Part = 'visit' | 'knock' | 'talk';
export interface Scene {
  readonly part: Part;
  /** Where the gateway is. */
  readonly port: number;
}
/** What the thread is told: a scene to begin, or to end the one it plays. */
export type Cue = Scene | 'end';
/** What it tells: where its backend is, and that a part has ended. */
export type Reply = { readonly backend: number } | 'ended';

const LOOPBACK = '127.0.0.1';
const CLIENTS = 8;
const PLAIN = 'GET /rehearsal?a=b HTTP/1.1\r\nHost: localhost\r\nUser-Agent: rehearsal\r\nAccept: */*\r\n\r\n';
const OK = 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok';
const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const SWITCHING = `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${acceptKey(KEY)}\r\n\r\n`;
/** As programs ask, and as browsers do. */
const HANDSHAKES = [
  `GET /rehearsal HTTP/1.1\r\nHost: localhost:8080\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n`,
  `GET /rehearsal?a=b HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nPragma: no-cache\r\nCache-Control: no-cache\r\nUser-Agent: rehearsal\r\nUpgrade: websocket\r\nOrigin: http://localhost\r\nSec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate\r\nAccept-Language: en\r\nCookie: a=b; c=d\r\nSec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n`,
];
/** A text message of 64 bytes, as a server sends it and, with a key of zeros, as a client does. */
const ANSWER = Buffer.from(`\x81\x40${'a'.repeat(64)}`, 'latin1');
const MESSAGE = Buffer.from(`\x81\xc0\0\0\0\0${'a'.repeat(64)}`, 'latin1');
/** On one connection. */
const MESSAGES = 200;

const PARTS: Readonly<Record<Part, (port: number, end: AbortSignal) => Promise<void>>> = { visit, knock, talk };

/** Says ok to requests and handshakes, and a message for a message; all are so small that each comes in one piece. */
function startBackend(): Promise<Server> {
  const backend = createServer((socket) => {
    let switched = false;
    socket
      .on('error', () => undefined)
      .on('data', (chunk) => {
        if (switched) return void socket.write(ANSWER);
        switched = /^upgrade:/im.test(chunk.toString('latin1'));
        socket.write(switched ? SWITCHING : OK);
      });
  });
  return new Promise((resolve, reject) => {
    backend.once('error', reject).listen(0, LOOPBACK, () => resolve(backend));
  });
}

function visit(port: number, end: AbortSignal): Promise<void> {
  const socket = connect(port, LOOPBACK, () => socket.write(PLAIN));
  socket.on('data', () => {
    if (end.aborted) socket.destroy();
    else socket.write(PLAIN);
  });
  return closed(socket);
}

async function knock(port: number, end: AbortSignal): Promise<void> {
  for (let i = 0; !end.aborted; i++) {
    const socket = connect(port, LOOPBACK, () => socket.write(handshake(i)));
    socket.on('data', (chunk) => {
      expectSwitching(chunk);
      socket.resetAndDestroy();
    });
    await closed(socket);
  }
}

async function talk(port: number, end: AbortSignal): Promise<void> {
  for (let i = 0; !end.aborted; i++) {
    const options = { host: LOOPBACK, port, rejectUnauthorized: false };
    const socket = tls.connect(options, () => socket.write(handshake(i)));
    let left = MESSAGES;
    socket.once('data', expectSwitching).on('data', () => {
      if (left-- > 0 && !end.aborted) socket.write(MESSAGE);
      else socket.destroy();
    });
    await closed(socket);
  }
}

function handshake(i: number): string {
  return HANDSHAKES[i % HANDSHAKES.length] as string;
}

/** To rehearse refusals instead would be no use, and nobody would notice. */
function expectSwitching(answer: Buffer): void {
  const line = answer.toString('latin1').split('\r\n', 1)[0];
  if (line?.startsWith('HTTP/1.1 101 ') !== true) throw new Error(`a rehearsed handshake was answered by ${line}`);
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject).once('close', () => resolve());
  });
}

async function serve(main: MessagePort): Promise<void> {
  const tell = (reply: Reply): void => main.postMessage(reply);
  let scene = new AbortController();
  const play = async ({ part, port }: Scene, { signal }: AbortController): Promise<void> => {
    await Promise.all(Array.from({ length: CLIENTS }, () => PARTS[part](port, signal)));
    tell('ended');
  };
  main.on('message', (cue: Cue) => {
    if (cue === 'end') return scene.abort();
    scene = new AbortController();
    void play(cue, scene);
  });
  const backend = await startBackend();
  tell({ backend: (backend.address() as AddressInfo).port });
}

if (parentPort !== null) await serve(parentPort);
