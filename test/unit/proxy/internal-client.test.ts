// Requests of the gateway's own: they reach a server wherever it is, by the upstream's own TLS. What breaks and what is
// asked again is tested with the webhook, in e2e/webhook.test.ts.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createServer as createSecure } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BackendTls, Endpoint } from '../../../src/net/endpoint.ts';
import { openInternalClient } from '../../../src/proxy/internal-client.ts';
import { loadBackendTls } from '../../../src/runtime/tls/backend-tls.ts';
import { type Authority, makeAuthority } from '../../support/authority.ts';

const caller = openInternalClient();
const ends: (() => void)[] = [() => caller.close()];
let authority: Authority;
beforeAll(() => {
  authority = makeAuthority();
  ends.push(() => authority.remove());
});
afterAll(() => {
  for (const end of ends.reverse()) end();
});

const ask = async (server: Endpoint) => {
  const fields = ['Host', 'backend.test'];
  const call = { server, fields, method: 'POST', target: '/e', body: Buffer.from('x'), timeoutMs: 5000 } as const;
  return (await caller.call({ ...call, maxBytes: 1000 })).body.toString();
};

describe('a call', () => {
  it('reaches a unix socket', async () => {
    const path = join(tmpdir(), `upgate-call-${process.pid}.sock`);
    const server = createServer((req, res) => void res.end(`${req.method} ${req.url} over unix`));
    await once(server.listen(path), 'listening');
    ends.push(() => server.close().closeAllConnections());
    const at = { url: `unix:${path}`, secure: false, host: 'localhost', port: 80, unix: path };
    expect(await ask(at)).toBe('POST /e over unix');
  });

  it('speaks TLS as the upstream says', async () => {
    const pair = authority.issue('backend', 'backend.test');
    const mine = authority.issue('mine', 'gateway.test');
    const options = { cert: pair.cert, key: pair.key, ca: authority.pem, requestCert: true, rejectUnauthorized: true };
    const server = createSecure(options, (req, res) => {
      res.end(String((req.socket as TLSSocket).getPeerCertificate().subject.CN));
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    ends.push(() => server.close().closeAllConnections());
    const { port } = server.address() as AddressInfo;
    const at = { url: `https://127.0.0.1:${port}`, secure: true, host: '127.0.0.1', port };
    const load = async (config: object) =>
      (await loadBackendTls({ verify: true, ca: 'ca.crt', ...config }, authority.dir)) as BackendTls;
    const certificate = { cert: mine.files.cert, key: mine.files.key };
    const named = { ...certificate, server_name: 'backend.test' };
    expect(await ask({ ...at, tls: await load(named) })).toBe('mine');
    expect(await ask({ ...at, serverName: 'backend.test', tls: await load(certificate) })).toBe('mine');
    await expect(ask({ ...at, tls: await load(certificate) })).rejects.toMatchObject({ code: 'backend_refused' });
    await expect(ask(at)).rejects.toMatchObject({ code: 'backend_refused' });
  });
});
