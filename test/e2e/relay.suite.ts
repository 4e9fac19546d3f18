// The behaviour every relay engine owes, sentence by sentence of the design's section on the frame cursor: a raw client
// and a raw backend assert exact bytes and their order, by a clock that only the test moves.
import { describe } from 'vitest';
import { describeBytes } from './relay/bytes.ts';
import { describeClose } from './relay/close.ts';
import type { Context } from './relay/context.ts';
import { describeDrain } from './relay/drain.ts';
import { describeLarge } from './relay/large.ts';
import { describeLimits } from './relay/limits.ts';
import { describeLost } from './relay/lost.ts';
import { describePing } from './relay/ping.ts';

export function describeRelay(name: string, context: Context): void {
  describe(`${name} relay, ${context.transport} sides`, () => {
    describe('bytes', () => describeBytes(context));
    describe('large frames', () => describeLarge(context));
    describe('close(code, reason)', () => describeClose(context));
    describe('a lost peer', () => describeLost(context));
    describe('ping', () => describePing(context));
    describe('limits and waits', () => describeLimits(context));
    describe('drain', () => describeDrain(context));
  });
}
