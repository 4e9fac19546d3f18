// What only a restart can change, against what the process was started with.
import { expect, it } from 'vitest';
import { parseConfig } from '../../../src/config/parse.ts';
import type { Config } from '../../../src/config/schema/schema.ts';
import { waitsForRestart } from '../../../src/runtime/restart.ts';

const ROUTES = 'routes: [{ name: a, websocket: { mode: terminate, handler: echo, origins: any } }]';
function configOf(more: string): Config {
  const { config, problems } = parseConfig(`listeners: [{ port: 80 }]\n${ROUTES}\n${more}`, { file: 'g', env: {} });
  if (config === null) throw new Error(JSON.stringify(problems));
  return config;
}

it.each([
  ['', '', []],
  ['', 'log: { level: warn }', []],
  ['admin: { port: 1 }', 'admin: { port: 1 }', []],
  ['admin: { port: 1 }', 'admin: { port: 2 }', ['the address of "admin"']],
  ['admin: { port: 1 }', 'admin: { port: 1, host: "::1" }', ['the address of "admin"']],
  ['', 'broker: redis://a:1', ['"broker"']],
  [
    'limits: { handshakes_per_second: 5 }',
    'limits: { handshakes_per_second: 5, shared: redis://a:1 }',
    ['"limits.shared"'],
  ],
  ['', 'relay: { threads: 3 }', ['"relay"']],
])('%j to %j', (started, now, expected) => {
  expect(waitsForRestart(configOf(started), configOf(now))).toEqual(
    expected.map((what) => `a change of ${what} takes effect at a restart`),
  );
});
