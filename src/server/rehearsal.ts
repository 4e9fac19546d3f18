// Before the first client comes, the gateway goes through its own motions: some thousand plain requests and handshakes on
// loopback, from clients of its own through a gateway of its own to a backend of its own. What V8 compiles, and what is made when it is
// first needed, is there when the listeners are bound, and the first real requests are not the slow ones. Nothing of it is
// seen from outside: it has ports of its own, and no log line, metric or limit of the real gateway knows of it.
import type { AddressInfo } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { Splice } from '../actions/splice.ts';
import { type Config, schema } from '../config/schema.ts';
import type { Emit } from '../events.ts';
import { HttpEngines } from '../proxy/http-engines.ts';
import { compileTable } from '../routing/table.ts';
import { buildSnapshot, startPools } from '../runtime/snapshot.ts';
import { buildTls, type TlsMaterial } from '../runtime/tls.ts';
import { Registry } from '../sessions/registry.ts';
import type { Throttle } from '../sessions/throttle.ts';
import { Terminator } from '../terminate/accept.ts';
import { Connections } from '../terminate/connections.ts';
import { MemoryBroker } from '../terminate/memory.ts';
import { Errands } from '../terminate/webhook-backend.ts';
import { openCaller } from '../upstream/call.ts';
import { NameCache } from '../upstream/name-cache.ts';
import { Entrance } from './entrance.ts';
import { Gateway } from './gateway.ts';
import { Listener } from './listener.ts';
import type { Accepting } from './reception.ts';
import type { Cue, Part, Reply, Scene } from './rehearsal-peers.ts';

const LOOPBACK = '127.0.0.1';
/** Compiled, beside this file. */
const PEERS = new URL('./rehearsal-peers.js', import.meta.url);
/**
 * A part is played on one stage after the other. Where there was only one, V8 would take its objects and functions for the
 * only ones there are, and would throw away at the first real handshakes what it had compiled.
 */
const STAGES = 2;
/** Of `warm_up`. V8 goes by how often a function ran, and a handshake takes as long as several requests or messages. */
const SHARES: Readonly<Record<Part, number>> = { knock: 1, visit: 1 / 5, talk: 2 / 5 };

const REPLY_MS = 10_000;

/** What a stage is made of, beside what is made here. */
export interface StageParts {
  /** Is told of everything, as the real one would. */
  readonly emit: Emit;
  readonly throttle: Throttle;
  readonly splice: Splice;
  readonly accepting: Accepting | null;
  close(): void;
}

export interface RehearsalOptions {
  readonly open: () => StageParts;
  /** The program of the clients and their backend. */
  readonly peers?: URL;
  /** How a part's time passes, in milliseconds. */
  readonly wait?: (ms: number) => Promise<unknown>;
}

/**
 * Rehearses, for as long as the config says, what it has a use for: plain requests where they are forwarded, handshakes
 * where they are spliced, and messages over TLS. Rejects where loopback can't be bound or reached: the gateway
 * can do without.
 */
export async function rehearse(config: Config, options: RehearsalOptions): Promise<void> {
  const { warm_up: ms, engine } = config.http;
  const parts = partsOf(config);
  if (ms === 0 || parts.length === 0) return;
  const peers = new Peers(options.peers ?? PEERS);
  try {
    const backend = await peers.backend();
    for (let i = 0; i < STAGES; i++) {
      const own = options.open();
      const play = (scene: Scene) =>
        peers.play(scene, (options.wait ?? setTimeout)((ms * SHARES[scene.part]) / STAGES));
      await onStage({ backend, engine, own }, parts, play).finally(() => own.close());
    }
  } finally {
    await peers.stop();
  }
}

async function onStage(
  options: StageOptions,
  parts: readonly Part[],
  play: (scene: Scene) => Promise<void>,
): Promise<void> {
  const stage = await setUp(options);
  try {
    for (const part of parts) await play({ part, port: part === 'talk' ? stage.securePort : stage.port });
  } finally {
    stage.close();
  }
}

function partsOf({ listeners, routes }: Config): Part[] {
  const parts: Part[] = [];
  if (routes.some(({ http }) => http !== undefined)) parts.push('visit');
  if (!routes.some(({ websocket }) => websocket?.mode === 'splice')) return parts;
  if (listeners.some(({ tls }) => tls === undefined)) parts.push('knock');
  if (listeners.some(({ tls }) => tls !== undefined)) parts.push('talk');
  return parts;
}

/** The thread of the clients and their backend. */
class Peers {
  readonly #thread: Worker;
  readonly #failed: Promise<never>;

  constructor(program: URL) {
    this.#thread = new Worker(program);
    this.#failed = new Promise((_, reject) => this.#thread.once('error', reject));
    this.#failed.catch(() => {});
  }

  /** Where the backend is. */
  async backend(): Promise<number> {
    const reply = await this.#reply();
    if (reply === 'ended') throw new Error('a rehearsal ended before it began');
    return reply.backend;
  }

  /** Has the clients play their part until then. */
  async play(scene: Scene, until: Promise<unknown>): Promise<void> {
    this.#thread.postMessage(scene satisfies Cue);
    await Promise.race([until, this.#failed]);
    this.#thread.postMessage('end' satisfies Cue);
    await this.#reply();
  }

  async stop(): Promise<void> {
    await this.#thread.terminate();
  }

  /** What it says next. Who waits for a gateway to start must not wait for ever. */
  #reply(): Promise<Reply> {
    const reply = new Promise<Reply>((resolve) => this.#thread.once('message', resolve));
    const late = setTimeout(REPLY_MS, undefined, { ref: false }).then(() => {
      throw new Error('the clients of the rehearsal do not answer');
    });
    return Promise.race([reply, late, this.#failed]);
  }
}

interface StageOptions {
  /** The port of the backend. */
  readonly backend: number;
  readonly engine: Config['http']['engine'];
  readonly own: StageParts;
}

interface Stage {
  readonly port: number;
  readonly securePort: number;
  close(): void;
}

function configOf(backend: number, engine: Config['http']['engine']): Config {
  return schema.parse({
    listeners: [
      { host: LOOPBACK, port: 0 },
      { host: LOOPBACK, port: 0, tls: { self_signed: ['localhost'] } },
    ],
    upstreams: { rehearsal: { servers: [`http://${LOOPBACK}:${backend}`] } },
    routes: [
      { name: 'another', match: { path: '/another/*' }, respond: {} },
      {
        name: 'rehearsal',
        http: { upstream: 'rehearsal' },
        websocket: { mode: 'splice', upstream: 'rehearsal' },
      },
    ],
    http: { engine },
  });
}

/** A gateway with a route to a backend on this port, and another one before it. */
async function setUp({ backend, engine, own: { emit, throttle, splice, accepting } }: StageOptions): Promise<Stage> {
  const config = configOf(backend, engine);
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
    lookup: new NameCache().lookup,
  };
  const { table } = compileTable(config);
  const snapshot = buildSnapshot({ config, table, tls: [null, null], backendTls: new Map() }, shared, null);
  startPools(snapshot, null);
  const gateway = new Gateway({
    snapshot: () => snapshot,
    entrance: new Entrance(throttle.admission),
    splice: (...args) => splice(...args),
    crowded: () => false,
  });
  const open = await Promise.all(
    config.listeners.map(async (listener) => {
      const tls = listener.tls === undefined ? null : await makeTls(listener.tls);
      const opened = new Listener(listener, tls, { gateway, accepting, emit });
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
