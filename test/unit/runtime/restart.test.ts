// What only a restart can change, against what the process was started with.
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { parseConfig } from '../../../src/config/parse.ts';
import type { Config } from '../../../src/config/schema/schema.ts';
import { restartNeeded } from '../../../src/runtime/restart.ts';

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
  ['admin: { port: 1 }', 'admin: { port: 2 }', ['admin.port']],
  ['admin: { port: 1 }', 'admin: { port: 1, host: "::1" }', ['admin.host']],
  ['', 'broker: redis://a:1', ['broker']],
  [
    'limits: { handshakes_per_second: 5 }',
    'limits: { handshakes_per_second: 5, shared: redis://a:1 }',
    ['limits.shared'],
  ],
  ['', 'relay: { threads: 3 }', ['relay.threads']],
  ['', 'relay: { threads: 3, engine: js }', ['relay.engine', 'relay.threads']],
])('%j to %j', (started, now, expected) => {
  expect(restartNeeded(configOf(started), configOf(now))).toEqual(expected);
});

it('names the time of a TLS handshake of a listener that there was', () => {
  const listening = (listeners: string) => {
    const { config, problems } = parseConfig(`listeners: [${listeners}]\n${ROUTES}`, { file: 'g', env: {} });
    if (config === null) throw new Error(JSON.stringify(problems));
    return config;
  };
  const started = listening('{ port: 80 }, { port: 443, tls: { self_signed: [a] } }');
  const longer = '{ port: 443, tls: { self_signed: [a] }, timeouts: { tls_handshake: 20s } }';
  expect(restartNeeded(started, listening(longer))).toEqual(['listeners[].timeouts.tls_handshake']);
  expect(restartNeeded(started, listening(longer.replace('443', '444')))).toEqual([]);
});

it('knows every setting whose description speaks of a restart', () => {
  const text = readFileSync(new URL('../../../config/gateway.schema.json', import.meta.url), 'utf8');
  const said = [...text.matchAll(/"description": "([^"]*takes? effect at a restart[^"]*)"/g)].map(([, words]) => words);
  // The time of a TLS handshake, and the relay: both stand in restart.ts.
  expect(new Set(said).size).toBe(2);
});
