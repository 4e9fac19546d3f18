// What every HTTP engine must do, whatever library moves the bytes; run over each by its own test file.
import { afterEach, describe } from 'vitest';
import type { HttpEngine, HttpEngineOptions } from '../../src/proxy/http-engine.ts';
import {
  type Backend,
  type Front,
  type FrontOptions,
  type Peer,
  startBackend,
  startFront,
} from '../support/forwarding.ts';
import { connectRaw, type RawConnection } from '../support/raw.ts';
import { describeAnswers } from './http-engine-answers.suite.ts';
import { describeBinding } from './http-engine-binding.suite.ts';
import { describeBreaks } from './http-engine-breaks.suite.ts';
import { describeConnections } from './http-engine-connections.suite.ts';
import { describeFailures } from './http-engine-failures.suite.ts';
import { describeInterims } from './http-engine-interims.suite.ts';
import { describeLeaving } from './http-engine-leaving.suite.ts';
import { describeOctets } from './http-engine-octets.suite.ts';
import { describeRequests } from './http-engine-requests.suite.ts';
import { describeTraps } from './http-engine-traps.suite.ts';

export type MakeEngine = (options?: HttpEngineOptions) => HttpEngine;

/** An engine between a scripted backend and a front. */
export interface Stage {
  readonly engine: HttpEngine;
  readonly backend: Backend;
  readonly front: Front;
  /** A client's connection to the front. */
  client(): Promise<RawConnection>;
  /** Sends a request on a new connection, and waits for the backend to have its head. */
  ask(request: string): Promise<{ client: RawConnection; peer: Peer }>;
}

export interface StageOptions extends Partial<FrontOptions> {
  readonly engine?: HttpEngineOptions;
  readonly backend?: Backend;
}

export interface Stages {
  readonly make: MakeEngine;
  set(options?: StageOptions): Promise<Stage>;
  /** What is to be closed after the test. */
  keep<T extends { close(): void }>(closable: T): T;
}

/** `more`: what this engine alone promises. */
export function describeHttpEngine(name: string, make: MakeEngine, more?: (stages: Stages) => void): void {
  const open: { close(): void }[] = [];
  afterEach(() => {
    for (const closable of open.splice(0)) closable.close();
  });
  const keep = <T extends { close(): void }>(closable: T): T => {
    open.push(closable);
    return closable;
  };
  const set = async ({ engine: engineOptions, backend: given, ...options }: StageOptions = {}): Promise<Stage> => {
    const engine = keep(make(engineOptions));
    const backend = keep(given ?? (await startBackend()));
    const front = keep(await startFront(engine, { port: backend.port, ...options }));
    const client = async () => {
      const connection = await connectRaw(front.port);
      keep({ close: () => connection.socket.destroy() });
      return connection;
    };
    const ask = async (request: string) => {
      const connection = await client();
      connection.write(Buffer.from(request, 'latin1'));
      const peer = await backend.next();
      await peer.until('\r\n\r\n');
      return { client: connection, peer };
    };
    return { engine, backend, front, client, ask };
  };
  const stages: Stages = { make, set, keep };
  describe(name, () => {
    describe('the request', () => describeRequests(stages));
    describe('octets', () => describeOctets(stages));
    describe('the answer', () => describeAnswers(stages));
    describe('interim and early answers', () => describeInterims(stages));
    describe('what breaks', () => describeFailures(stages));
    describe('what breaks off', () => describeBreaks(stages));
    describe('connections', () => describeConnections(stages));
    describe('connections of one client', () => describeBinding(stages));
    describe('clients that leave', () => describeLeaving(stages));
    describe('traps', () => describeTraps(stages));
    if (more !== undefined) describe('of its own', () => more(stages));
  });
}
