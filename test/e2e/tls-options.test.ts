// What a TLS listener of the built gateway can be told to do, as clients see it: versions, names that are nobody's,
// and handshakes that come to nothing. Ciphers are tls-clients.test.ts. Certificates by SNI, reloads and resumption are tls.test.ts.
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConnectionOptions, connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeSelfSigned } from '../../src/runtime/tls/self-signed.ts';
import { type Authority, type Issued, makeAuthority } from '../support/authority.ts';
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

const DEFAULTS = 0;
const STRICT = 1;
const NEWEST = 2;
const MUTUAL = 3;
const STAPLED = 4;

let gateway: Gateway;
let authority: Authority;
let stapled: Issued;
beforeAll(async () => {
  authority = makeAuthority();
  stapled = authority.issue('stapled', 'stapled.example');
  const ocsp_file = authority.staple(stapled);
  const certificates = [writePair('exact', 'app.example.com'), writePair('wild', '*.example.com')];
  const listener = { host: '127.0.0.1', port: 0 };
  gateway = await startGateway({
    listeners: [
      // What the threads say of a handshake that failed is in tls-engines.test.ts.
      {
        ...listener,
        tls: { certificates: [writePair('first', 'first.example')], engine: 'node' },
        // None is over before its test has given up.
        timeouts: { tls_handshake: '10m' },
      },
      { ...listener, tls: { certificates, strict_sni: true } },
      { ...listener, tls: { certificates, min_version: 1.3 } },
      {
        ...listener,
        tls: { certificates, engine: 'node', client_auth: { ca: authority.file } },
        timeouts: { tls_handshake: '500ms' },
      },
      { ...listener, tls: { certificates: [...certificates, { ...stapled.files, ocsp_file }] } },
    ],
    log: { level: 'debug' },
    routes: [{ name: 'all', respond: { body: 'served' } }],
  });
});
afterAll(async () => {
  expect(await gateway.stop()).toBe(0);
  rmSync(dir, { recursive: true });
  authority.remove();
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

/** What comes back for a request with this listener until the connection ends. */
async function get(listener: number, options: ConnectionOptions): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port: gateway.ports[listener]!, rejectUnauthorized: false, ...options });
  socket.on('error', () => {});
  let text = '';
  socket.on('data', (chunk) => (text += chunk));
  socket.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  await new Promise((resolve) => socket.once('close', resolve));
  return text;
}

describe('of the versions', () => {
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
  const hello = await clientHelloOf({ servername: 'first.example' });
  for (const bytes of [hello.subarray(0, 0), hello.subarray(0, 60), hello]) {
    const client = await connectRaw(gateway.ports[DEFAULTS]!);
    client.write(bytes);
    client.end();
    await client.closed();
    client.socket.destroy();
  }
});

describe('an OCSP response', () => {
  /** What is stapled for a name, to a client that asks. */
  async function stapleFor(servername: string): Promise<Buffer | null> {
    const to = { host: '127.0.0.1', port: gateway.ports[STAPLED]!, servername };
    const options = { ...to, rejectUnauthorized: false, requestOCSP: true };
    const socket = connect(options);
    const [response] = (await once(socket, 'OCSPResponse')) as [Buffer | null];
    socket.destroy();
    return response;
  }
  const file = () => stapled.files.cert.replace(/crt$/, 'ocsp');

  it('is stapled for its own certificate, and openssl takes it for good', async () => {
    expect(await stapleFor('stapled.example')).toEqual(readFileSync(file()));
    expect(await stapleFor('app.example.com')).toBeNull();
    const target = ['-connect', `127.0.0.1:${gateway.ports[STAPLED]}`, '-servername', 'stapled.example'];
    const { stdout } = await run('openssl', ['s_client', ...target, '-status', '-CAfile', authority.file]);
    expect(stdout).toMatch(/OCSP Response Status: successful[\s\S]*Cert Status: good/);
    expect(await handshake(STAPLED, { servername: 'stapled.example' })).toBe('TLSv1.3');
  });

  it('is watched: a new one is stapled, and a broken one leaves the old in force and is reported', async () => {
    const next = readFileSync(authority.staple(stapled, { days: 3 }));
    await expect.poll(() => stapleFor('stapled.example')).toEqual(next);
    writeFileSync(file(), next.subarray(0, 50));
    const failed = await gateway.log({ event: 'config_reloaded', result: 'failure', trigger: 'file' });
    expect(JSON.stringify(failed['problems'])).toContain('holds no OCSP response');
    expect(await stapleFor('stapled.example')).toEqual(next);
    writeFileSync(file(), next);
    await expect.poll(() => gateway.metric('config_last_reload_successful')).toBe(1);
  });
});

