// The process around the gateway: signals that come while it starts, and output that is written to its end.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { run, startChild } from '../support/child.ts';
import { type GatewayFile, MAIN, startGateway, writeConfig } from '../support/gateway.ts';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const AT_LOAD = fileURLToPath(new URL('../fixtures/faults/signal-at-load.mjs', import.meta.url));
const CONFIG: GatewayFile = {
  listeners: [{ host: '127.0.0.1', port: 0 }],
  routes: [{ name: 'echo', websocket: { mode: 'terminate', handler: 'echo', origins: 'any' } }],
};

describe('a signal while the program is loaded', () => {
  const env = (signal: string) => ({ NODE_OPTIONS: `--import=${AT_LOAD}`, SIGNAL: signal });

  it('SIGHUP ends nothing, and is obeyed once there is something to reload', async () => {
    const gateway = await startGateway(CONFIG, env('SIGHUP'));
    ends.push(() => gateway.stop('SIGKILL'));
    expect(await gateway.log({ event: 'config_reloaded' })).toMatchObject({ result: 'success', trigger: 'signal' });
    expect(await gateway.stop()).toBe(0);
  });

  it.each(['SIGTERM', 'SIGINT'])('%s ends it before it serves, and that is no failure', async (signal) => {
    const child = await startChild(process.execPath, [MAIN, 'run', '-c', writeConfig(CONFIG)], { env: env(signal) });
    ends.push(() => child.stop('SIGKILL'));
    expect(await child.exited).toBe(0);
    expect(child.lines).toEqual([]);
  });

  it.each(['SIGINT', 'SIGTERM', 'SIGHUP'])(
    '%s breaks a command off as it does any, also a busy one',
    async (signal) => {
      const child = await startChild(process.execPath, [MAIN, 'check', '-c', writeConfig(CONFIG)], {
        env: env(signal),
      });
      ends.push(() => child.stop('SIGKILL'));
      expect(await child.exited).toBe(signal);
    },
  );
});

describe('output', () => {
  /** What a shell makes of it, its reader coming late: by then all has been written, or all that will be. */
  const late = (command: string) => run('/bin/bash', ['-c', `set -o pipefail; ${command} | (sleep 2; cat)`]);
  const upgate = `"${process.execPath}" "${MAIN}"`;

  it('of schema is whole for a reader that comes late', async () => {
    const { code, stdout } = await late(`${upgate} schema`);
    expect(code).toBe(0);
    expect(stdout.length).toBeGreaterThan(65_536);
    expect(stdout).toBe(readFileSync(new URL('../../config/gateway.schema.json', import.meta.url), 'utf8'));
  });

  it('of check is whole however many mistakes there are', async () => {
    const routes = Array.from({ length: 1500 }, (_, i) => ({ name: `r${i}`, http: { upstream: `missing-${i}` } }));
    const { code, stdout } = await late(`${upgate} check -c "${writeConfig({ ...CONFIG, routes })}" 2>&1`);
    expect(code).toBe(1);
    expect(stdout.length).toBeGreaterThan(65_536);
    expect(stdout).toContain('missing-1499');
  });

  it('that nobody wants any more ends a command quietly', async () => {
    const { stdout, stderr } = await run('/bin/bash', ['-c', `${upgate} schema | head -c 1; echo "\${PIPESTATUS[0]}"`]);
    expect(stdout).toBe('{0\n');
    expect(stderr).toBe('');
  });

  it('a gateway goes on when standard error is closed', async () => {
    const file = writeConfig({ ...CONFIG, admin: { port: 0 } });
    const child = spawn(process.execPath, [MAIN, 'run', '-c', file, '--demo'], { stdio: ['ignore', 'pipe', 'pipe'] });
    ends.push(() => child.kill('SIGKILL'));
    child.stderr.destroy();
    const lines: string[] = [];
    child.stdout.setEncoding('utf8').on('data', (text: string) => lines.push(text));
    await expect.poll(() => lines.join('')).toContain('"msg":"started"');
    child.kill('SIGTERM');
    expect(await new Promise((resolve) => child.once('exit', resolve))).toBe(0);
    expect(lines.join('')).toContain('"phase":"done"');
  });
});
