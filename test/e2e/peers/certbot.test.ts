// Another client of ACME beside the gateway: Debian's certbot gets and renews certificates from Debian's pebble, and the gateway,
// which watches the files, serves them without a restart and with no hook. How the gateway orders by itself is acme.test.ts.
import { X509Certificate } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../../support/child.ts';
import { openClient } from '../../support/client.ts';
import { type Gateway, type GatewayFile, startGateway } from '../../support/gateway.ts';
import { type Pebble, startPebble } from '../../support/pebble.ts';
import { hasPeers } from '../../support/peers.ts';

const NAME = 'certbot.upgate.test';
/** Files are looked at every ten seconds where no event tells of them. */
const POLL = { timeout: 20_000, interval: 50 };

describe.skipIf(!hasPeers('pebble', 'certbot'))('certbot', () => {
  const dir = mkdtempSync(join(tmpdir(), 'upgate-certbot-'));
  const [webroot, live] = [join(dir, 'webroot'), join(dir, 'config', 'live', NAME)];
  const pem = (name: string) => join(live, `${name}.pem`);
  let gateway: Gateway;
  let pebble: Pebble;
  let files: Server;
  let configOf: (tls: NonNullable<GatewayFile['listeners']>[number]['tls']) => GatewayFile;

  /** Runs it to its end with folders of its own. */
  async function certbot(...args: readonly string[]): Promise<void> {
    const folders = ['config', 'work', 'logs'].flatMap((name) => [`--${name}-dir`, join(dir, name)]);
    const to = ['--server', pebble.directory, '--no-verify-ssl', '--non-interactive'];
    const { code, stdout, stderr } = await run('certbot', [...args, ...to, ...folders]);
    expect([code, code === 0 ? '' : stdout + stderr]).toEqual([0, '']);
  }

  const leaf = () => new X509Certificate(readFileSync(pem('fullchain')));

  /** The serial number of what a new client gets. */
  const served = () =>
    new Promise<string>((resolve, reject) => {
      const at = { host: '127.0.0.1', port: gateway.ports[1] as number, servername: NAME, rejectUnauthorized: false };
      const socket = connect(at, () => {
        resolve(socket.getPeerX509Certificate()?.serialNumber ?? 'none');
        socket.destroy();
      }).on('error', reject);
    });

  beforeAll(async () => {
    // As certbot's --webroot wants it: a server of the files that it puts there.
    files = createServer((req, res) => {
      try {
        res.end(readFileSync(join(webroot, new URL(req.url ?? '/', 'http://x').pathname)));
      } catch {
        res.writeHead(404).end();
      }
    });
    await new Promise<void>((resolve) => files.listen(0, '127.0.0.1', resolve));
    mkdirSync(webroot);
    const { port } = files.address() as AddressInfo;
    configOf = (tls) => ({
      admin: { port: 0 },
      listeners: [
        { host: '127.0.0.1', port: 0, redirect_to_https: true },
        { host: '127.0.0.1', port: 0, tls },
      ],
      upstreams: { webroot: { servers: [`http://127.0.0.1:${port}`] } },
      routes: [
        { name: 'challenges', match: { path: '/.well-known/acme-challenge/*' }, http: { upstream: 'webroot' } },
        { name: 'ws', match: { path: '/ws' }, websocket: { mode: 'terminate', handler: 'echo', origins: 'any' } },
      ],
    });
    gateway = await startGateway(configOf({ self_signed: [NAME] }));
    pebble = await startPebble({ http: gateway.ports[0] as number, tls: 1, zone: { [NAME]: ['127.0.0.1'] } });
  });
  afterAll(async () => {
    expect(await gateway?.stop()).toBe(0);
    await pebble?.stop();
    files?.close();
    rmSync(dir, { recursive: true, force: true });
  });

  it('proves a name through the gateway, by --webroot, and its files are served', async () => {
    const account = ['--agree-tos', '--register-unsafely-without-email'];
    await certbot('certonly', '--webroot', '-w', webroot, '-d', NAME, ...account);
    expect(leaf().issuer).toContain('Pebble');
    const certificates = [{ cert: pem('fullchain'), key: pem('privkey') }];
    writeFileSync(gateway.file, JSON.stringify(configOf({ certificates })));
    await expect.poll(served, POLL).toBe(leaf().serialNumber);
  });

  it('renews it: new clients get that without a restart or a hook, and those that are there stay', async () => {
    const before = leaf().serialNumber;
    const url = `wss://127.0.0.1:${gateway.ports[1]}/ws`;
    const options = { rejectUnauthorized: false, servername: NAME };
    const client = await openClient(url, options);
    await certbot('renew', '--force-renewal', '--no-random-sleep-on-renew');
    expect(leaf().serialNumber).not.toBe(before);
    await expect.poll(served, POLL).toBe(leaf().serialNumber);
    client.socket.send('still here');
    expect(await client.next()).toBe('still here');
    await client.close();
  });
});