describe('a handshake that comes to nothing has a line with its reason, and is counted:', () => {
  const named = { servername: 'app.example.com' };
  /** One of another authority. */
  const stranger = () => {
    const others = makeAuthority();
    const { cert, key } = others.issue('mallory', 'mallory');
    others.remove();
    return { cert, key };
  };
  const send = async (listener: number, bytes: Buffer | string, end: 'fin' | 'reset' | null = null) => {
    const client = await connectRaw(gateway.ports[listener]!);
    client.write(bytes);
    // What was sent is there before the end is.
    if (end === 'reset') setTimeout(() => client.reset(), 100);
    else if (end === 'fin') client.end();
    await client.closed().catch(() => {});
    client.socket.destroy();
  };
  const curl = (...args: string[]) => run('curl', ['-s', '--noproxy', '*', ...args]);

  const CASES: Record<string, { result: string; detail: RegExp; name?: string; start: () => Promise<unknown> }> = {
    'plain HTTP': {
      result: 'not_tls',
      detail: /^http request$/,
      start: () => send(DEFAULTS, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'),
    },
    'another protocol': {
      result: 'not_tls',
      detail: /wrong version/,
      start: () => send(DEFAULTS, 'SSH-2.0-OpenSSH_9.2\r\n'),
    },
    'a version that is too old': {
      result: 'version',
      detail: /unsupported protocol/,
      start: () => handshake(NEWEST, { ...named, maxVersion: 'TLSv1.2' }),
    },
    'ciphers that are not spoken': {
      result: 'no_shared_cipher',
      detail: /no shared cipher/,
      start: () => handshake(DEFAULTS, { ...named, maxVersion: 'TLSv1.2', ciphers: 'AES128-SHA' }),
    },
    'groups that are not spoken': {
      result: 'no_shared_cipher',
      detail: /no s/,
      start: () => handshake(DEFAULTS, { ...named, ecdhCurve: 'P-521' }),
    },
    'a name that is nobody’s': {
      result: 'unknown_name',
      detail: /no certificate is for other\.example/,
      name: 'other.example',
      start: () => handshake(STRICT, { servername: 'other.example' }),
    },
    'no name': {
      result: 'unknown_name',
      detail: /names no server/,
      start: () => handshake(STRICT, { servername: '' }),
    },
    'no protocol that is spoken': {
      result: 'no_protocol',
      detail: /no application protocol/,
      start: () => handshake(DEFAULTS, { ...named, ALPNProtocols: ['http/0.9'] }),
    },
    'no client certificate': {
      result: 'client_certificate',
      detail: /certificate/,
      name: 'app.example.com',
      start: () => get(MUTUAL, named),
    },
    'a client certificate of a stranger': {
      result: 'client_certificate',
      detail: /verify|signature|issuer/,
      start: () => get(MUTUAL, { ...named, ...stranger() }),
    },
    'a client that does not trust us': {
      result: 'alert',
      detail: /alert unknown ca/,
      start: () => curl(`https://127.0.0.1:${gateway.ports[DEFAULTS]}/`),
    },
    'a hello that is none': {
      result: 'malformed',
      detail: /./,
      start: () => send(DEFAULTS, Buffer.from('160301000a01000006030300000000', 'hex')),
    },
    'a client that says nothing': { result: 'timeout', detail: /timeout/, start: () => send(MUTUAL, '') },
    'a client that ends its side': {
      result: 'closed',
      detail: /the client ended it/,
      start: async () => send(DEFAULTS, (await clientHelloOf({})).subarray(0, 60), 'fin'),
    },
    'a client that resets': {
      result: 'reset',
      detail: /econnreset/,
      start: async () => send(DEFAULTS, (await clientHelloOf({})).subarray(0, 60), 'reset'),
    },
  };

  it.each(Object.keys(CASES))('%s', async (what) => {
    const { result, detail, name, start } = CASES[what]!;
    const labels = { listener: '127.0.0.1:0', result, engine: 'node' };
    const before = (await gateway.metric('tls_handshakes_total', labels)) ?? 0;
    await start();
    const counted = async () => {
      const now = (await gateway.metric('tls_handshakes_total', labels)) ?? 0;
      // A reset that overtakes what was sent before it is one of a connection that has sent nothing.
      if (result === 'reset' && now <= before) await start();
      return now;
    };
    await expect.poll(counted).toBeGreaterThan(before);
    // Of one result there may have been ten lines already, which say the same.
    const find = () =>
      gateway
        .logs()
        .filter((line) => line['event'] === 'tls_handshake' && line['result'] === result && line['engine'] === 'node')
        .find((line) => detail.test(String(line['detail'])) && (name === undefined || line['name'] === name));
    await expect.poll(find).toMatchObject({
      ...{ client: '127.0.0.1', listener: '127.0.0.1:0', engine: 'node' },
      level: result === 'closed' ? 'debug' : 'info',
    });
  });

  it('of many of one kind ten lines in ten seconds are written, and all are counted', async () => {
    const labels = { listener: '127.0.0.1:0', result: 'not_tls', engine: 'node' };
    const before = (await gateway.metric('tls_handshakes_total', labels)) ?? 0;
    await Promise.all(Array.from({ length: 30 }, () => send(DEFAULTS, 'GET / HTTP/1.1\r\n\r\n')));
    await expect.poll(() => gateway.metric('tls_handshakes_total', labels)).toBe(before + 30);
    const lines = gateway.logs().filter((line) => line['result'] === 'not_tls');
    expect(lines.length).toBeLessThan(before + 30);
  });

  it('a check of the port that ends without a byte is none', async () => {
    const closed = { listener: '127.0.0.1:0', result: 'closed', engine: 'node' };
    const before = await gateway.metric('tls_handshakes_total', closed);
    await send(DEFAULTS, '', 'fin');
    expect(await get(DEFAULTS, named)).toMatch(/served$/);
    expect(await gateway.metric('tls_handshakes_total', closed)).toBe(before);
    expect(await gateway.metric('tls_handshakes_total', { ...closed, result: 'ok' })).toBeGreaterThan(0);
  });
});
