// What OpenSSL's own client and curl are told by each of the engines that do TLS with clients: one table over both, of
// versions, ciphers, groups, signatures and alerts. What node's clients can show is in tls-engines.test.ts.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ADDON } from '../../src/relay/native/addon.ts';
import { makeSelfSigned } from '../../src/runtime/tls/self-signed.ts';
import { run } from '../support/child.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { hasPeers } from '../support/peers.ts';

const ENGINES = ['native', 'node'] as const;
type Engine = (typeof ENGINES)[number];
const dir = mkdtempSync(join(tmpdir(), 'upgate-tls-clients-'));
const at = (name: string) => join(dir, name);

/** A certificate that static RSA could be spoken with. */
function writeRsaPair() {
  const files = { cert: at('rsa.crt'), key: at('rsa.key') };
  const args = ['-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=rsa.example'];
  const san = ['-addext', 'subjectAltName=DNS:rsa.example'];
  execFileSync('openssl', ['req', ...args, ...san, '-keyout', files.key, '-out', files.cert], { stdio: 'ignore' });
  return files;
}

function writeEcPair() {
  const { cert, key } = makeSelfSigned(['ec.example'], new Date());
  writeFileSync(at('ec.crt'), cert);
  writeFileSync(at('ec.key'), key);
  return { cert: at('ec.crt'), key: at('ec.key') };
}

let gateway: Gateway;
beforeAll(async () => {
  const certificates = [writeEcPair(), writeRsaPair()];
  gateway = await startGateway({
    listeners: ENGINES.map((engine) => ({ host: '127.0.0.1', port: 0, tls: { engine, certificates } })),
    routes: [
      { name: 'ok', match: { path: '/' }, respond: { status: 200, body: 'answered' } },
      { name: 'ws', match: { path: '/ws' }, websocket: { mode: 'terminate', handler: 'echo' } },
    ],
  });
});
afterAll(async () => {
  expect(await gateway.stop()).toBe(0);
  rmSync(dir, { recursive: true });
});

const portOf = (engine: Engine) => gateway.ports[ENGINES.indexOf(engine)]!;
const target = (engine: Engine) => ['s_client', '-connect', `127.0.0.1:${portOf(engine)}`];

/** What it agreed on, `version cipher group`, or the number of the alert that it got (RFC 8446 §6). */
async function agreed(engine: Engine, options: readonly string[]): Promise<string> {
  const { stdout, stderr } = await run('openssl', [...target(engine), ...options]);
  const alert = /alert number (\d+)/.exec(stderr)?.[1];
  if (alert !== undefined) return `alert ${alert}`;
  const [, version, cipher] = /New, (\S+), Cipher is (\S+)/.exec(stdout) ?? [];
  const key = /Server Temp Key: ([^,\n]+)(?:, (prime256v1|secp\w+))?/.exec(stdout);
  return `${version} ${cipher} ${key?.[2] ?? key?.[1]}`;
}

const EC = '-servername ec.example';
const RSA = '-servername rsa.example';
/** What a client of today no longer offers by itself. */
const OLD = '-cipher DEFAULT:@SECLEVEL=0';
const AES128 = 'TLSv1.3 TLS_AES_128_GCM_SHA256';

