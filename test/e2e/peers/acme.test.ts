// Certificates from a real authority: Debian's pebble proves the names at the built gateway's listeners, and clients are then
// served with what it has issued. What a real authority can't be made to do is unit/acme/managed-certificate.test.ts.
import { X509Certificate } from 'node:crypto';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeSelfSigned } from '../../../src/runtime/tls/self-signed.ts';
import { type Gateway, type GatewayFile, type LogLine, startGateway } from '../../support/gateway.ts';
import { type Pebble, startPebble } from '../../support/pebble.ts';
import { hasPeers } from '../../support/peers.ts';

const NAMES = ['a.upgate.test', 'b.upgate.test'];
const ZONE = Object.fromEntries(NAMES.map((name) => [name, ['127.0.0.1']]));
const MAC_KEY = 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W';

/** The certificate that a client gets who asks for the name, and the protocol that was agreed on. */
function certificateFor(port: number, servername: string, ALPNProtocols = ['http/1.1']): Promise<X509Certificate> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, servername, ALPNProtocols, rejectUnauthorized: false };
    const socket = connect(options, () => {
      const { raw } = socket.getPeerCertificate();
      socket.destroy();
      resolve(new X509Certificate(raw));
    });
    socket.on('error', reject);
  });
}

const answerTo = (url: string) =>
  new Promise<{ status: number | undefined; location: string | undefined; text: string }>((resolve, reject) => {
    get(url, async (message) => {
      let text = '';
      for await (const chunk of message) text += String(chunk);
      resolve({ status: message.statusCode, location: message.headers.location, text });
    }).on('error', reject);
  });

/** The certificate is in service that ends as the line says. */
const loaded = (gateway: Gateway, { not_after }: LogLine) => gateway.log({ event: 'certificate_loaded', not_after });

const ROUTES: GatewayFile['routes'] = [{ name: 'hello', respond: { status: 200, body: 'hello' } }];

