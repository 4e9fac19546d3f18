// A reload of very many routes stops nobody: requests are answered while the file is parsed and checked, and the routes
// are in force afterwards. What a reload does otherwise is in reload.test.ts.
import { renameSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { connectRaw, readAnswer } from '../support/raw.ts';

const ROUTES = 20_000;
const RELOAD_TIMEOUT_MS = 240_000;

let gateway: Gateway;
beforeAll(async () => {
  gateway = await startGateway({
    listeners: [{ host: '127.0.0.1', port: 0 }],
    log: { access: false },
    routes: [{ name: 'here', match: { path: '/here' }, respond: { status: 200 } }],
  });
});
afterAll(async () => expect(await gateway.stop()).toBe(0));

/** Whole at any moment. */
function replaceFile(last: string): void {
  const routes = Array.from(
    { length: ROUTES },
    (_, i) => `  - { name: r${i}, match: { host: h${i}.test, path: /p/* }, respond: { status: 204 } }\n`,
  );
  const here = '  - { name: here, match: { path: /here }, respond: { status: 200 } }\n';
  const head = 'listeners: [{ host: 127.0.0.1, port: 0 }]\nadmin: { port: 0 }\nlog: { access: false }\nroutes:\n';
  writeFileSync(`${gateway.file}.new`, `${head}${here}${routes.join('')}${last}`);
  renameSync(`${gateway.file}.new`, gateway.file);
}

async function statusOf(host: string, path: string): Promise<number> {
  const connection = await connectRaw(gateway.port);
  connection.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  const { bytes } = await connection.closed(RELOAD_TIMEOUT_MS);
  connection.socket.destroy();
  return readAnswer(bytes).status;
}

/** Asks one request after the other until the next reload is over; the longest answer, and the time of it all. */
async function askDuringReload(result: 'success' | 'failure'): Promise<{ longestMs: number; wholeMs: number }> {
  const began = performance.now();
  let reloading = true;
  const reloaded = gateway.log({ event: 'config_reloaded', result }, RELOAD_TIMEOUT_MS).finally(() => {
    reloading = false;
  });
  let longestMs = 0;
  while (reloading) {
    const asked = performance.now();
    expect(await statusOf('gateway.test', '/here')).toBe(200);
    longestMs = Math.max(longestMs, performance.now() - asked);
  }
  await reloaded;
  return { longestMs, wholeMs: performance.now() - began };
}

it('with an error in the last of them, it is told at its place, and nobody has waited', {
  timeout: RELOAD_TIMEOUT_MS,
}, async () => {
  replaceFile('  - { name: last, match: { path: p }, respond: { status: 204 } }\n');
  const { longestMs, wholeMs } = await askDuringReload('failure');
  expect(longestMs).toBeLessThan(wholeMs / 3);
  const failed = await gateway.log({ event: 'config_reloaded' });
  const message = `:${ROUTES + 6}:34: error: routes[${ROUTES + 1}].match.path: a path starts with "/" (write /p)`;
  expect(failed['problems']).toEqual([expect.stringContaining(message)]);
  expect(await statusOf('h1.test', '/p/x')).toBe(404);
});

it('they are in force afterwards, and nobody has waited', { timeout: RELOAD_TIMEOUT_MS }, async () => {
  replaceFile('  - { name: last, match: { path: /last }, respond: { status: 204 } }\n');
  const { longestMs, wholeMs } = await askDuringReload('success');
  expect(longestMs).toBeLessThan(wholeMs / 3);
  const last = `h${ROUTES - 1}.test`;
  expect([await statusOf('h0.test', '/p/x'), await statusOf(last, '/p/x'), await statusOf(last, '/q')]).toEqual([
    204, 204, 404,
  ]);
});
