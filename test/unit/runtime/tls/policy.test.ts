import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { type ConnectionOptions, connect, createServer, type Server } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { groups, TLS12_SUITES, TLS13_SUITES, tlsPolicy } from '../../../../src/runtime/tls/policy.ts';
import { makeSelfSigned } from '../../../../src/runtime/tls/self-signed.ts';

const pair = makeSelfSigned(['a.example'], new Date());

let server: Server;
beforeAll(async () => {
  server = createServer({ ...pair, ...tlsPolicy('1.2') }, (socket) => socket.end());
  server.on('tlsClientError', () => {});
  await once(server.listen(0, '127.0.0.1'), 'listening');
});
afterAll(() => void server.close());

/** The suite that is agreed on, or the code of the error. */
async function agreed(options: ConnectionOptions): Promise<string> {
  const { port } = server.address() as AddressInfo;
  const client = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
  const failed = once(client, 'error').then(([error]) => (error as NodeJS.ErrnoException).code ?? '');
  const suite = once(client, 'secureConnect').then(() => client.getCipher().name);
  suite.catch(() => {});
  const result = await Promise.race([suite, failed]);
  failed.catch(() => {});
  client.destroy();
  return result;
}

describe('the policy', () => {
  it.each(TLS13_SUITES)('takes %s', async (ciphers) => {
    expect(await agreed({ minVersion: 'TLSv1.3', ciphers })).toBe(ciphers);
  });

  it.each(TLS12_SUITES.filter((suite) => suite.includes('ECDSA')))('takes %s', async (ciphers) => {
    expect(await agreed({ maxVersion: 'TLSv1.2', ciphers })).toBe(ciphers);
  });

  // Of what an EC certificate can serve, OpenSSL's own default takes all of these.
  it.each(['ECDHE-ECDSA-AES128-SHA', 'ECDHE-ECDSA-AES256-SHA384', 'ECDHE-ECDSA-AES128-CCM'])(
    'does not take %s',
    async (ciphers) => {
      expect(await agreed({ maxVersion: 'TLSv1.2', ciphers })).toMatch(/HANDSHAKE_FAILURE/);
    },
  );

  it.each(['X25519', 'P-256', 'P-384'])('takes the group %s', async (ecdhCurve) => {
    expect(await agreed({ ecdhCurve })).toMatch(/^TLS_/);
  });

  it.each(['P-521', 'X448'])('does not take the group %s', async (ecdhCurve) => {
    expect(await agreed({ ecdhCurve })).toMatch(/HANDSHAKE_FAILURE/);
  });

  it('takes the client’s order of suites, which knows whether its processor has AES', async () => {
    const [aes, , chacha] = TLS13_SUITES;
    expect(await agreed({ minVersion: 'TLSv1.3', ciphers: `${chacha}:${aes}` })).toBe(chacha);
    expect(await agreed({ minVersion: 'TLSv1.3', ciphers: `${aes}:${chacha}` })).toBe(aes);
  });

  it('prefers the post-quantum group where OpenSSL has it', async () => {
    const [major = 0, minor = 0] = process.versions.openssl.split('.').map(Number);
    const known = major > 3 || (major === 3 && minor >= 5);
    expect(groups()[0]).toBe(known ? 'X25519MLKEM768' : 'X25519');
    expect(await agreed({ ecdhCurve: groups()[0] })).toMatch(/^TLS_/);
  });
});
