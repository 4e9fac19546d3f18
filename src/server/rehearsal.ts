// Before the first client comes, the gateway goes through its own motions: some thousand plain requests and handshakes on
// loopback, from clients of its own through a gateway of its own to a backend of its own. What V8 compiles, and what is made when it is
// first needed, is there when the listeners are bound, and the first real requests are not the slow ones. Nothing of it is
// seen from outside: it has ports of its own, and no log line, metric or limit of the real gateway knows of it.
import type { AddressInfo } from 'node:net';
import type { Splice } from '../actions/splice.ts';
import { type Config, schema } from '../config/schema.ts';
import type { Emit } from '../events.ts';
import { compileTable } from '../routing/table.ts';
import { buildSnapshot, startPools } from '../runtime/snapshot.ts';
import { buildTls, type TlsMaterial } from '../runtime/tls.ts';
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
import { knock, LOOPBACK, startBackend, talk, visit } from './rehearsal-clients.ts';

const CLIENTS = 8;

/** What handshakes are rehearsed with, ended by the caller. */
export interface RehearsalRelay {
  readonly splice: Splice;
  readonly accepting: Accepting | null;
}

/**
 * Rehearses for as long as the config says each of what it has a use for: plain requests where they are forwarded,
 * handshakes where they are spliced, and messages over TLS. `emit` is told of everything, as the real one would. Rejects
 * where loopback can't be bound or reached: the gateway can do without.
 */
export async function rehearse({ http, listeners, routes }: Config, emit: Emit, relay: RehearsalRelay): Promise<void> {
  const { warm_up: ms, engine } = http;
  const plain = routes.some((route) => route.http !== undefined);
  const splices = routes.some(({ websocket }) => websocket?.mode === 'splice');
  if (ms === 0 || !(plain || splices)) return;
  const backend = await startBackend();
  const stage = await setUp((backend.address() as AddressInfo).port, { engine, emit, relay });
  try {
    if (plain) await together((until) => visit(stage.port, until), ms);
    if (splices && listeners.some(({ tls }) => tls === undefined))
      await together((until) => knock(stage.port, until), ms);
    if (splices && listeners.some(({ tls }) => tls !== undefined))
      await together((until) => talk(stage.securePort, until), ms);
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

interface StageOptions {
  readonly engine: Config['http']['engine'];
  readonly emit: Emit;
  readonly relay: RehearsalRelay;
}

interface Stage {
  readonly port: number;
  readonly securePort: number;
  close(): void;
}

/** A gateway with one route to a backend on this port. */
async function setUp(backend: number, { engine, emit, relay }: StageOptions): Promise<Stage> {
  const config = schema.parse({
    listeners: [
      { host: LOOPBACK, port: 0 },
      { host: LOOPBACK, port: 0, tls: { self_signed: ['localhost'] } },
    ],
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
  const snapshot = buildSnapshot({ config, table, tls: [null, null], backendTls: new Map() }, shared, null);
  startPools(snapshot, null);
  const gateway = new Gateway({
    snapshot: () => snapshot,
    entrance: new Entrance(new Throttle().admission),
    splice: relay.splice,
    crowded: () => false,
  });
  const open = await Promise.all(
    config.listeners.map(async (listener) => {
      const tls = listener.tls === undefined ? null : await makeTls(listener.tls);
      const opened = new Listener(listener, tls, { gateway, accepting: relay.accepting, emit });
      await opened.listen();
      return opened;
    }),
  );
  const [port = 0, securePort = 0] = open.map((listener) => (listener.bound() as AddressInfo).port);
  return {
    port,
    securePort,
    close() {
      for (const listener of open) {
        listener.close();
        listener.cut();
      }
      for (const pool of snapshot.pools.values()) pool.stop('for good');
      http.close();
      caller.close();
    },
  };
}

function makeTls(config: NonNullable<Config['listeners'][number]['tls']>): Promise<TlsMaterial> {
  return buildTls(config, { baseDir: '.', selfSigned: new Map(), now: new Date() });
}
