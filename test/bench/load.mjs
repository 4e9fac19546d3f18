// The load of the benchmark, in a process of its own.
//   node load.mjs echo PORT TLS CONNECTIONS SIZE SECONDS   messages one at a time on each connection
//   node load.mjs open PORT TLS CONNECTIONS 64 SECONDS     connect, handshake, one echo, close, again
//   node load.mjs idle PORT TLS CONNECTIONS 64 SECONDS     opens connections and holds them
//   node load.mjs get PORT TLS CONNECTIONS SIZE SECONDS    plain GETs on kept connections, of answers of this size
//   node load.mjs post PORT TLS CONNECTIONS SIZE SECONDS   POSTs of bodies of this size, of short answers
// Prints one line of JSON: what was done, and the 99th percentile of a round trip in microseconds.
import net from 'node:net';
import tls from 'node:tls';
import { frame } from './frames.mjs';
import { printSummary } from './summary.mjs';

const [mode, port, secure, connections, size, seconds] = process.argv
  .slice(2)
  .map((word, i) => (i === 0 ? word : Number(word)));
const handshake = `GET /${size} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n`;
const request =
  mode === 'post'
    ? `POST /2 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: ${size}\r\n\r\n${'x'.repeat(size)}`
    : `GET /${size} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`;
const [outgoing, incoming] = [frame(size, true), frame(size, false).length];
const times = [];
let done = 0;
let failed = 0;
let over = false;

function connect() {
  const socket = secure
    ? tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false })
    : net.connect(port, '127.0.0.1');
  socket.setNoDelay(true);
  socket.on('error', () => {
    if (!over) failed++;
  });
  return socket;
}

/** One connection, opened; `onEcho` is called after each whole answer. */
function open(onOpen, onEcho) {
  const socket = connect();
  let head = '';
  let read = 0;
  socket.on('data', (chunk) => {
    if (head !== null) {
      head += chunk.toString('latin1');
      const end = head.indexOf('\r\n\r\n');
      if (end < 0) return;
      if (!head.startsWith('HTTP/1.1 101')) {
        failed++;
        socket.destroy();
        return;
      }
      read = head.length - end - 4;
      head = null;
      onOpen(socket);
    } else read += chunk.length;
    for (; read >= incoming; read -= incoming) onEcho(socket);
  });
  socket.write(handshake);
  return socket;
}

function echo() {
  let sentAt;
  const send = (socket) => {
    sentAt = performance.now();
    socket.write(outgoing);
  };
  open(send, (socket) => {
    times.push(performance.now() - sentAt);
    done++;
    if (!over) send(socket);
  });
}

function openAgain() {
  const startedAt = performance.now();
  const socket = open(
    (opened) => opened.write(outgoing),
    (opened) => {
      times.push(performance.now() - startedAt);
      done++;
      opened.destroy();
    },
  );
  socket.on('close', () => {
    if (!over) openAgain();
  });
}

function plain() {
  const socket = connect();
  const expected = mode === 'post' ? 2 : size;
  let sentAt = performance.now();
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
    const end = text.indexOf('\r\n\r\n');
    if (end < 0 || text.length - end - 4 < expected) return;
    if (!text.startsWith('HTTP/1.1 200') || text.length - end - 4 > expected) failed++;
    text = '';
    times.push(performance.now() - sentAt);
    done++;
    sentAt = performance.now();
    if (!over) socket.write(request);
  });
  socket.write(request);
}

const idle = () =>
  open(
    () => done++,
    () => {},
  );
const start = { echo, open: openAgain, idle, get: plain, post: plain }[mode];
// Idle connections come in steps, so that no accept queue overflows.
const step = mode === 'idle' ? 50 : connections;
for (let i = 0; i < connections; i += step) {
  for (let k = 0; k < step && i + k < connections; k++) start();
  if (mode === 'idle') await new Promise((resolve) => setTimeout(resolve, 20));
}
setTimeout(() => {
  over = true;
  printSummary({ done, failed, times });
  // Idle connections are held until the parent has read the gateway's memory.
  if (mode !== 'idle') process.exit(0);
}, seconds * 1000);
process.on('SIGTERM', () => process.exit(0));
