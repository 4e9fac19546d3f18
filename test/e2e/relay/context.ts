// What every part of the relay's suite is given.
import type { RelayEngine } from '../../../src/relay/relay.ts';
import type { SteppedClock } from '../../support/stepped-clock.ts';
import type { Transport } from '../../support/tunnel-fixture.ts';

export interface Context {
  /** A fresh engine, so that its counters start at 0; from then on it is the one that `clock` moves. */
  readonly engine: () => RelayEngine;
  readonly transport: Transport;
  /** Of the newest engine. */
  readonly clock: SteppedClock;
}
