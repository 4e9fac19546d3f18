// The load of a room: many members on bare sockets in one process, so that a delivery costs its reader little.
//   room-load.mjs flood PORT MEMBERS SECONDS IN_FLIGHT   says 128 B messages, so many on their way at a time
//   room-load.mjs paced PORT MEMBERS SECONDS RATE        says so many a second, and measures how long each delivery takes
//   room-load.mjs idle PORT CONNECTIONS                  opens, says so, and stays until it is ended
//   room-load.mjs pair PORT PORT COUNT                   says one after the other on the first, waits for each on the second
import { once } from 'node:events';
import net from 'node:net';

const [mode, ...args] = process.argv.slice(2);
const numbers = args.map(Number);
const SIZE = 128;
const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

async function open(port, path) {
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  socket.write(
    `GET ${path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n`,
  );
  const [head] = await once(socket, 'data');
  if (!head.includes(' 101 ')) throw new Error(head.toString());
  return socket;
}

async function openMany(port, count) {
  const sockets = [];
  for (let first = 0; first < count; first += 50) {
    const batch = Array.from({ length: Math.min(50, count - first) }, (_, n) => open(port, `/rooms/r/u${first + n}`));
    sockets.push(...(await Promise.all(batch)));
  }
  return sockets;
}

/** A masked text frame of 128 B that begins with the time. */
function say() {
  const text = `${process.hrtime.bigint()}`.padEnd(SIZE, '.');
  const head = Buffer.from([0x81, 0x80 | 126, 0, SIZE, 0, 0, 0, 0]);
  return Buffer.concat([head, Buffer.from(text)]);
}

/** Where the time stands in a chunk, frame by frame; members' names are of one length, and so are frames. */
function* times(chunk, frameLength) {
  for (let at = 0; at + frameLength <= chunk.length; at += frameLength) {
    const text = chunk.latin1Slice(at, at + frameLength);
    yield BigInt(/(\d{12,})\./.exec(text)[1]);
  }
}

const percentile = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];

async function flood([port, count, seconds, most]) {
  const sockets = await openMany(port, count);
  const [first] = sockets;
  // How long a frame is on the wire is found out with one message.
  let frameLength = 0;
  sockets[1].once('data', (chunk) => (frameLength = chunk.length));
  first.write(say());
  while (frameLength === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  await new Promise((resolve) => setTimeout(resolve, 200));
  let bytes = 0;
  let sent = 0;
  const fill = () => {
    while (sent * (count - 1) - bytes / frameLength < most * (count - 1)) {
      first.write(say());
      sent++;
    }
  };
  for (const socket of sockets) socket.on('data', (chunk) => (bytes += chunk.length));
  const startedAt = performance.now();
  const timer = setInterval(fill, 1);
  sockets[count - 1].on('data', fill);
  console.log('started');
  fill();
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const ms = performance.now() - startedAt;
  console.log(JSON.stringify({ deliveries: bytes / frameLength, ms }));
  clearInterval(timer);
  process.exit();
}

async function paced([port, count, seconds, rate]) {
  const sockets = await openMany(port, count);
  await new Promise((resolve) => setTimeout(resolve, 200));
  const took = [];
  let frameLength = 0;
  for (const socket of sockets) {
    socket.on('data', (chunk) => {
      frameLength ||= chunk.length;
      const now = process.hrtime.bigint();
      for (const at of times(chunk, frameLength)) took.push(Number(now - at) / 1e6);
    });
  }
  console.log('started');
  const timer = setInterval(() => sockets[0].write(say()), 1000 / rate);
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  clearInterval(timer);
  await new Promise((resolve) => setTimeout(resolve, 300));
  took.sort((a, b) => a - b);
  console.log(JSON.stringify({ deliveries: took.length, p50: percentile(took, 0.5), p99: percentile(took, 0.99) }));
  process.exit();
}

async function idle([port, count]) {
  await openMany(port, count);
  console.log('started');
}

async function pair([from, to, count]) {
  const [speaker, listener] = [await open(from, '/rooms/pair/u1'), await open(to, '/rooms/pair/u2')];
  const took = [];
  for (let n = 0; n < count; n++) {
    const at = process.hrtime.bigint();
    speaker.write(say());
    await once(listener, 'data');
    took.push(Number(process.hrtime.bigint() - at) / 1e6);
  }
  took.sort((a, b) => a - b);
  console.log(JSON.stringify({ p50: percentile(took, 0.5), p99: percentile(took, 0.99) }));
  process.exit();
}

await { flood, paced, idle, pair }[mode](numbers);
