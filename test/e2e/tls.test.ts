// TLS of the built gateway with real peers: a certificate that is made at start and one that is read, chosen by SNI,
// trusted by real clients, and swapped by a reload under connections that stay open.
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeSelfSigned } from '../../src/runtime/tls/self-signed.ts';
import { makeAuthority } from '../support/authority.ts';
import { run } from '../support/child.ts';
import { openClient } from '../support/client.ts';
import { type Gateway, type GatewayFile, startGateway } from '../support/gateway.ts';

const routes: GatewayFile['routes'] = [
  { name: 'echo', match: { path: '/ws' }, websocket: { mode: 'terminate', handler: 'echo', origins: 'any' } },
];

const dir = mkdtempSync(join(tmpdir(), 'upgate-tls-'));
afterAll(() => rmSync(dir, { recursive: true }));

function writePair(label: string, names: string[]) {
  const { cert, key } = makeSelfSigned(names, new Date());
  writeFileSync(join(dir, `${label}.crt`), cert);
  writeFileSync(join(dir, `${label}.key`), key);
  return { cert: join(dir, `${label}.crt`), key: join(dir, `${label}.key`) };
}

/** A TLS connection, once its handshake is over. */
async function openTls(port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options });
  await once(socket, 'secureConnect');
  return socket;
}

/** The PEM of the certificate that a server name gets; undefined: a client without SNI. */
async function certificateFor(port: number, servername: string | undefined): Promise<string> {
  const socket = await openTls(port, { servername: servername ?? '' });
  const pem = new X509Certificate(socket.getPeerCertificate().raw).toString();
  socket.destroy();
  return pem.trim();
}

const pemOf = (file: string) => readFileSync(file, 'utf8').trim();

/** Files as certbot keeps them: `live` has links, which a renewal puts anew one after the other, to a new pair in `archive`. */
function certbotLineage(name: string) {
  const [live, archive] = [join(dir, 'live', name), join(dir, 'archive', name)];
  for (const folder of [live, archive]) mkdirSync(folder, { recursive: true });
  let version = 0;
  return {
    files: { cert: join(live, 'fullchain.pem'), key: join(live, 'privkey.pem') },
    renew(): string {
      const { cert, key } = makeSelfSigned([name], new Date());
      version++;
      for (const [kind, text] of Object.entries({ privkey: key, fullchain: cert })) {
        writeFileSync(join(archive, `${kind}${version}.pem`), text);
        rmSync(join(live, `${kind}.pem`), { force: true });
        symlinkSync(`../../archive/${name}/${kind}${version}.pem`, join(live, `${kind}.pem`));
      }
      return cert.trim();
    },
  };
}