describe.skipIf(!existsSync(ADDON))('openssl s_client', () => {
  it.each<[string, string]>([
    [`-tls1 ${OLD}`, 'alert 70'],
    [`-tls1_1 ${OLD}`, 'alert 70'],
    [`-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256 ${EC}`, 'TLSv1.2 ECDHE-ECDSA-AES128-GCM-SHA256 X25519'],
    [`-tls1_2 -cipher ECDHE-ECDSA-AES256-GCM-SHA384 ${EC}`, 'TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384 X25519'],
    [`-tls1_2 -cipher ECDHE-ECDSA-CHACHA20-POLY1305 ${EC}`, 'TLSv1.2 ECDHE-ECDSA-CHACHA20-POLY1305 X25519'],
    [`-tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256 ${RSA}`, 'TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256 X25519'],
    [`-tls1_2 -cipher ECDHE-RSA-AES256-GCM-SHA384 ${RSA}`, 'TLSv1.2 ECDHE-RSA-AES256-GCM-SHA384 X25519'],
    [`-tls1_2 -cipher ECDHE-RSA-CHACHA20-POLY1305 ${RSA}`, 'TLSv1.2 ECDHE-RSA-CHACHA20-POLY1305 X25519'],
    // Static RSA, CBC, finite-field DHE, and CCM, which is good but slow.
    [`-tls1_2 -cipher AES128-GCM-SHA256 ${RSA}`, 'alert 40'],
    [`-tls1_2 -cipher AES256-SHA ${RSA}`, 'alert 40'],
    [`-tls1_2 -cipher ECDHE-RSA-AES128-SHA ${RSA}`, 'alert 40'],
    [`-tls1_2 -cipher ECDHE-RSA-AES256-SHA384 ${RSA}`, 'alert 40'],
    [`-tls1_2 -cipher DHE-RSA-AES128-GCM-SHA256 ${RSA}`, 'alert 40'],
    [`-tls1_2 -cipher ECDHE-ECDSA-AES128-CCM ${EC}`, 'alert 40'],
    // The certificate's own kind of key.
    [`-tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256 ${EC}`, 'alert 40'],
    [`-tls1_3 -ciphersuites TLS_AES_128_GCM_SHA256`, `${AES128} X25519`],
    [`-tls1_3 -ciphersuites TLS_AES_256_GCM_SHA384`, 'TLSv1.3 TLS_AES_256_GCM_SHA384 X25519'],
    [`-tls1_3 -ciphersuites TLS_CHACHA20_POLY1305_SHA256`, 'TLSv1.3 TLS_CHACHA20_POLY1305_SHA256 X25519'],
    [`-tls1_3 -ciphersuites TLS_AES_128_CCM_SHA256`, 'alert 40'],
    // The client's order counts.
    [
      `-tls1_3 -ciphersuites TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256`,
      'TLSv1.3 TLS_CHACHA20_POLY1305_SHA256 X25519',
    ],
    [
      `-tls1_2 -cipher ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256 ${RSA}`,
      'TLSv1.2 ECDHE-RSA-AES256-GCM-SHA384 X25519',
    ],
    [`-tls1_3 -ciphersuites TLS_AES_128_GCM_SHA256 -groups P-256`, `${AES128} prime256v1`],
    [`-tls1_3 -ciphersuites TLS_AES_128_GCM_SHA256 -groups P-384`, `${AES128} secp384r1`],
    // A HelloRetryRequest: its first share is of a group that is not ours.
    [`-tls1_3 -ciphersuites TLS_AES_128_GCM_SHA256 -groups X448:P-256`, `${AES128} prime256v1`],
    [`-tls1_3 -groups P-521`, 'alert 40'],
    [`-tls1_3 -groups ffdhe2048`, 'alert 40'],
    [`-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256 -groups P-521 ${EC}`, 'alert 40'],
    [`-tls1_3 -sigalgs RSA+SHA256 ${EC}`, 'alert 40'],
    // A version was given up on the way here (RFC 7507): inappropriate_fallback.
    [`-tls1_2 -fallback_scsv`, 'alert 86'],
    [`-alpn foo`, 'alert 120'],
  ])('s_client %s is told %s by either engine', async (options, expected) => {
    const told = await Promise.all(ENGINES.map((engine) => agreed(engine, options.split(' '))));
    expect(told).toEqual([expected, expected]);
  });

  // RFC 8446 §4.1.1, §4.4.2.2: no certificate of the name is one that the client can verify. Node before 24 adds the certificate
  // of the name to the first one in place of taking it alone, and OpenSSL picks what suits the client.
  const [major = 0] = process.versions.node.split('.').map(Number);
  it.each<[string, string]>([
    ['-tls1_3 -sigalgs ECDSA+SHA256 -ciphersuites TLS_AES_128_GCM_SHA256', `${AES128} X25519`],
    ['-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256', 'TLSv1.2 ECDHE-ECDSA-AES128-GCM-SHA256 X25519'],
  ])(
    's_client %s for a name with an RSA certificate gets none, by node before 24 the first',
    async (options, first) => {
      const told = await Promise.all(ENGINES.map((engine) => agreed(engine, `${options} ${RSA}`.split(' '))));
      expect(told).toEqual(['alert 40', major < 24 ? first : 'alert 40']);
    },
  );

  /** What it prints while it writes these lines, each once something of the one before has come. */
  async function talk(engine: Engine, version: string, lines: readonly (readonly [string, RegExp])[]): Promise<string> {
    const child = spawn('openssl', [...target(engine), version, '-servername', 'ec.example']);
    let output = '';
    let wake = () => {};
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (data) => {
        output += data;
        wake();
      });
    child.stdin.on('error', () => {});
    const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
    let open = true;
    void closed.then(() => {
      open = false;
      wake();
    });
    const until = async (wanted: RegExp, from: number) => {
      while (open && !wanted.test(output.slice(from)))
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    };
    await until(/Verify return code.*\n[\s\S]*---\n/, 0);
    for (const [line, wanted] of lines) {
      const from = output.length;
      child.stdin.write(line);
      await until(wanted, from);
    }
    child.stdin.end('Q\n');
    await closed;
    return output;
  }
  const request = ['GET / HTTP/1.1\r\nHost: ec.example\r\n\r\n', /answered/] as const;

  it.each(ENGINES)('%s goes on behind updates of keys in both directions', async (engine) => {
    const updates = Array.from({ length: 5 }, () => ['K\n', /KEYUPDATE/] as const);
    expect(await talk(engine, '-tls1_3', [...updates, request])).toContain('answered');
  });

  // By a warning, at which OpenSSL's client gives up.
  it.each(ENGINES)('%s refuses a renegotiation', async (engine) => {
    expect(await talk(engine, '-tls1_2', [['R\n', /no renegotiation/]])).toContain('no renegotiation');
  });

  it.each(ENGINES)('%s takes no early data, and offers none', async (engine) => {
    writeFileSync(at('early'), request[0]);
    const session = at(`session-${engine}`);
    // The session is in the ticket, which comes behind the handshake.
    await talk(engine, '-tls1_3', [request]);
    const got = await run(
      'openssl',
      [...target(engine), '-tls1_3', '-sess_out', session, '-ign_eof'],
      request[0].replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'),
    );
    expect(got.stdout).toContain('Max Early Data: 0');
    const again = await run('openssl', [...target(engine), '-tls1_3', '-sess_in', session, '-early_data', at('early')]);
    expect(again.stdout).toMatch(/Reused, TLSv1.3/);
    expect(again.stdout).toContain('Early data was not sent');
  });
});

