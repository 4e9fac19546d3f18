// The second line of defence, in the built program: what nothing catches is written whole, and the gateway drains in order.
// The fault comes from outside (test/fixtures/faults), for the product has no hook for it.
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { openClient } from '../support/client.ts';
import { type GatewayFile, startGateway } from '../support/gateway.ts';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const INJECT = fileURLToPath(new URL('../fixtures/faults/throw-on-signal.mjs', import.meta.url));

async function start(fault: 'timer' | 'rejection', drain: GatewayFile['drain']) {
  const config: GatewayFile = {
    listeners: [{ host: '127.0.0.1', port: 0 }],
    routes: [{ name: 'echo', websocket: { mode: 'terminate', handler: 'echo', origins: 'any' } }],
    drain,
  };
  const gateway = await startGateway(config, { NODE_OPTIONS: `--import=${INJECT}`, FAULT: fault });
  ends.push(() => gateway.stop('SIGKILL'));
  const client = await openClient(`ws://127.0.0.1:${gateway.port}/`);
  return { gateway, client };
}

describe.each(['timer', 'rejection'] as const)('an error that nothing catches, from a %s', (fault) => {
  it('is written whole, drains the gateway in order, and the exit code is 70', async () => {
    const { gateway, client } = await start(fault, { delay: '0s', spread: '0s', grace: '20s' });
    const closed = once(client.socket, 'close');
    gateway.signal('SIGUSR2');
    // In order: with a Close frame, and its code.
    expect((await closed)[0]).toBe(1001);
    expect(await gateway.exited).toBe(70);
    const [line] = gateway.logs().filter((one) => one['event'] === 'internal_error');
    expect(line).toMatchObject({ level: 'fatal', where: 'process' });
    for (const text of [String(line?.['stack']), gateway.stderr()]) {
      expect(text).toMatch(/^Error: an injected fault, number 1\n {4}at .*throw-on-signal\.mjs/);
      expect(text).toContain('\ncaused by TypeError: its cause\n    at ');
    }
    expect(gateway.logs().at(-1)).toMatchObject({ event: 'drain', phase: 'done' });
  });

  it('is counted while the gateway drains, and a second one ends it at once', async () => {
    const { gateway } = await start(fault, { delay: '0s', spread: '60s', grace: '120s' });
    gateway.signal('SIGUSR2');
    await gateway.log({ event: 'drain', phase: 'listeners_closed' });
    expect(await gateway.metric('internal_errors_total', { where: 'process' })).toBe(1);
    expect(await gateway.metric('draining')).toBe(1);
    gateway.signal('SIGUSR2');
    expect(await gateway.exited).toBe(70);
    expect(gateway.stderr()).toContain('Error: an injected fault, number 2');
  });
});

it('counts nothing where nothing broke', async () => {
  const { gateway, client } = await start('timer', undefined);
  client.socket.send('all is well');
  expect(await client.next()).toBe('all is well');
  expect(await gateway.metric('internal_errors_total', { where: 'process' })).toBe(0);
  expect(await gateway.metric('internal_errors_total', { where: 'websocket' })).toBe(0);
});
