// Debian's `pebble`: the ACME authority that Let's Encrypt tests with. It looks names up at a server of ours and validates at
// the ports it is told, all on loopback; it refuses some good nonces on purpose.

import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeSelfSigned } from '../../src/runtime/tls/self-signed.ts';
import { startChild } from './child.ts';
import { startDns, type Zone } from './dns.ts';
import { freePort } from './free-port.ts';

export interface Pebble {
  readonly directory: string;
  /** The file that its own certificate is verified by. */
  readonly ca: string;
  /** The certificates that what it issues is verified by, PEM. */
  roots(): Promise<string>;
  /** What it has logged. */
  output(): string;
  stop(): Promise<void>;
}

export interface PebbleOptions {
  /** Where names are proved. */
  readonly http: number;
  readonly tls: number;
  readonly zone: Zone;
  /** Accounts that it has already, MAC keys by their names; others are refused then. */
  readonly externalAccounts?: Readonly<Record<string, string>>;
  readonly env?: NodeJS.ProcessEnv;
}

export async function startPebble({ http, tls, zone, externalAccounts, env }: PebbleOptions): Promise<Pebble> {
  const dir = mkdtempSync(join(tmpdir(), 'upgate-pebble-'));
  const at = (name: string) => join(dir, name);
  const pair = makeSelfSigned(['localhost'], new Date());
  writeFileSync(at('pebble.crt'), pair.cert);
  writeFileSync(at('pebble.key'), pair.key);
  const [port, management] = [await freePort(), await freePort()];
  const pebble = {
    listenAddress: `127.0.0.1:${port}`,
    managementListenAddress: `127.0.0.1:${management}`,
    certificate: at('pebble.crt'),
    privateKey: at('pebble.key'),
    httpPort: http,
    tlsPort: tls,
    ocspResponderURL: '',
    externalAccountBindingRequired: externalAccounts !== undefined,
    externalAccountMACKeys: externalAccounts ?? {},
  };
  writeFileSync(at('pebble.json'), JSON.stringify({ pebble }));
  const dns = await startDns(zone);
  const child = await startChild('pebble', ['-config', at('pebble.json'), '-dnsserver', dns.address], {
    env: { PEBBLE_VA_NOSLEEP: '1', ...env },
  });
  await child.line((line) => (line.includes('ACME directory available') ? true : undefined), 'its directory');
  return {
    directory: `https://localhost:${port}/dir`,
    ca: at('pebble.crt'),
    roots: () => get(`https://localhost:${management}/roots/0`, pair.cert),
    output: () => `${child.lines.join('\n')}\n${child.stderr()}`,
    async stop() {
      await child.stop();
      dns.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

async function get(url: string, ca: string): Promise<string> {
  const [message] = (await once(request(url, { ca }).end(), 'response')) as [AsyncIterable<Buffer>];
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}
