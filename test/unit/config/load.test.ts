// biome-ignore-all lint/suspicious/noTemplateCurlyInString: ${VAR} is what the config itself writes.
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/config/load.ts';
import { formatProblem } from '../../../src/config/problem.ts';
import { makeSelfSigned } from '../../../src/runtime/self-signed.ts';

const [own, other] = [makeSelfSigned(['localhost'], new Date()), makeSelfSigned(['localhost'], new Date())];

const CONFIG = `listeners:
  - port: 443
    tls:
      certificates:
        - cert: tls.crt
          key: keys/tls.key
routes:
  - name: hello
    websocket: { mode: terminate, handler: echo, origins: any }
`;

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'upgate-load-'));
  await mkdir(join(dir, 'keys'));
  await write('gateway.yaml', CONFIG);
  await write('tls.crt', own.cert);
  await write('keys/tls.key', own.key);
});
afterEach(async () => {
  await rm(dir, { recursive: true });
});

const write = async (name: string, content: string) => await writeFile(join(dir, name), content);
const load = async (env = {}) => await loadConfig(join(dir, 'gateway.yaml'), env);
const problems = async () =>
  (await load()).problems.map((problem) => formatProblem(problem).slice(join(dir, 'gateway.yaml:').length));

describe('a config', () => {
  it('is loaded with paths relative to its directory', async () => {
    const loaded = await load();
    expect(loaded.problems).toEqual([]);
    expect(loaded.config?.listeners[0]?.port).toBe(443);
    expect(loaded.partial).toEqual(loaded.config);
    expect(loaded.baseDir).toBe(dir);
  });

  it('takes absolute paths, from the environment too', async () => {
    await write('gateway.yaml', CONFIG.replace('tls.crt', '${CERT}'));
    expect((await load({ CERT: join(dir, 'tls.crt') })).problems).toEqual([]);
  });

  it('that is not there is a problem, not an exception', async () => {
    const file = join(dir, 'none.yaml');
    const loaded = await loadConfig(file, {});
    expect(loaded).toMatchObject({ config: null, partial: null, hash: '' });
    expect(loaded.problems.map(formatProblem)).toEqual([`${file}:1:1: error: cannot be read: there is no such file`]);
    const placed = loaded.place({ severity: 'error', path: ['log'], message: 'm' });
    expect(placed).toMatchObject({ file, line: 1, column: 1 });
  });

  it('that is a directory or may not be read says so', async () => {
    expect((await loadConfig(dir, {})).problems[0]?.message).toBe('cannot be read: it is a directory');
    expect((await loadConfig(join(dir, 'tls.crt', 'x'), {})).problems[0]?.message).toBe('cannot be read: ENOTDIR');
  });

  it.skipIf(process.getuid?.() === 0)('that may not be read says so', async () => {
    await chmod(join(dir, 'gateway.yaml'), 0);
    expect((await load()).problems[0]?.message).toBe('cannot be read: this user may not read it');
  });

  it('reports its own problems and those of its certificates in the order of the file', async () => {
    await write('gateway.yaml', CONFIG.replace('port: 443', 'prot: 443').replace('origins: any', 'orgins: any'));
    await write('tls.crt', '');
    const found = await problems();
    expect(found.map((problem) => problem.split(': error: ')[0])).toEqual(['2:5', '5:17', '9:50']);
  });
});

describe('a certificate', () => {
  it.each([
    ['tls.crt', '', ['5:17: error: listeners[0].tls.certificates[0].cert: holds no certificate in PEM form']],
    [
      'tls.crt',
      own.key,
      [
        '5:17: error: listeners[0].tls.certificates[0].cert: holds no certificate in PEM form; it holds a key: are "cert" and "key" swapped?',
      ],
    ],
    [
      'tls.crt',
      own.cert.replace(/\n[^-].{20}/, '\n'),
      ['5:17: error: listeners[0].tls.certificates[0].cert: holds a broken certificate'],
    ],
    ['keys/tls.key', '', ['6:16: error: listeners[0].tls.certificates[0].key: holds no private key in PEM form']],
    [
      'keys/tls.key',
      own.cert,
      ['6:16: error: listeners[0].tls.certificates[0].key: holds no private key in PEM form; it holds a certificate'],
    ],
    [
      'keys/tls.key',
      own.key.replace(/\n[^-].{20}/, '\n'),
      ['6:16: error: listeners[0].tls.certificates[0].key: holds a broken private key'],
    ],
    [
      'keys/tls.key',
      own.key.replaceAll('PRIVATE', 'ENCRYPTED PRIVATE'),
      [
        '6:16: error: listeners[0].tls.certificates[0].key: holds an encrypted key, which needs a passphrase; store it without one',
      ],
    ],
    [
      'keys/tls.key',
      other.key,
      [
        '6:16: error: listeners[0].tls.certificates[0].key: the key does not fit the certificate (the certificate of the server itself comes first in its file, before those that vouch for it)',
      ],
    ],
  ])('%s, case %#', async (name, content, expected) => {
    await write(name, content);
    expect(await problems()).toEqual(expected);
    expect((await load()).config).toBeNull();
  });

  it('may be a chain, in the file of its key too', async () => {
    await write('tls.crt', `${own.key}\n${own.cert}\n${other.cert}`);
    expect(await problems()).toEqual([]);
  });

  it('that cannot be read, and its key, are both told of', async () => {
    await rm(join(dir, 'tls.crt'));
    await rm(join(dir, 'keys/tls.key'));
    expect(await problems()).toEqual([
      '5:17: error: listeners[0].tls.certificates[0].cert: cannot be read: there is no such file',
      '6:16: error: listeners[0].tls.certificates[0].key: cannot be read: there is no such file',
    ]);
  });

  it('is looked at behind a broken neighbour, at its own place', async () => {
    const pair = (key: string) => `        - cert: tls.crt\n          key: ${key}\n`;
    await write('gateway.yaml', CONFIG.replace(pair('keys/tls.key'), pair('') + pair('none.key')));
    expect(await problems()).toEqual([
      '6:11: error: listeners[0].tls.certificates[0].key: no value (it must be text)',
      '8:16: error: listeners[0].tls.certificates[1].key: cannot be read: there is no such file',
    ]);
  });
});

describe('the hash', () => {
  it('is the same for the same files and environment', async () => {
    const { hash } = await load();
    expect(hash).toMatch(/^[0-9a-f]{64}$/);
    expect((await load()).hash).toBe(hash);
    expect((await load({ UNUSED: '1' })).hash).toBe(hash);
  });

  it('changes with the text, a certificate, a key, and a value from the environment', async () => {
    await write('gateway.yaml', `${CONFIG}admin:\n  port: \${ADMIN:-9901}\n`);
    const hashes = [(await load()).hash, (await load({ ADMIN: '9902' })).hash];
    await write('tls.crt', other.cert);
    hashes.push((await load()).hash);
    await write('keys/tls.key', other.key);
    hashes.push((await load()).hash);
    await write('gateway.yaml', `# a comment\n${CONFIG}`);
    hashes.push((await load()).hash);
    expect(new Set(hashes).size).toBe(hashes.length);
  });
});