describe('a self-signed certificate', () => {
  let gateway: Gateway;
  let ca: string;
  beforeAll(async () => {
    gateway = await startGateway({
      listeners: [{ host: '127.0.0.1', port: 0, tls: { self_signed: ['localhost'] } }],
      routes,
    });
    ca = await certificateFor(gateway.port, 'localhost');
    writeFileSync(join(dir, 'ca.pem'), `${ca}\n`);
  });
  afterAll(() => gateway.stop());

  it('is taken by a node client that trusts it, by name and by address', async () => {
    for (const servername of ['localhost', '']) {
      const socket = await openTls(gateway.port, { ca, rejectUnauthorized: true, servername });
      expect(socket.authorized).toBe(true);
      socket.destroy();
    }
    const wrong = openTls(gateway.port, { ca, rejectUnauthorized: true, servername: 'other.example' });
    await expect(wrong).rejects.toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
  });

  it('is taken by curl --cacert, and refused by curl without', async () => {
    const url = `https://localhost:${gateway.port}/`;
    const args = ['-s', '-4', '-o', '/dev/null', '-w', '%{http_code} %{ssl_verify_result}', '--noproxy', '*', url];
    const trusting = await run('curl', ['--cacert', join(dir, 'ca.pem'), ...args]);
    expect(trusting).toMatchObject({ code: 0, stdout: '404 0' });
    expect((await run('curl', args)).code).toBe(60);
  });

  it('is taken by Python, whose ssl module checks the chain its own way', async () => {
    const script = [
      'import socket, ssl, sys',
      'context = ssl.create_default_context(cafile=sys.argv[1])',
      'with socket.create_connection(("127.0.0.1", int(sys.argv[2]))) as raw:',
      '    with context.wrap_socket(raw, server_hostname="localhost") as tls: print(tls.version())',
    ].join('\n');
    const { stdout, stderr } = await run('python3', ['-c', script, join(dir, 'ca.pem'), String(gateway.port)]);
    expect(stderr).toBe('');
    expect(stdout.trim()).toBe('TLSv1.3');
  });

  it('carries a WebSocket', async () => {
    const client = await openClient(`wss://localhost:${gateway.port}/ws`, { ca, family: 4 });
    client.socket.send('over TLS');
    expect(await client.next()).toBe('over TLS');
    await client.close();
  });

  it('speaks TLS 1.2 and 1.3 only', async () => {
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const socket = await openTls(gateway.port, { minVersion: version, maxVersion: version });
      expect(socket.getProtocol()).toBe(version);
      socket.destroy();
    }
    // A client's OpenSSL offers 1.1 only at security level 0.
    const old = openTls(gateway.port, { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT:@SECLEVEL=0' });
    await expect(old).rejects.toMatchObject({ code: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION' });
  });

  it('agrees on h2 by ALPN, on http/1.1 where a client has no other, and refuses one that has neither', async () => {
    const both = await openTls(gateway.port, { ALPNProtocols: ['h2', 'http/1.1'] });
    const one = await openTls(gateway.port, { ALPNProtocols: ['http/1.1'] });
    expect([both.alpnProtocol, one.alpnProtocol]).toEqual(['h2', 'http/1.1']);
    for (const socket of [both, one]) socket.destroy();
    const neither = openTls(gateway.port, { ALPNProtocols: ['http/1.0'] });
    await expect(neither).rejects.toMatchObject({ code: 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL' });
  });

  it('tells when it ends', async () => {
    const notAfter = new Date(new X509Certificate(ca).validTo).getTime() / 1000;
    const { text } = await gateway.admin('/metrics');
    const line = text.split('\n').find((one) => one.startsWith('gateway_tls_certificate_not_after_timestamp_seconds{'));
    expect(Number(line?.split(' ').at(-1))).toBe(notAfter);
  });

  it('stays the same over a reload, so that a client which trusts it can go on', async () => {
    gateway.signal('SIGHUP');
    await gateway.log({ event: 'config_reloaded', result: 'success' });
    expect(await certificateFor(gateway.port, 'localhost')).toBe(ca);
  });
});

describe('certificates from files', () => {
  it('are chosen by SNI: exact, wildcard, else the first', async () => {
    const first = writePair('first', ['first.example']);
    const wild = writePair('wild', ['*.example.com']);
    const exact = writePair('exact', ['app.example.com']);
    const tls = { certificates: [first, wild, exact] };
    const gateway = await startGateway({ listeners: [{ host: '127.0.0.1', port: 0, tls }], routes });
    const expected: [string | undefined, string][] = [
      ['app.example.com', exact.cert],
      ['chat.example.com', wild.cert],
      ['CHAT.example.com', wild.cert],
      ['a.b.example.com', first.cert],
      ['first.example', first.cert],
      ['unknown.example', first.cert],
      [undefined, first.cert],
    ];
    for (const [name, file] of expected) {
      expect(await certificateFor(gateway.port, name), String(name)).toBe(pemOf(file));
    }
    await gateway.stop();
  });

  it.each([1, 2])('let a session be resumed, with and without SNI: %i of them', async (count) => {
    const pairs = [writePair('r1', ['r1.example']), writePair('r2', ['r2.example'])];
    const tls = { certificates: pairs.slice(0, count) };
    const gateway = await startGateway({ listeners: [{ host: '127.0.0.1', port: 0, tls }], routes });
    for (const servername of ['r2.example', '']) {
      for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
        const options = { servername, minVersion: version, maxVersion: version };
        const first = connect({ host: '127.0.0.1', port: gateway.port, rejectUnauthorized: false, ...options });
        const [session] = (await once(first, 'session')) as [Buffer];
        const second = await openTls(gateway.port, { ...options, session });
        expect([servername, version, second.isSessionReused()]).toEqual([servername, version, true]);
        first.destroy();
        second.destroy();
      }
    }
    await gateway.stop();
  });

  it.each([1, 2])(
    'let a session from before a reload be resumed, and one with other clients not: %i of them',
    async (count) => {
      const pairs = [writePair('o1', ['o1.example']), writePair('o2', ['o2.example'])];
      const authority = makeAuthority();
      const listenersWith = (more: object): GatewayFile['listeners'] => [
        { host: '127.0.0.1', port: 0, tls: { certificates: pairs.slice(0, count), ...more } },
      ];
      const clientAuth = { client_auth: { mode: 'optional' as const, ca: authority.file } };
      const gateway = await startGateway({ listeners: listenersWith(clientAuth), routes });
      const sessionOf = async (options: ConnectionOptions) => {
        const socket = connect({ host: '127.0.0.1', port: gateway.port, rejectUnauthorized: false, ...options });
        const [session] = (await once(socket, 'session')) as [Buffer];
        socket.destroy();
        return session;
      };
      const ways = ['o2.example', ''].flatMap((servername) =>
        (['TLSv1.2', 'TLSv1.3'] as const).map((version) => ({ servername, minVersion: version, maxVersion: version })),
      );
      const before = await Promise.all(ways.map(sessionOf));
      const resumed = async (sessions: Buffer[]) => {
        const found: boolean[] = [];
        for (const [i, options] of ways.entries()) {
          const socket = await openTls(gateway.port, { ...options, session: sessions[i]! });
          found.push(socket.isSessionReused());
          socket.destroy();
        }
        return found;
      };
      const reload = async (listeners: GatewayFile['listeners'], times: number) => {
        writeFileSync(gateway.file, JSON.stringify({ admin: { port: 0 }, listeners, routes }));
        gateway.signal('SIGHUP');
        await expect
          .poll(() => gateway.logs().filter((line) => line['event'] === 'config_reloaded').length)
          .toBeGreaterThanOrEqual(times);
      };
      // Another certificate, too: the session is its client's, whatever proved the name.
      writePair('o1', ['o1.example']);
      await reload(listenersWith(clientAuth), 1);
      expect(await resumed(before)).toEqual(ways.map(() => true));
      // A resumed session brings its client's certificate along, and another authority has not seen that.
      await reload(listenersWith({ client_auth: { mode: 'optional', ca: pairs[0]!.cert } }), 2);
      await expect.poll(() => resumed(before)).toEqual(ways.map(() => false));
      expect(await gateway.stop()).toBe(0);
    },
  );

  it('are chosen by SNI from the reload on that brings a second one, and not when there is one again', async () => {
    const [one, two] = [writePair('one', ['one.example']), writePair('two', ['two.example'])];
    const config = (certificates: (typeof one)[], port: number): GatewayFile => ({
      admin: { port: 0 },
      listeners: [{ host: '127.0.0.1', port, tls: { certificates } }],
      routes,
    });
    const gateway = await startGateway(config([one], 0));
    const { port } = gateway;
    const swap = (...certificates: (typeof one)[]) => {
      writeFileSync(gateway.file, JSON.stringify(config(certificates, 0)));
      gateway.signal('SIGHUP');
    };
    const given = () =>
      Promise.all(['one.example', 'two.example', undefined].map((name) => certificateFor(port, name)));
    const [first, second] = [pemOf(one.cert), pemOf(two.cert)];
    expect(await given()).toEqual([first, first, first]);
    swap(one, two);
    await expect.poll(given).toEqual([first, second, first]);
    swap(two, one);
    await expect.poll(given).toEqual([first, second, second]);
    swap(two);
    await expect.poll(given).toEqual([second, second, second]);
    expect(await gateway.stop()).toBe(0);
  });

  it('are served when their files are replaced, without a signal: by a rename, as Kubernetes swaps a Secret, and as certbot renews', async () => {
    const volume = mkdtempSync(join(dir, 'secret-'));
    const publish = (version: string) => {
      mkdirSync(join(volume, version));
      const { cert, key } = makeSelfSigned(['watched.example'], new Date());
      writeFileSync(join(volume, version, 'tls.crt'), cert);
      writeFileSync(join(volume, version, 'tls.key'), key);
      symlinkSync(version, join(volume, '..data_tmp'));
      renameSync(join(volume, '..data_tmp'), join(volume, '..data'));
      return cert.trim();
    };
    const first = publish('..2030_01');
    for (const name of ['tls.crt', 'tls.key']) symlinkSync(`..data/${name}`, join(volume, name));
    const moved = writePair('moved', ['moved.example']);
    const certbot = certbotLineage('certbot.example');
    const firstLineage = certbot.renew();
    const certificates = [{ cert: join(volume, 'tls.crt'), key: join(volume, 'tls.key') }, moved, certbot.files];
    const gateway = await startGateway({ listeners: [{ host: '127.0.0.1', port: 0, tls: { certificates } }], routes });
    const given = (name: string) => certificateFor(gateway.port, name);
    expect(await given('watched.example')).toBe(first);
    const second = publish('..2030_02');
    await expect.poll(() => given('watched.example')).toBe(second);

    expect(await given('certbot.example')).toBe(firstLineage);
    const renewed = certbot.renew();
    await expect.poll(() => given('certbot.example')).toBe(renewed);

    const next = writePair('next', ['moved.example']);
    const wanted = pemOf(next.cert);
    renameSync(next.key, moved.key);
    renameSync(next.cert, moved.cert);
    await expect.poll(() => given('moved.example')).toBe(wanted);

    // One that is broken leaves the old one in force, and says so; mended it is taken.
    const good = readFileSync(moved.cert, 'utf8');
    writeFileSync(moved.cert, good.slice(0, 200));
    const failed = await gateway.log({ event: 'config_reloaded', result: 'failure', trigger: 'file' });
    expect(JSON.stringify(failed['problems'])).toContain('moved.crt holds no PEM certificate');
    expect(await gateway.metric('config_last_reload_successful')).toBe(0);
    expect(await given('moved.example')).toBe(wanted);
    writeFileSync(moved.cert, good);
    await expect.poll(() => gateway.metric('config_last_reload_successful')).toBe(1);
    expect(await given('watched.example')).toBe(second);
    expect(await gateway.stop()).toBe(0);
  });

  it('are swapped by a reload: new handshakes get the new ones, an open session lives on', async () => {
    const pair = writePair('live', ['live.example']);
    const before = pemOf(pair.cert);
    const listeners = [{ host: '127.0.0.1', port: 0, tls: { certificates: [pair] } }];
    const gateway = await startGateway({ listeners, routes });
    const client = await openClient(`wss://127.0.0.1:${gateway.port}/ws`, { rejectUnauthorized: false });
    expect(await certificateFor(gateway.port, undefined)).toBe(before);

    writePair('live', ['live.example', '*.new.example']);
    gateway.signal('SIGHUP');
    await gateway.log({ event: 'config_reloaded', result: 'success' });
    const after = pemOf(pair.cert);
    expect(after).not.toBe(before);
    for (const name of [undefined, 'live.example', 'a.new.example']) {
      expect(await certificateFor(gateway.port, name), String(name)).toBe(after);
    }
    client.socket.send('still here');
    expect(await client.next()).toBe('still here');

    // One that can't be used leaves the one in service alone, and says where it stands in the config.
    writeFileSync(pair.key, makeSelfSigned(['live.example'], new Date()).key);
    gateway.signal('SIGHUP');
    const failed = await gateway.log({ event: 'config_reloaded', result: 'failure' });
    expect(JSON.stringify(failed['problems'])).toMatch(
      /gateway\.yaml:\d+:\d+: error: listeners\[0\]\.tls\.certificates/,
    );
    expect(await certificateFor(gateway.port, 'live.example')).toBe(after);
    client.socket.terminate();
    expect(await gateway.stop()).toBe(0);
  });
});
