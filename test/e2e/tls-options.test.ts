// What a TLS listener of the built gateway can be told to do, as clients see it: versions and ciphers, names that are
// nobody's, and handshakes that come to nothing. Certificates by SNI, reloads and resumption are tls.test.ts.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConnectionOptions, connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeSelfSigned } from '../../src/runtime/tls/self-signed.ts';
import { run } from '../support/child.ts';
import { clientHelloOf } from '../support/client-hello.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { connectRaw } from '../support/raw.ts';

const dir = mkdtempSync(join(tmpdir(), 'upgate-tls-'));
const at = (name: string) => join(dir, name);

function writePair(label: string, ...names: string[]) {
  const { cert, key } = makeSelfSigned(names, new Date());
  writeFileSync(at(`${label}.crt`), cert);
  writeFileSync(at(`${label}.key`), key);
  return { cert: at(`${label}.crt`), key: at(`${label}.key`) };
}

/** A certificate that static RSA could be spoken with. */
function writeRsaPair() {
  const files = { cert: at('rsa.crt'), key: at('rsa.key') };
  const args = ['-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=rsa.example'];
  const san = ['-addext', 'subjectAltName=DNS:rsa.example'];
  execFileSync('openssl', ['req', ...args, ...san, '-keyout', files.key, '-out', files.cert], { stdio: 'ignore' });
  return files;
}

const DEFAULTS = 0;
const STRICT = 1;
const NEWEST = 2;

let gateway: Gateway;
beforeAll(async () => {
  const rsa = writeRsaPair();
  const certificates = [writePair('exact', 'app.example.com'), writePair('wild', '*.example.com')];
  const listener = { host: '127.0.0.1', port: 0 };
  gateway = await startGateway({
    listeners: [
      { ...listener, tls: { certificates: [rsa] } },
      { ...listener, tls: { certificates, strict_sni: true } },
      { ...listener, tls: { certificates, min_version: 1.3 } },
    ],
    routes: [{ name: 'all', respond: { body: 'served' } }],
  });
});
afterAll(async () => {
  expect(await gateway.stop()).toBe(0);
  rmSync(dir, { recursive: true });
});

/** The version that is spoken with this listener, or the code of the error. */
async function handshake(listener: number, options: ConnectionOptions): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port: gateway.ports[listener]!, rejectUnauthorized: false, ...options });
  socket.on('error', () => {});
  try {
    await once(socket, 'secureConnect');
    return socket.getProtocol() ?? '';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? '';
  } finally {
    socket.destroy();
  }
}

describe('of the versions and ciphers', () => {
  /** What openssl's client agrees on; its exit code is 0 where there is a handshake. */
  async function agreed(...options: string[]): Promise<string | null> {
    const target = ['-connect', `127.0.0.1:${gateway.ports[DEFAULTS]}`, '-servername', 'rsa.example'];
    const { code, stdout } = await run('openssl', ['s_client', ...target, ...options]);
    return code === 0 ? (/Cipher is (\S+)/.exec(stdout)?.[1] ?? '') : null;
  }

  it.each(['ECDHE-RSA-AES128-GCM-SHA256', 'ECDHE-RSA-AES256-GCM-SHA384', 'ECDHE-RSA-CHACHA20-POLY1305'])(
    '%s is taken by TLS 1.2',
    async (cipher) => expect(await agreed('-tls1_2', '-cipher', cipher)).toBe(cipher),
  );

  it.each([
    ['static RSA', 'AES128-GCM-SHA256'],
    ['static RSA', 'AES256-SHA'],
    ['CBC', 'ECDHE-RSA-AES128-SHA'],
    ['CBC', 'ECDHE-RSA-AES256-SHA384'],
    ['finite-field DHE', 'DHE-RSA-AES128-GCM-SHA256'],
  ])('%s is refused: %s', async (_, cipher) => expect(await agreed('-tls1_2', '-cipher', cipher)).toBeNull());

  it('TLS 1.1 is refused', async () => {
    expect(await agreed('-tls1_1', '-cipher', 'DEFAULT:@SECLEVEL=0')).toBeNull();
  });

  it('min_version 1.3 refuses 1.2', async () => {
    const servername = 'app.example.com';
    expect(await handshake(NEWEST, { servername })).toBe('TLSv1.3');
    expect(await handshake(NEWEST, { servername, maxVersion: 'TLSv1.2' })).toMatch(/ALERT_PROTOCOL_VERSION/);
    expect(await handshake(DEFAULTS, { servername, maxVersion: 'TLSv1.2' })).toBe('TLSv1.2');
  });
});

describe.each(['TLSv1.2', 'TLSv1.3'] as const)('strict_sni over %s', (version) => {
  const versions = { minVersion: version, maxVersion: version };

  it.each(['app.example.com', 'APP.example.com', 'chat.example.com'])('serves %s', async (servername) => {
    expect(await handshake(STRICT, { ...versions, servername })).toBe(version);
  });

  it.each(['example.com', 'a.b.example.com', 'unknown.example'])(
    'ends the handshake for %s with unrecognized_name',
    async (servername) => {
      expect(await handshake(STRICT, { ...versions, servername })).toMatch(/UNRECOGNIZED_NAME/);
    },
  );

  it('refuses a client that names no server', async () => {
    expect(await handshake(STRICT, { ...versions, servername: '' })).toMatch(/HANDSHAKE_FAILURE/);
    expect(await handshake(NEWEST, { servername: '' })).toBe('TLSv1.3');
  });
});

it('a client that ends its side within the handshake is closed at once, and not when its time is over', async () => {
  const hello = await clientHelloOf({ servername: 'rsa.example' });
  // The timeout is 10 s, and so is that of a test's expectation; the machine may be busy.
  for (const bytes of [hello.subarray(0, 0), hello.subarray(0, 60), hello]) {
    const client = await connectRaw(gateway.ports[DEFAULTS]!);
    const began = performance.now();
    client.write(bytes);
    client.end();
    await client.closed();
    expect(performance.now() - began).toBeLessThan(8000);
    client.socket.destroy();
  }
});