describe.skipIf(!hasPeers('pebble'))('an authority', () => {
  const dir = mkdtempSync(join(tmpdir(), 'upgate-acme-'));
  const storage = join(dir, 'acme');
  let gateway: Gateway;
  let pebble: Pebble;

  const issued = (name: string) => join(storage, readdirSync(storage)[0] as string, name);
  const withTls = (tls: object, ...others: object[]): GatewayFile =>
    ({ listeners: [...others, { port: 0, tls }], routes: ROUTES }) as GatewayFile;
  const acme = (changes: object) => ({
    ...{ directory: pebble.directory, ca: pebble.ca, storage, terms_agreed: true, email: 'ops@upgate.test' },
    ...changes,
  });
  const rewrite = (value: object | string) =>
    writeFileSync(gateway.file, typeof value === 'string' ? value : JSON.stringify({ admin: { port: 0 }, ...value }));
  const ordered = async () => JSON.parse((await gateway.admin('/status')).text).certificate_orders as object[];
  const tlsPort = () => gateway.ports.at(-1) as number;

  describe('over HTTP', () => {
    const plain = { port: 0, redirect_to_https: true };

    beforeAll(async () => {
      // The authority has to know the ports, and the gateway the authority.
      gateway = await startGateway(withTls({ self_signed: ['localhost'] }, plain));
      const [http = 0, tls = 0] = gateway.ports;
      pebble = await startPebble({ http, tls, zone: ZONE, externalAccounts: { 'kid-1': MAC_KEY } });
    });
    afterAll(async () => {
      await gateway?.stop();
      await pebble?.stop();
    });

    it('that wants an account of its own says so where there is none', async () => {
      rewrite(withTls({ acme: acme({ domains: NAMES }) }, plain));
      const { detail } = await gateway.log({ event: 'certificate_ordered', result: 'failed' });
      expect(detail).toContain('set eab');
      expect(await gateway.metric('acme_errors_total', { reason: 'externalAccountRequired' })).toBe(1);
      expect(await ordered()).toEqual([
        {
          ...{ names: NAMES.join(), authority: new URL(pebble.directory).host, state: 'pending', not_after: null },
          last_error: { at: expect.any(String), reason: 'externalAccountRequired', detail },
          next_attempt: expect.any(String),
        },
      ]);
      expect(await gateway.metric('acme_last_order_successful', { names: NAMES.join() })).toBe(0);
      const found = await certificateFor(tlsPort(), 'a.upgate.test');
      expect(found.checkHost('b.upgate.test')).toBe('b.upgate.test');
      expect(found.issuer).toContain('self-signed');
    });

    it('issues for all names with a redirect to https in force, and clients get it at once', async () => {
      rewrite(withTls({ acme: acme({ domains: NAMES, eab: { kid: 'kid-1', key: MAC_KEY } }) }, plain));
      await loaded(gateway, await gateway.log({ event: 'certificate_ordered', result: 'issued' }));
      for (const name of NAMES) {
        const found = await certificateFor(tlsPort(), name);
        expect(found.issuer).toContain('Pebble');
        expect(found.checkHost(name)).toBe(name);
      }
      expect(await gateway.metric('acme_orders_total', { result: 'issued' })).toBe(1);
      const not_after = new Date((await certificateFor(tlsPort(), NAMES[0]!)).validTo).toISOString();
      expect(await ordered()).toMatchObject([{ state: 'issued', not_after, last_error: null }]);
      expect(await gateway.metric('acme_last_order_successful', { names: NAMES.join() })).toBe(1);
      const plainly = (path: string) => answerTo(`http://127.0.0.1:${gateway.port}${path}`);
      expect(await plainly('/')).toMatchObject({ status: 308, location: expect.stringContaining('https://') });
      // A token of nobody's is for the routes: another client of ACME may work behind the gateway.
      expect(await plainly(`/.well-known/acme-challenge/${'x'.repeat(43)}`)).toMatchObject({
        status: 200,
        text: 'hello',
      });
      const { text } = await gateway.admin('/metrics');
      expect(text).toMatch(
        /tls_certificate_not_after_timestamp_seconds\{[^}]*names="a\.upgate\.test,b\.upgate\.test"\}/,
      );
    });

    it('leaves the account, the key and the certificate where nobody else reads them', () => {
      const files = readdirSync(issued(''), { recursive: true, encoding: 'utf8' }).sort();
      expect(files).toEqual([
        expect.stringMatching(/^a\.upgate\.test-\w{8}\.pem$/),
        'account.json',
        'account.key',
        'challenges',
      ]);
      for (const name of files) expect(statSync(issued(name)).mode & 0o077).toBe(0);
      expect(statSync(storage).mode & 0o077).toBe(0);
    });

    it('may renew while the config file is broken: what it issues is served', async () => {
      const [file = ''] = readdirSync(issued('')).filter((name) => name.startsWith('a.'));
      copyFileSync(issued(file), join(dir, 'kept.pem'));
      rewrite('listeners: [');
      await gateway.log({ event: 'config_reloaded', trigger: 'file', result: 'failure' });
      const { key, cert } = makeSelfSigned(NAMES, new Date(Date.now() + 3600_000));
      writeFileSync(issued(file), key + cert);
      const { serialNumber, validTo } = new X509Certificate(cert);
      await loaded(gateway, { not_after: new Date(validTo).toISOString() });
      expect((await certificateFor(tlsPort(), 'a.upgate.test')).serialNumber).toBe(serialNumber);
      expect(await gateway.metric('config_last_reload_successful')).toBe(0);
      copyFileSync(join(dir, 'kept.pem'), issued(file));
    });

    it('is not asked again by a gateway that starts with what it has issued', async () => {
      const config = withTls({ acme: acme({ domains: NAMES }) }, plain);
      const next = await startGateway(config);
      expect((await certificateFor(next.ports[1] as number, 'b.upgate.test')).issuer).toContain('Pebble');
      expect(await next.stop()).toBe(0);
      expect(next.logs().filter(({ event }) => event === 'certificate_ordered')).toEqual([]);
    });
  });

  describe('by ALPN', () => {
    beforeAll(async () => {
      rmSync(storage, { recursive: true, force: true });
      gateway = await startGateway(withTls({ self_signed: ['localhost'] }));
      pebble = await startPebble({ http: 1, tls: gateway.port, zone: ZONE });
    });
    afterAll(async () => {
      await gateway?.stop();
      await pebble?.stop();
      rmSync(dir, { recursive: true, force: true });
    });

    it('issues where nothing but TLS is spoken', async () => {
      rewrite(withTls({ acme: acme({ domains: NAMES }) }));
      await loaded(gateway, await gateway.log({ event: 'certificate_ordered', result: 'issued' }));
      expect((await certificateFor(tlsPort(), 'b.upgate.test')).issuer).toContain('Pebble');
    });

    it('and for nobody else while no challenge is open', async () => {
      await expect(certificateFor(tlsPort(), 'a.upgate.test', ['acme-tls/1'])).rejects.toThrow();
    });

    it('renews what has less than a third of its life left, which is served until then', async () => {
      const own = join(dir, 'renewed');
      const { port } = new URL(pebble.directory);
      const file = join(own, `localhost-${port}-dir`, 'a.upgate.test.pem');
      const { key, cert } = makeSelfSigned(['a.upgate.test'], new Date(Date.now() - 80 * 86_400_000));
      mkdirSync(join(file, '..'), { recursive: true });
      writeFileSync(file, key + cert);
      rewrite(withTls({ acme: acme({ domains: ['a.upgate.test'], storage: own }) }));
      await loaded(gateway, { not_after: new Date(new X509Certificate(cert).validTo).toISOString() });
      // Of the log's lines for orders the second.
      await expect.poll(() => gateway.metric('acme_orders_total', { result: 'issued' }), { timeout: 20_000 }).toBe(2);
      await loaded(
        gateway,
        gateway
          .logs()
          .filter(({ event }) => event === 'certificate_ordered')
          .at(-1) as LogLine,
      );
      expect((await certificateFor(tlsPort(), 'a.upgate.test')).issuer).toContain('Pebble');
      expect(readFileSync(file, 'utf8')).toContain('BEGIN PRIVATE KEY');
    });
  });
});