describe.skipIf(!existsSync(ADDON) || !hasPeers('curl'))('curl', () => {
  /** The version of HTTP and the status; `exit` and its code where it got no answer. */
  async function told(engine: Engine, options: readonly string[]): Promise<string> {
    const format = '%{http_version} %{http_code}';
    const url = `https://ec.example:${portOf(engine)}/`;
    const resolve = ['--resolve', `ec.example:${portOf(engine)}:127.0.0.1`];
    const args = ['-s', '--max-time', '20', '-o', '/dev/null', '-w', format, ...resolve, ...options, url];
    const { code, stdout } = await run('curl', args);
    return code === 0 ? stdout : `exit ${code}`;
  }

  it.each<[string, string]>([
    ['-k', '2 200'],
    ['-k --http1.1', '1.1 200'],
    ['-k --no-alpn', '1.1 200'],
    ['-k --http1.1 --tls-max 1.2', '1.1 200'],
    ['-k --http1.1 --tlsv1.3', '1.1 200'],
    ['-k --http1.1 --tlsv1.3 --tls13-ciphers TLS_CHACHA20_POLY1305_SHA256', '1.1 200'],
    ['-k --http1.1 --curves P-384', '1.1 200'],
    // 35: no handshake; 60: the certificate is of nobody it knows, which it says by an alert.
    ['-k --http1.1 --tlsv1.0 --tls-max 1.1 --ciphers DEFAULT:@SECLEVEL=0', 'exit 35'],
    ['-k --http1.1 --tls-max 1.2 --ciphers ECDHE-ECDSA-AES128-SHA', 'exit 35'],
    ['-k --http1.1 --curves P-521', 'exit 35'],
    // It offers http/1.0 alone by ALPN.
    ['-k --http1.0', 'exit 35'],
    ['--http1.1', 'exit 60'],
  ])('curl %s is told %s by either engine', async (options, expected) => {
    const all = await Promise.all(ENGINES.map((engine) => told(engine, options.split(' '))));
    expect(all).toEqual([expected, expected]);
  });
});
