// The native relay engine against the shared suite, where it is compiled: npm's postinstall does that when `cc` is there.
import { existsSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { MixedRelay } from '../../src/relay/auto.ts';
import { ADDON } from '../../src/relay/native/addon.ts';
import { NativeRelay } from '../../src/relay/native/native.ts';
import { SteppedClock } from '../support/stepped-clock.ts';
import { describeRelay } from './relay.suite.ts';

/** Another build of it, such as one with a sanitizer. */
const { UPGATE_NATIVE: addon = ADDON } = process.env;
const built = existsSync(addon);

if (built) {
  const started: MixedRelay[] = [];
  let newest: NativeRelay | undefined;
  const clock = new SteppedClock((ms) => newest?.advanceTestClock(ms));
  const engine = () => {
    newest = new NativeRelay(1 + (started.length % 2), addon);
    newest.advanceTestClock(0);
    const relay = new MixedRelay(newest);
    started.push(relay);
    return relay;
  };
  afterAll(() => {
    for (const relay of started) relay.stop();
  });
  describeRelay('native', { engine, clock, transport: 'plain' });
  describeRelay('native', { engine, clock, transport: 'threads' });
} else {
  describe.skip('native relay: not compiled', () => {
    it('is compiled by npm ci where cc is there', () => expect(built).toBe(true));
  });
}
