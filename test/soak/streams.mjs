// Clients of the soak that keep books: numbered messages through an echo, each of which must come back once, whole and in
// order for as long as its connection lives; and members of rooms, who must hear every sender once and in order.
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import WebSocket from 'ws';

const FILLING = randomBytes(70_000);
/** Messages under way on one connection. */
const WINDOW = 8;

export function createBooks() {
  return { connections: 0, refused: 0, sent: 0, returned: 0, heard: 0, faults: [], codes: new Map() };
}

function note(map, key) {
  map.set(key, (map.get(key) ?? 0) + 1);
}

/** Opens; null where the gateway said no, which it may while backends are down. */
async function open(url, books) {
  const ws = new WebSocket(url, { rejectUnauthorized: false, perMessageDeflate: false, handshakeTimeout: 15_000 });
  ws.on('error', () => {});
  const opened = await new Promise((resolve) => {
    ws.once('open', () => resolve(true));
    ws.once('close', () => resolve(false));
  });
  if (!opened) {
    books.refused++;
    await sleep(100 + Math.random() * 200);
    return null;
  }
  books.connections++;
  return ws;
}

/** One connection after the other, until `over` says so; then what is under way must still come back. */
export async function echoStream(url, books, over) {
  while (!over()) {
    const ws = await open(url, books);
    if (ws !== null) await runEcho(ws, url, books, over);
  }
}

async function runEcho(ws, url, books, over) {
  let sent = 0;
  let returned = 0;
  let wake = () => {};
  const closed = new Promise((resolve) => ws.once('close', (code) => resolve(code)));
  const fault = (text) => {
    if (books.faults.length < 50) books.faults.push(`${url}: ${text}`);
    ws.terminate();
  };
  ws.on('message', (data, binary) => {
    if (!binary) return fault('a text came back for a binary message');
    const number = data.readUInt32BE(0);
    if (number !== returned) return fault(`message ${number} came back where ${returned} was due`);
    if (!data.subarray(4).equals(FILLING.subarray(0, data.length - 4))) return fault(`message ${number} was altered`);
    returned++;
    books.returned++;
    wake();
  });
  // Some live as long as they can, others for some tens of messages.
  const most = Math.random() < 0.5 ? Number.POSITIVE_INFINITY : 20 + Math.random() * 100;
  while (!over() && ws.readyState === WebSocket.OPEN && sent < most) {
    const message = Buffer.allocUnsafe(4 + Math.floor(Math.random() ** 6 * FILLING.length));
    message.writeUInt32BE(sent++, 0);
    FILLING.copy(message, 4);
    ws.send(message);
    books.sent++;
    if (sent - returned >= WINDOW) {
      await Promise.race([closed, new Promise((resolve) => (wake = resolve))]);
    } else await sleep(5 + Math.random() * 30);
  }
  while (ws.readyState === WebSocket.OPEN && returned < sent) {
    await Promise.race([closed, new Promise((resolve) => (wake = resolve))]);
  }
  if (ws.readyState === WebSocket.OPEN) ws.close(1000);
  note(books.codes, `${new URL(url).pathname} ${await closed}`);
}

/** A member that speaks now and then, and keeps books about what each other member says. */
export async function roomMember(url, user, books, over) {
  while (!over()) {
    const ws = await open(url, books);
    if (ws !== null) await runMember(ws, user, books, over);
  }
}

async function runMember(ws, user, books, over) {
  const last = new Map();
  const closed = new Promise((resolve) => ws.once('close', (code) => resolve(code)));
  ws.on('message', (text) => {
    const message = JSON.parse(text);
    if (message.type !== 'message') return;
    const { round, number } = message.data;
    const before = last.get(message.user);
    // The first one heard of a speaker's connection may be any: it may have begun before us.
    if (before?.round === round && number !== before.number + 1)
      books.faults.push(`${user} heard ${number} of ${message.user} behind ${before.number}`);
    last.set(message.user, { round, number });
    books.heard++;
  });
  const round = randomBytes(6).toString('hex');
  for (let number = 0; !over() && ws.readyState === WebSocket.OPEN; number++) {
    ws.send(JSON.stringify({ type: 'publish', data: { round, number } }));
    await Promise.race([closed, sleep(50 + Math.random() * 100)]);
    if (Math.random() < 0.005) break;
  }
  if (ws.readyState === WebSocket.OPEN) ws.close(1000);
  note(books.codes, await closed);
}
