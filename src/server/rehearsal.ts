// Before the first client comes, the gateway goes through its own motions: some thousand plain requests and handshakes on
// loopback, from clients of its own through a gateway of its own to a backend of its own. What V8 compiles, and what is made when it is
// first needed, is there when the listeners are bound, and the first real requests are not the slow ones. Nothing of it is
// seen from outside: it has ports of its own, and no log line, metric or limit of the real gateway knows of it.
import { createServer, type Server } from 'node:http';
import net, { type AddressInfo } from 'node:net';
import type { Splice } from '../actions/splice.ts';
import { type Config, schema } from '../config/schema.ts';
import type { Emit } from '../events.ts';
import { acceptKey } from '../handshake/accept.ts';
import { compileTable } from '../routing/table.ts';
import { buildSnapshot, startPools } from '../runtime/snapshot.ts';
import { Registry } from '../sessions/registry.ts';
import { Throttle } from '../sessions/throttle.ts';
import { Terminator } from '../terminate/accept.ts';
import { Connections } from '../terminate/connections.ts';
import { MemoryBroker } from '../terminate/memory.ts';
import { Errands } from '../terminate/webhook-backend.ts';
import { openCaller } from '../upstream/call.ts';
import { HttpEngines } from '../upstream/http-engines.ts';
import { Entrance } from './entrance.ts';
import { Gateway } from './gateway.ts';
import { Listener } from './listener.ts';
import type { Accepting } from './reception.ts';

const LOOPBACK = '127.0.0.1';
const CLIENTS = 8;
const PLAIN = 'GET /rehearsal?a=b HTTP/1.1\r\nHost: localhost\r\nUser-Agent: rehearsal\r\nAccept: */*\r\n\r\n';
const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const HANDSHAKE = `GET /rehearsal?a=b HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nUser-Agent: rehearsal\r\nSec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n`;
const SWITCHING = `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${acceptKey(KEY)}\r\n\r\n`;

/** What handshakes are rehearsed with, ended by the caller. */
export interface RehearsalRelay {
  readonly splice: Splice;
  readonly accepting: Accepting | null;
}

/**
 * Rehearses for as long as the config says what it has a use for: plain requests where they are forwarded, handshakes where
 * they are spliced. `emit` is told of everything, as the real one would. Rejects where loopback can't be bound or reached:
 * the gateway can do without.
 */
export async function rehearse({ http, routes }: Config, emit: Emit, relay: RehearsalRelay): Promise<void> {
  const { warm_up: ms, engine } = http;
  const plain = routes.some((route) => route.http !== undefined);
  const handshakes = routes.some(({ websocket }) => websocket?.mode === 'splice');
  if (ms === 0 || !(plain || handshakes)) return;
  const backend = createServer((_, res) => res.end('ok')).on('upgrade', (_, socket) => {
    socket.on('error', () => undefined).on('end', () => socket.destroy());
    socket.write(SWITCHING);
    socket.resume();
  });
  await listen(backend);
  const stage = await setUp((backend.address() as AddressInfo).port, { engine, emit, relay });
  try {
    const { port } = stage;
    if (plain) await together((until) => visit(port, until), ms);
    if (handshakes) await together((until) => knock(port, until), ms);
  } finally {
    stage.close();
    backend.close();
    backend.closeAllConnections();
  }
}

/** Some clients at once, each for so long. */
async function together(client: (until: number) => Promise<void>, ms: number): Promise<void> {
  const until = performance.now() + ms;
  await Promise.all(Array.from({ length: CLIENTS }, () => client(until)));
}

function listen(server: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject).listen(0, LOOPBACK, resolve);
  });
}

interface StageOptions {
  readonly engine: Config['http']['engine'];
  readonly emit: Emit;
  readonly relay: RehearsalRelay;
}

/** A gateway with one route to a backend on this port. */
async function setUp(backend: number, { engine, emit, relay }: StageOptions): Promise<{ port: number; close(): void }> {
  const config = schema.parse({
    listeners: [{ host: LOOPBACK, port: 0 }],
    upstreams: { rehearsal: { servers: [`http://${LOOPBACK}:${backend}`] } },
    routes: [
      {
        name: 'rehearsal',
        http: { upstream: 'rehearsal' },
        websocket: { mode: 'splice', upstream: 'rehearsal' },
      },
    ],
    http: { engine },
  });
  const [http, caller, connections] = [new HttpEngines(), openCaller(), new Connections()];
  const shared = {
    emit,
    sessions: new Registry(),
    http,
    terminator: new Terminator(emit, connections),
    caller,
    errands: new Errands(),
    connections,
    broker: new MemoryBroker({ reach: connections.get, revoke: () => 0 }),
    stickySecret: '',
  };
  const { table } = compileTable(config);
  const snapshot = buildSnapshot({ config, table, tls: [null], backendTls: new Map() }, shared, null);
  startPools(snapshot, null);
  const gateway = new Gateway({
    snapshot: () => snapshot,
    entrance: new Entrance(new Throttle().admission),
    splice: relay.splice,
    crowded: () => false,
  });
  const [first] = config.listeners;
  if (first === undefined) throw new Error('the rehearsal has no listener');
  const listener = new Listener(first, null, { gateway, accepting: relay.accepting, emit });
  await listener.listen();
  return {
    port: (listener.bound() as AddressInfo).port,
    close() {
      listener.close();
      listener.cut();
      for (const pool of snapshot.pools.values()) pool.stop('for good');
      http.close();
      caller.close();
    },
  };
}

/** One client, one request after the other; the answers are so small that each comes in one piece. */
function visit(port: number, until: number): Promise<void> {
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
async function knock(port: number, until: number): Promise<void> {
  while (performance.now() < until) {
    await new Promise<void>((resolve, reject) => {
      const socket = net.connect(port, LOOPBACK, () => socket.write(HANDSHAKE));
      socket.on('data', () => socket.resetAndDestroy());
      socket.once('error', reject).once('close', () => resolve());
    });
  }
}
