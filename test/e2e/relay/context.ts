// What every part of the relay's suite is given.
import type { RelayEngine } from '../../../src/relay/relay.ts';
import type { Transport } from '../../support/tunnel-fixture.ts';

export interface Context {
  /** A fresh engine, so that its counters start at 0. */
  readonly engine: () => RelayEngine;
  readonly transport: Transport;
}
