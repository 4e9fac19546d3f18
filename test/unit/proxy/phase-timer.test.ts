// The deadline of an exchange, where this process was kept from reading what had come in time.
import { once } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { Deadlines } from '../../../src/base/deadlines.ts';
import { GatewayError } from '../../../src/errors.ts';
import { PhaseTimer } from '../../../src/proxy/phase-timer.ts';
import { blockThread } from '../../support/block-thread.ts';
import { connect } from '../../support/tunnel-fixture.ts';

const LIMIT_MS = 100;

/** A timer whose phases take as long as that, and the errors it has failed with. */
function timer() {
  const errors: Error[] = [];
  const timeouts = { connect: LIMIT_MS, head: LIMIT_MS, idle: LIMIT_MS };
  return { errors, clock: new PhaseTimer(new Deadlines('request'), timeouts, { fail: (error) => errors.push(error) }) };
}

it('reads what has come before it calls anyone late', async () => {
  const { dialled: near, accepted: far } = await connect('plain');
  onTestFinished(() => {
    near.destroy();
    far.destroy();
  });
  const { clock, errors } = timer();
  clock.waitFor('head');
  near.once('data', () => clock.stop());
  far.write('in time');
  blockThread(3 * LIMIT_MS);
  await once(near, 'data');
  await wait(2 * LIMIT_MS);
  expect(errors).toEqual([]);
});

it('calls who was silent late all the same', async () => {
  const { clock, errors } = timer();
  clock.waitFor('head');
  blockThread(3 * LIMIT_MS);
  await expect.poll(() => errors.length, { timeout: 10_000 }).toBeGreaterThan(0);
  clock.stop();
  expect(errors[0]).toEqual(new GatewayError('backend_timeout', 'the server did not begin to answer within 100 ms'));
});
