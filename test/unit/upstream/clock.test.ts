// The one timer of an exchange, where this process was kept from reading what had come in time.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { GatewayError } from '../../../src/errors.ts';
import { Clock } from '../../../src/upstream/clock.ts';

const LIMIT_MS = 100;

async function pair(): Promise<[near: Socket, far: Socket]> {
  const server = createServer();
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const near = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [far] = await accepted;
  onTestFinished(() => {
    near.destroy();
    far.destroy();
    server.close();
  });
  return [near, far];
}

/** Nothing of this process goes on meanwhile. */
function standStill(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

it('reads what has come before it calls anyone late', async () => {
  const [near, far] = await pair();
  const errors: Error[] = [];
  const clock = new Clock({ connect: LIMIT_MS, head: LIMIT_MS, idle: LIMIT_MS }, (error) => errors.push(error));
  clock.waitFor('head');
  near.once('data', () => clock.stop());
  far.write('in time');
  standStill(3 * LIMIT_MS);
  await once(near, 'data');
  await wait(2 * LIMIT_MS);
  expect(errors).toEqual([]);
});

it('calls who was silent late all the same', async () => {
  const late = new Promise<Error>((resolve) => {
    new Clock({ connect: LIMIT_MS, head: LIMIT_MS, idle: LIMIT_MS }, resolve).waitFor('head');
  });
  standStill(3 * LIMIT_MS);
  expect(await late).toEqual(new GatewayError('backend_timeout', 'the server did not begin to answer within 100 ms'));
});
