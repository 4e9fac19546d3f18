// The load of WebSockets over HTTP/2 (RFC 8441), over TLS, in a process of its own.
//   node http2-load.mjs echo PORT SOCKETS CONNECTIONS SIZE SECONDS   messages one at a time on each socket
//   node http2-load.mjs idle PORT SOCKETS CONNECTIONS SIZE SECONDS   opens sockets and holds them
// Prints one line of JSON: what was done, and the 99th percentile of a round trip in microseconds.
import { once } from 'node:events';
import http2 from 'node:http2';
import { frame } from './frames.mjs';
import { printSummary } from './summary.mjs';

const [mode, port, sockets, connections, size, seconds] = process.argv
  .slice(2)
  .map((word, i) => (i === 0 ? word : Number(word)));
const [outgoing, incoming] = [frame(size, true), frame(size, false).length];
const times = [];
let done = 0;
let failed = 0;
let over = false;

const head = {
  ':method': 'CONNECT',
  ':protocol': 'websocket',
  ':scheme': 'https',
  ':path': `/${size}`,
  'sec-websocket-version': '13',
};

function open(session) {
  const stream = session.request(head, { endStream: false });
  let sentAt = 0;
  let read = 0;
  const send = () => {
    sentAt = performance.now();
    stream.write(outgoing);
  };
  stream.on('error', () => {});
  stream.once('close', () => {
    if (!over) failed++;
  });
  stream.once('response', ({ ':status': status }) => {
    if (status !== 200) failed++;
    else if (mode === 'idle') done++;
    else send();
  });
  stream.on('data', (chunk) => {
    for (read += chunk.length; read >= incoming; read -= incoming) {
      times.push(performance.now() - sentAt);
      done++;
      if (!over) send();
    }
  });
}

const sessions = [];
for (let i = 0; i < connections; i++) {
  const session = http2.connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
  session.on('error', () => failed++);
  await once(session, 'remoteSettings');
  sessions.push(session);
}
// By turns, and in steps, so that a limit of streams is raised before it is reached.
for (let i = 0; i < sockets; i += connections) {
  for (const session of sessions) open(session);
  await new Promise((resolve) => setTimeout(resolve, 5));
}
// Idle sockets are all to be there, however long that takes.
const deadline = Date.now() + 60_000;
while (mode === 'idle' && done + failed < sockets && Date.now() < deadline)
  await new Promise((next) => setTimeout(next, 50));
setTimeout(() => {
  over = true;
  printSummary({ done, failed, times });
  // Idle sockets are held until the parent has read the gateway's memory.
  if (mode !== 'idle') process.exit(0);
}, seconds * 1000);
process.on('SIGTERM', () => process.exit(0));
