// npm run soak: the built gateway under everything at once, on loopback and bounded: clients that keep books, clients that
// misbehave, backends that are killed, frozen, reset and talk garbage, a reload each second. It ends with a verdict:
// every check below holds, or it says which does not and exits with 1.
//   npm run soak -- [--seconds 600] [--relay native|js] [--http auto|http-proxy] [--streams 30]
//   npm run soak:all -- [--seconds 600]           all four combinations, one after the other
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { startFleet } from './fleet.mjs';
import { startGateway, sumOf } from './gateway.mjs';
import { misbehavedHttp2, misbehavingHttp2Client, plainHttp2Client } from './http2-clients.mjs';
import { exhaustDescriptors, faultOf, misbehaved, misbehavingClient, plainClient } from './misbehaving-clients.mjs';
import { createBooks, echoStream, roomMember } from './streams.mjs';

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '600' },
    relay: { type: 'string', default: 'auto' },
    http: { type: 'string', default: 'auto' },
    streams: { type: 'string', default: '30' },
  },
});
const seconds = Number(options.seconds);
const streams = Number(options.streams);
if (!(seconds >= 5 && seconds <= 86_400 && streams >= 1 && streams <= 1000)) {
  throw new Error('--seconds is from 5 to 86400, --streams from 1 to 1000');
}

/**
 * What may be left at rest over what was there after the warm-up. In use is 25 to 31 MiB at rest, and not more at the end of five
 * minutes than at their beginning: code that is compiled later, and buffers that wait to be collected, are the 8 MiB. A
 * config kept from each reload would be 30 MiB after ten minutes. Resident comes to its plateau of 220 to 260 MiB within half a minute of
 * load, and what V8 and malloc keep for a next storm moves within that (docs/performance.md). Descriptors are connections kept to backends.
 */
const MIB = 1024 * 1024;
const SLACK = { descriptors: 24, used: 8 * MIB, resident: 64 * MIB };
/** Seconds of load before what is measured: code runs for the first time, pools and the heap come to their size. */
const warmUp = Math.max(2, Math.min(60, seconds * 0.3));
const WEBSOCKETS = ['/ws/a', '/paused/a', '/opaque/a', '/local/echo'];

const dir = mkdtempSync(join(tmpdir(), 'upgate-soak-'));
const fleet = await startFleet(3);
const gateway = await startGateway({ dir, ports: fleet.ports, relay: options.relay, http: options.http });
const echo = createBooks();
const rooms = createBooks();
const plain = { requests: 0, statuses: new Map(), faults: [] };
const byHttp2 = { requests: 0, statuses: new Map(), faults: [] };
let reloads = 0;

/** All clients at once for so long, with floods of HTTP/2 or without; resolves when the last of them is through. */
async function rush(forSeconds, floods) {
  const until = Date.now() + forSeconds * 1000;
  const over = () => Date.now() >= until || !gateway.alive();
  const clients = [];
  for (let i = 0; i < streams; i++) {
    const scheme = i % 4 === 3 ? `wss://127.0.0.1:${gateway.secure}` : `ws://127.0.0.1:${gateway.plain}`;
    clients.push(echoStream(`${scheme}${WEBSOCKETS[i % WEBSOCKETS.length]}`, echo, over));
  }
  for (let i = 0; i < 4; i++) clients.push(echoStream(`ws://127.0.0.1:${gateway.plain}/ws/interim`, echo, over));
  for (let i = 0; i < 8; i++) {
    clients.push(roomMember(`ws://127.0.0.1:${gateway.plain}/rooms/r${i % 2}/u${i}`, `u${i}`, rooms, over));
    clients.push(plainClient(gateway.plain, plain, over));
    clients.push(misbehavingClient(gateway, WEBSOCKETS, over));
  }
  for (let i = 0; i < 2; i++) {
    if (floods) clients.push(misbehavingHttp2Client(gateway, over));
    clients.push(plainHttp2Client(gateway, byHttp2, faultOf, over));
  }
  clients.push(fleet.torment(over));
  clients.push(reloadEachSecond(over));
  await Promise.all(clients);
}

async function reloadEachSecond(over) {
  while (!over()) {
    gateway.reload();
    reloads++;
    await sleep(1000);
  }
}

/**
 * When no session and no request is live any more, and no budget of memory counts a byte: the last ones may wait for a peer
 * that is gone, histories for the sweep of each 30 s that forgets rooms without members, and a connection of HTTP/2 that is
 * not read for the 90 s after which a silent one is closed.
 */
async function rest() {
  const deadline = Date.now() + 100_000;
  for (;;) {
    const samples = await gateway.metrics();
    const left = ['websocket_connections', 'http_requests_in_flight', 'http2_sessions', 'memory_budget_bytes'];
    if (left.every((name) => sumOf(samples, `gateway_${name}`) === 0) || Date.now() > deadline) return samples;
    await sleep(200);
  }
}

/** Whether no more memory is held than `before`, but for what SLACK says. */
function memoryIsBack(before, { used, resident }) {
  return used <= before.used + SLACK.used && resident <= before.resident + SLACK.resident;
}

/**
 * The footprint once memory is back, or after half a minute: sockets of clients that were not read to their end are closed
 * some seconds behind their sessions, with what waits for them, and the allocator gives pages back later still.
 */
