// The behaviour every relay engine owes, sentence by sentence of the design's section on the frame cursor: a raw client
// and a raw backend assert exact bytes and their order.
import { describe } from 'vitest';
import type { RelayEngine } from '../../src/relay/relay.ts';
import type { Transport } from '../support/tunnel-fixture.ts';
import { describeBytes } from './relay/bytes.ts';
import { describeClose } from './relay/close.ts';
import { describeDrain } from './relay/drain.ts';
import { describeLarge } from './relay/large.ts';
import { describeLimits } from './relay/limits.ts';
import { describeLost } from './relay/lost.ts';
import { describePing } from './relay/ping.ts';

export function describeRelay(name: string, engine: () => RelayEngine, transport: Transport = 'plain'): void {
  const context = { engine, transport };
  describe(`${name} relay, ${transport} sides`, () => {
    // Those that mostly wait run side by side.
    describe('bytes', () => describeBytes(context));
    describe('large frames', () => describeLarge(context));
    describe.concurrent('close(code, reason)', () => describeClose(context));
    describe('a lost peer', () => describeLost(context));
    describe.concurrent('ping', () => describePing(context));
    describe.concurrent('limits and waits', () => describeLimits(context));
    describe('drain', () => describeDrain(context));
  });
}
