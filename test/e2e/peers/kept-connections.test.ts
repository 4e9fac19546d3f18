// Servers that close a kept connection without saying so in their answer, uWSGI right behind it and Hypercorn a little later;
// and downloads from Python's http.server that their clients abandon.
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LineChild, run, startChild } from '../../support/child.ts';
import { type Gateway, startGateway } from '../../support/gateway.ts';
import { hasPeers } from '../../support/peers.ts';
import { closedPort } from '../../support/scripted.ts';

const APPLICATIONS = fileURLToPath(new URL('../../support/python/', import.meta.url));

/** Starts a server on the port; it is there once it answers. */
async function start(command: string, args: readonly string[], port: number): Promise<LineChild> {
  const child = await startChild(command, args, { env: { PYTHONPATH: APPLICATIONS, PYTHONDONTWRITEBYTECODE: '1' } });
  for (;;) {
    try {
      await (await fetch(`http://127.0.0.1:${port}/`)).text();
      return child;
    } catch {
      await sleep(50);
    }
  }
}

const uwsgi = (port: number) =>
  start(
    '/usr/bin/uwsgi',
    [
      ...['--plugin', 'python3', '--http-socket', `127.0.0.1:${port}`, '--master', '--threads', '4', '--die-on-term'],
      ...['--wsgi-file', join(APPLICATIONS, 'asgi_wsgi.py'), '--disable-logging'],
    ],
    port,
  );
const hypercorn = (port: number) =>
  start(
    '/usr/bin/python3',
    [
      ...['-m', 'hypercorn', '--config', `file:${join(APPLICATIONS, 'hypercorn_config.py')}`],
      ...['--bind', `127.0.0.1:${port}`, 'asgi_wsgi:app'],
    ],
    port,
  );

describe.each(['auto', 'http-proxy'] as const)('by %s', (engine) => {
  const gatewayTo = (port: number): Promise<Gateway> =>
    startGateway({
      listeners: [{ host: '127.0.0.1', port: 0 }],
      http: { engine },
      upstreams: { rest: { servers: [`http://127.0.0.1:${port}`], retry: 'off', health: { passive: 'off' } } },
      routes: [{ name: 'rest', http: { upstream: 'rest' } }],
      log: { access: false },
    });

  describe.each([
    ['uWSGI', uwsgi, hasPeers('uwsgi-core', 'uwsgi-plugin-python3'), 400],
    // Its patience is 10 ms. On a busy machine it also ends a connection that is quite new, before it has read what came on it,
    // and then nobody knows whether it acted on the request: 1 to 4 of 400 at load 12. Of kept connections it was every third.
    ['Hypercorn', hypercorn, hasPeers('python3-hypercorn'), 380],
  ] as const)('%s', (_, startServer, present, least) => {
    if (!present) {
      it.skip('is not here', () => undefined);
      return;
    }
    let server: LineChild;
    let gateway: Gateway;
    beforeAll(async () => {
      const port = await closedPort();
      server = await startServer(port);
      gateway = await gatewayTo(port);
    });
    afterAll(async () => {
      await gateway?.stop('SIGKILL');
      await server?.stop('SIGTERM');
    });

    it('every GET is answered, however long after the one before it comes', async () => {
      const statuses = new Map<number, number>();
      const client = async (seed: number) => {
        for (let i = 0; i < 100; i++) {
          const response = await fetch(`http://127.0.0.1:${gateway.port}/`);
          await response.text();
          statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
          if (i % 4 === 0) await sleep((i * 7 + seed) % 23);
        }
      };
      await Promise.all([1, 2, 3, 4].map(client));
      const answered = statuses.get(200) ?? 0;
      expect([...statuses].filter(([status]) => status !== 200 && status !== 502)).toEqual([]);
      expect(answered).toBeGreaterThanOrEqual(least);
    });
  });

  describe.skipIf(!hasPeers('python3', 'curl'))('http.server', () => {
    const directory = mkdtempSync(join(tmpdir(), 'upgate-downloads-'));
    const file = join(directory, 'large');
    let python: LineChild;
    let gateway: Gateway;
    beforeAll(async () => {
      writeFileSync(file, '');
      truncateSync(file, 80 * 1024 * 1024);
      writeFileSync(join(directory, 'small'), 'small');
      python = await startChild('/usr/bin/python3', [
        ...['-u', '-m', 'http.server', '--bind', '127.0.0.1', '--directory', directory, '0'],
      ]);
      gateway = await gatewayTo(
        await python.line((line) => Number(/ port (\d+) /.exec(line)?.[1]) || undefined, 'its port'),
      );
    });
    afterAll(async () => {
      await gateway?.stop('SIGKILL');
      await python?.stop('SIGKILL');
      rmSync(directory, { recursive: true, force: true });
    });

    it('goes on behind the gateway after downloads that were abandoned', async () => {
      const url = `http://127.0.0.1:${gateway.port}`;
      const abandon = (...args: string[]) =>
        run('curl', ['-s', '-o', '/dev/null', '--limit-rate', '10k', '--max-time', '1', ...args, `${url}/large`]).catch(
          () => {},
        );
      await Promise.all([abandon(), abandon(), abandon('--http1.0'), abandon('--http1.0')]);
      expect(await (await fetch(`${url}/small`)).text()).toBe('small');
      const whole = await fetch(`${url}/large`);
      expect((await whole.arrayBuffer()).byteLength).toBe(80 * 1024 * 1024);
    });
  });
});