async function settled(before) {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const now = await gateway.footprint();
    if (memoryIsBack(before, now) || Date.now() > deadline) return now;
    await sleep(1000);
  }
}

const checks = [];
function check(what, holds, figure) {
  checks.push(holds);
  console.log(`${holds ? 'ok  ' : 'FAIL'} ${what}: ${figure}`);
}

try {
  const began = Date.now();
  // Floods leave connections that are closed a minute later: that is waited for once.
  await rush(warmUp, false);
  await rest();
  const missed = await exhaustDescriptors(gateway);
  await rest();
  const before = await gateway.footprint();
  await rush(Math.max(2, seconds - warmUp), true);
  const samples = await rest();
  const after = await settled(before);
  const minutes = ((Date.now() - began) / 60_000).toFixed(1);

  const accepted = sumOf(samples, 'gateway_websocket_handshakes_total', 'result="accepted"');
  const closed = sumOf(samples, 'gateway_websocket_closes_total');
  const live = sumOf(samples, 'gateway_websocket_connections');
  const held = sumOf(samples, 'gateway_upstream_connections');
  const sessions = sumOf(samples, 'gateway_http2_sessions');
  console.log(
    `${minutes} minutes, relay ${gateway.relay}, http ${gateway.http}, node ${process.version}, ${streams} streams`,
  );
  console.log(
    `backends: ${JSON.stringify(fleet.happened)}; misbehaving clients: ${JSON.stringify(misbehaved)}; reloads: ${reloads}`,
  );
  console.log(`echo: ${echo.connections} connections, ${echo.refused} refused, close codes ${list(echo.codes)}`);
  console.log(`rooms: ${rooms.connections} connections, ${rooms.heard} heard, close codes ${list(rooms.codes)}`);
  console.log(`plain: ${plain.requests} requests, ${list(plain.statuses)}`);
  console.log(
    `HTTP/2: ${byHttp2.requests} requests, ${list(byHttp2.statuses)}; misbehaving: ${JSON.stringify(misbehavedHttp2)}`,
  );
  check(
    'the process lives and complained of nothing',
    gateway.alive() && gateway.alarms.length + gateway.stderr.length === 0,
    [...gateway.alarms, ...gateway.stderr].join('\n') || 'no alarm',
  );
  const internal = sumOf(samples, 'gateway_internal_errors_total');
  check('no internal error was counted', internal === 0, `${internal}`);
  check(
    'the admin listener answers while descriptors run out',
    missed.length === 0,
    missed.join(', ') || '/readyz and /metrics',
  );
  check(
    'each message came back once, whole and in order',
    echo.faults.length === 0 && echo.returned > 0,
    `${echo.returned} of ${echo.sent}; ${echo.faults.join('; ') || 'no fault'}`,
  );
  check(
    'each member heard each sender in order',
    rooms.faults.length === 0 && rooms.heard > 0,
    rooms.faults.join('; ') || `${rooms.heard} heard`,
  );
  const torn = echo.codes.get('/local/echo 1006') ?? 0;
  check('nobody loses a terminated session to a backend', torn === 0, `${torn} without a Close`);
  check(
    'plain answers are whole or say why not',
    plain.faults.length === 0 && (plain.statuses.get(200) ?? 0) > 0,
    plain.faults.join('; ') || `${plain.requests} requests`,
  );
  check(
    'answers over HTTP/2 are whole or say why not, beside its floods',
    byHttp2.faults.length === 0 && (byHttp2.statuses.get(200) ?? 0) > 0,
    byHttp2.faults.join('; ') || `${byHttp2.requests} requests`,
  );
  check('opened = closed + live', accepted === closed + live && accepted > 0, `${accepted} = ${closed} + ${live}`);
  check(
    'nothing is live at rest',
    live === 0 && held === 0 && sessions === 0,
    `${live} sessions, ${held} held at servers, ${sessions} connections of HTTP/2`,
  );
  check(
    'descriptors are back',
    after.descriptors <= before.descriptors + SLACK.descriptors,
    `${before.descriptors} then, ${after.descriptors} now`,
  );
  check(
    'memory is back',
    memoryIsBack(before, after),
    `${mib(before.used)} in use then, ${mib(after.used)} now; ${mib(before.resident)} resident then, ${mib(after.resident)} now`,
  );
  check(
    'reloads succeeded',
    sumOf(samples, 'gateway_config_reloads_total', 'result="failure"') === 0,
    [
      `${sumOf(samples, 'gateway_config_reloads_total', 'result="success"')}, by signal and by file`,
      ...gateway.refusals,
    ].join('\n'),
  );
  check('it ends in order', (await gateway.stop()) === 0, 'exit 0');
} finally {
  gateway.kill();
  await fleet.stop();
  rmSync(dir, { recursive: true, force: true });
}
process.exitCode = checks.length > 0 && checks.every(Boolean) ? 0 : 1;

function list(counts) {
  return (
    [...counts]
      .sort()
      .map(([name, count]) => `${name}: ${count}`)
      .join(', ') || 'none'
  );
}

function mib(bytes) {
  return `${(bytes / MIB).toFixed(1)} MiB`;
}
