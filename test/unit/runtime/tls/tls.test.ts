import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { certificateFile } from '../../../../src/config/acme.ts';
import { TlsConfigError } from '../../../../src/runtime/tls/pem.ts';
import { makeSelfSigned } from '../../../../src/runtime/tls/self-signed.ts';
import { buildTls, type SelfSignedCache, type TlsConfig, type TlsSources } from '../../../../src/runtime/tls/tls.ts';

const NOW = new Date();
const DAY_MS = 86_400_000;

let dir: string;
let sources: TlsSources;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'upgate-'));
  sources = { baseDir: dir, selfSigned: new Map(), now: NOW };
});
afterEach(() => rmSync(dir, { recursive: true }));

function writePair(label: string, names: string[], now = NOW) {
  const pair = makeSelfSigned(names, now);
  writeFileSync(join(dir, `${label}.crt`), pair.cert);
  writeFileSync(join(dir, `${label}.key`), pair.key);
  return { cert: `${label}.crt`, key: `${label}.key` };
}

const build = (config: Partial<TlsConfig>, from: TlsSources = sources) =>
  buildTls({ strict_sni: false, min_version: '1.2', engine: 'auto', ...config }, from);

async function problemsOf(certificates: { cert: string; key: string }[]) {
  const error = await build({ certificates }, sources).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(TlsConfigError);
  return (error as TlsConfigError).problems;
}

describe('buildTls', () => {
  test('reads certificates relative to the base directory, and says their names and end', async () => {
    const pair = writePair('a', ['localhost', '*.Example.com']);
    const material = await build({ certificates: [pair] }, sources);
    expect(material.certificates).toEqual([
      {
        names: ['localhost', '127.0.0.1', '::1', '*.example.com'],
        notAfterMs: Math.floor((NOW.getTime() + 89 * DAY_MS) / 1000) * 1000,
      },
    ]);
    expect(material.warnings).toEqual([]);
    expect(material.defaults.minVersion).toBe('TLSv1.2');
  });

  test('reads absolute paths as they are', async () => {
    const { cert, key } = writePair('a', ['a.example']);
    const absolute = { cert: join(dir, cert), key: join(dir, key) };
    const material = await build({ certificates: [absolute] }, { ...sources, baseDir: '/nowhere' });
    expect(material.certificates[0]?.names).toEqual(['a.example']);
  });

  test('picks by exact name, then by wildcard over one label, else the first', async () => {
    const material = await build(
      {
        certificates: [
          writePair('first', ['first.example']),
          writePair('wild', ['*.example.com']),
          writePair('exact', ['app.example.com', 'first.example']),
        ],
      },
      sources,
    );
    const first = material.contextFor('');
    const wild = material.contextFor('chat.example.com');
    const exact = material.contextFor('app.example.com');
    expect(new Set([first, wild, exact]).size).toBe(3);
    expect(material.contextFor('APP.Example.COM')).toBe(exact);
    expect(material.contextFor('first.example')).toBe(first);
    for (const name of ['example.com', 'a.b.example.com', '.example.org', 'localhost', '']) {
      expect(material.contextFor(name), name).toBe(first);
    }
  });

  test('has no certificate for a name that is nobody’s with strict_sni, nor for a client that names none', async () => {
    const config = { certificates: [writePair('a', ['a.example', '*.b.example'])], strict_sni: true };
    const { contextFor, defaults, strictSni } = await build(config);
    expect([strictSni, defaults.cert, defaults.key]).toEqual([true, undefined, undefined]);
    expect(contextFor('A.example')).not.toBeNull();
    expect(contextFor('x.b.example')).toBe(contextFor('a.example'));
    for (const name of ['b.example', 'x.y.b.example', 'c.example', '']) expect(contextFor(name), name).toBeNull();
  });

  test('keeps a self-signed pair while its names stay, and makes another when they change or it nears its end', async () => {
    const cache: SelfSignedCache = sources.selfSigned;
    const certOf = async (names: string[], now = NOW) =>
      (await build({ self_signed: names }, { ...sources, selfSigned: cache, now })).defaults.cert;
    const first = await certOf(['localhost']);
    expect(await certOf(['localhost'])).toBe(first);
    expect(await certOf(['localhost'], new Date(NOW.getTime() + 50 * DAY_MS))).toBe(first);
    expect(await certOf(['localhost', 'app.example'])).not.toBe(first);
    expect(await certOf(['localhost'])).toBe(first);
    const renewed = await certOf(['localhost'], new Date(NOW.getTime() + 60 * DAY_MS));
    expect(renewed).not.toBe(first);
    expect(await certOf(['localhost'], new Date(NOW.getTime() + 60 * DAY_MS))).toBe(renewed);
  });

  test('warns of a certificate that expired, is not valid yet, or names nobody', async () => {
    const old = writePair('old', ['old.example'], new Date(NOW.getTime() - 200 * DAY_MS));
    const soon = writePair('soon', ['soon.example'], new Date(NOW.getTime() + 2 * DAY_MS));
    const nobody = { cert: 'nobody.crt', key: 'nobody.key' };
    const files = ['-keyout', join(dir, nobody.key), '-out', join(dir, nobody.cert)];
    const kind = [
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-days',
      '2',
      '-subj',
      '/CN=nobody',
    ];
    execFileSync('openssl', ['req', '-x509', ...kind, ...files], { stdio: 'ignore' });
    const { warnings } = await build({ certificates: [old, soon, nobody] }, { ...sources, now: new Date() });
    expect(warnings.map(({ path, message }) => [path.join('.'), message.replace(/[A-Z][a-z]{2} .*/, 'DATE')])).toEqual([
      ['certificates.0.cert', 'the certificate expired on DATE'],
      ['certificates.1.cert', 'the certificate is not valid before DATE'],
      ['certificates.2.cert', 'the certificate holds no name'],
    ]);
  });

  test('names a file that is missing or holds nothing of the kind, all at once', async () => {
    const good = writePair('good', ['good.example']);
    writeFileSync(join(dir, 'empty.pem'), '');
    writeFileSync(join(dir, 'broken.crt'), '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
    writeFileSync(join(dir, 'broken.key'), '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n');
    const problems = await problemsOf([
      { cert: 'gone.crt', key: 'gone.key' },
      good,
      { cert: 'empty.pem', key: good.key },
      { cert: good.cert, key: 'empty.pem' },
      { cert: 'broken.crt', key: good.key },
      { cert: good.cert, key: 'broken.key' },
      { cert: '.', key: good.key },
    ]);
    expect(problems.map(({ path, message }) => [path.join('.'), message.replaceAll(`${dir}/`, '')])).toEqual([
      ['certificates.0.cert', 'cannot read gone.crt: there is no such file'],
      ['certificates.0.key', 'cannot read gone.key: there is no such file'],
      ['certificates.2.cert', 'empty.pem holds no PEM certificate'],
      ['certificates.3.key', 'empty.pem holds no PEM private key'],
      ['certificates.4.cert', 'certificate 1 of broken.crt cannot be read'],
      ['certificates.5.key', 'the private key in broken.key cannot be read'],
      ['certificates.6.cert', `cannot read ${dir}: it is a directory`],
    ]);
    expect(problems.every(({ severity }) => severity === 'error')).toBe(true);
  });

  test('tells a key of another certificate from a chain in the wrong order', async () => {
    const leaf = writePair('leaf', ['leaf.example']);
    const other = writePair('other', ['other.example']);
    const [wrong] = await problemsOf([{ cert: leaf.cert, key: other.key }]);
    expect(wrong?.message).toContain('is not that of the first certificate');
    expect(wrong?.hint).toBeUndefined();

    const chain = execFileSync('cat', [join(dir, other.cert), join(dir, leaf.cert)]);
    writeFileSync(join(dir, 'chain.crt'), chain);
    const [order] = await problemsOf([{ cert: 'chain.crt', key: leaf.key }]);
    expect(order?.path).toEqual(['certificates', 0, 'key']);
    expect(order?.hint).toContain('it must be the first');
  });

  test('says of an encrypted key what to do', async () => {
    const { cert } = writePair('a', ['a.example']);
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' });
    writeFileSync(join(dir, 'secret.key'), pem);
    const [problem] = await problemsOf([{ cert, key: 'secret.key' }]);
    expect(problem?.message).toMatch(/secret\.key is encrypted$/);
    expect(problem?.hint).toContain('openssl pkey');
  });

  test('names a self-signed name that is none', async () => {
    const built = build({ self_signed: ['localhost', 'a b'] }, sources);
    await expect(built).rejects.toThrow('self_signed: "a b" is neither a DNS name nor an IP address');
  });

  test('does not take a name for another that only looks like a list of names', async () => {
    // A dNSName may hold anything; node prints it as a JSON string then, so that it can't be read as two names.
    const pair = makeSelfSigned(['a.example'], NOW);
    const parsed = new X509Certificate(pair.cert);
    expect(parsed.subjectAltName).toBe('DNS:a.example');
    const file = join(dir, 'odd.cnf');
    writeFileSync(
      file,
      '[req]\ndistinguished_name=dn\nx509_extensions=v3\nprompt=no\n[dn]\nCN=odd\n[v3]\nsubjectAltName=@alt\n[alt]\nDNS.1=b.example, DNS:evil.example\nDNS.2=c.example\n',
    );
    execFileSync(
      'openssl',
      [
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:P-256',
        '-nodes',
        '-days',
        '2',
        '-config',
        file,
        '-keyout',
        join(dir, 'odd.key'),
        '-out',
        join(dir, 'odd.crt'),
      ],
      { stdio: 'ignore' },
    );
    const material = await build({ certificates: [{ cert: 'odd.crt', key: 'odd.key' }] }, sources);
    expect(material.certificates[0]?.names).toEqual(['c.example']);
  });
});

describe('a certificate of an authority', () => {
  const acme = {
    ...{ domains: ['a.example', 'b.example'], directory: 'https://ca.example/dir', storage: 'acme' },
    terms_agreed: true,
  };
  const file = () => join(dir, certificateFile(acme));
  const issue = (text: string) => {
    mkdirSync(join(file(), '..'), { recursive: true });
    writeFileSync(file(), text);
  };

  test('is one of our own for the names until it is there', async () => {
    const material = await build({ acme });
    expect(material.certificates).toMatchObject([{ names: ['a.example', 'b.example'] }]);
    expect(material.warnings).toEqual([]);
    expect(material.contextFor('b.example')).not.toBeNull();
  });

  test('is the one in its file, key and chain together, beside those of other files', async () => {
    const { key, cert } = makeSelfSigned(['a.example', 'b.example', 'c.example'], NOW);
    issue(key + cert);
    const material = await build({ acme, certificates: [writePair('other', ['other.example'])] });
    expect(material.certificates.map(({ names }) => names)).toEqual([
      ['other.example'],
      ['a.example', 'b.example', 'c.example'],
    ]);
  });

  test.each([
    ['nothing', '', 'holds no PEM certificate'],
    ['another key', makeSelfSigned(['x'], NOW).key + makeSelfSigned(['x'], NOW).cert, 'is not that of'],
  ])('is one of our own where the file holds %s, and says why', async (_, text, why) => {
    issue(text);
    const material = await build({ acme });
    expect(material.certificates).toMatchObject([{ names: ['a.example', 'b.example'] }]);
    expect(material.warnings).toMatchObject([{ severity: 'warning', message: expect.stringContaining(why) }]);
  });

  test('is warned of where it could not be kept', async () => {
    writeFileSync(join(dir, 'file'), '');
    const { warnings } = await build({ acme: { ...acme, storage: 'file' } });
    expect(warnings).toMatchObject([{ path: ['acme', 'storage'], message: expect.stringContaining('ENOTDIR') }]);
  });
});
