// What `npm pack` gives, as a stranger without a compiler gets it: installed into an empty folder without scripts, it runs with
// the native relay that it brings; nothing is in it that leads nowhere.
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run, startChild } from '../support/child.ts';
import { openClient } from '../support/client.ts';
import { startEcho } from '../support/echo.ts';
import { writeConfig } from '../support/gateway.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const NPM_MS = 300_000;
const TARGETS = ['linux-x64-glibc', 'linux-arm64-glibc', 'linux-x64-musl', 'linux-arm64-musl'];
const MACHINES: Readonly<Record<string, number>> = { x64: 62, arm64: 183 };
const here = `linux-${process.arch}-glibc`;

let folder: string;
let files: string[];
let installed: string;

/** Whether the compiler of a target is here; arm64 with musl needs headers beside it. */
function canBuild(target: string): boolean {
  const of = (name: string) => ['/usr/bin', '/usr/local/bin'].some((path) => existsSync(join(path, name)));
  if (target === 'linux-x64-musl') return of('musl-gcc');
  if (target === 'linux-x64-glibc') return of('x86_64-linux-gnu-gcc');
  const headers = join(process.env['MUSL_ARM64'] ?? '/', 'usr/include/aarch64-linux-musl');
  return of('aarch64-linux-gnu-gcc') && (target === 'linux-arm64-glibc' || existsSync(headers));
}

const buildable = process.platform === 'linux' ? TARGETS.filter(canBuild) : [];

describe.skipIf(!buildable.includes(here))('the package', () => {
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'upgate-package-'));
    execFileSync(process.execPath, [join(root, 'src/relay/native/prebuild.mjs'), ...buildable], { stdio: 'ignore' });
    const packed = await run('npm', ['pack', root, '--ignore-scripts', '--json', '--pack-destination', folder]);
    const [{ filename, files: listed }] = JSON.parse(packed.stdout) as [
      { filename: string; files: { path: string }[] },
    ];
    files = listed.map(({ path }) => path);
    installed = join(folder, 'app');
    writeFileSync(join(folder, 'package.json'), '{}');
    const done = await run('npm', [
      ...['install', '--ignore-scripts', '--no-audit', '--no-fund', '--omit=optional', '--prefix', installed],
      join(folder, filename),
    ]);
    expect([done.code, done.stderr.match(/npm error.*/g) ?? []]).toEqual([0, []]);
  }, NPM_MS);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('has no map without its source, no build of this machine alone, and no tests', () => {
    expect(files.filter((path) => /\.map$|^native\/|^test\/|\.ts$/.test(path))).toEqual([]);
    expect(files).toEqual(expect.arrayContaining(['dist/main.js', 'LICENSE', 'src/relay/native/build.mjs']));
    expect(files).toEqual(expect.arrayContaining(buildable.map((target) => `prebuilds/${target}/upgate-relay.node`)));
  });

  it('holds everything that its README links to', () => {
    const links = [...readFileSync(join(root, 'README.md'), 'utf8').matchAll(/\]\((?!https?:|#)([^)#]+)/g)];
    const missing = links.map(([, path = '']) => path).filter((path) => !files.some((file) => file.startsWith(path)));
    expect(links.length).toBeGreaterThan(10);
    expect(missing).toEqual([]);
  });

  it.each(buildable)('brings a stripped relay for %s that needs nothing but its C library', (target) => {
    const bytes = readFileSync(join(root, 'prebuilds', target, 'upgate-relay.node'));
    expect([bytes.subarray(0, 4).toString('latin1'), bytes.readUInt16LE(18)]).toEqual([
      '\x7fELF',
      MACHINES[target.split('-')[1] ?? ''],
    ]);
    const read = (flag: string) =>
      execFileSync('readelf', ['-W', flag, join(root, 'prebuilds', target, 'upgate-relay.node')], { encoding: 'utf8' });
    expect(read('-S')).not.toMatch(/\.debug_|\.symtab/);
    const needed = [...read('-d').matchAll(/NEEDED\).*\[(.*)\]/g)].map(([, name]) => name);
    const libc = { 'linux-x64-musl': ['libc.so'], 'linux-arm64-musl': [] }[target] ?? ['libc.so.6'];
    expect(needed).toEqual(libc);
    // Functions of the compiler's own library would be found nowhere.
    expect(read('--dyn-syms')).not.toMatch(/UND __aarch64/);
  });

  it('runs from an empty folder, with the native relay, though no script of it was run', async () => {
    const main = join(installed, 'node_modules/upgate/dist/main.js');
    const bin = join(installed, 'node_modules/.bin/upgate');
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    expect(await run(bin, ['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
    expect(readdirSync(join(installed, 'node_modules/upgate'))).not.toContain('native');
    const echo = await startEcho();
    const config = writeConfig({
      listeners: [{ host: '127.0.0.1', port: 0 }],
      admin: { port: 0 },
      upstreams: { echo: { servers: [`ws://127.0.0.1:${echo.port}`] } },
      routes: [{ name: 'ws', websocket: { mode: 'splice', upstream: 'echo', origins: 'any' } }],
    });
    const child = await startChild(process.execPath, [main, 'run', '-c', config], {});
    const lineOf = (msg: string) =>
      child.line((line) => {
        const log = JSON.parse(line) as Record<string, unknown>;
        return log['msg'] === msg ? log : undefined;
      }, msg);
    expect(await lineOf('started')).toMatchObject({ relay: 'native' });
    const client = await openClient(`ws://127.0.0.1:${(await lineOf('listening'))['port']}/`);
    client.socket.send('hello');
    expect(await client.next()).toBe('hello');
    await client.close();
    expect(await child.stop()).toBe(0);
    echo.close();
  });
});

it('is packed without a target whose compiler is not installed; a target that is named must be built', async () => {
  const copy = mkdtempSync(join(tmpdir(), 'upgate-prebuilds-'));
  const native = 'src/relay/native';
  cpSync(join(root, native), join(copy, native), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  const outdated = join(copy, 'prebuilds', TARGETS[0] ?? '');
  mkdirSync(outdated, { recursive: true });
  const prebuild = (...named: string[]) =>
    run('/usr/bin/env', ['PATH=/nowhere', process.execPath, join(copy, native, 'prebuild.mjs'), ...named]);
  const { code, stdout } = await prebuild();
  expect(code).toBe(0);
  expect(stdout.match(/^[\w-]+: left out, \S+ is not /gm)).toHaveLength(TARGETS.length);
  expect(existsSync(outdated)).toBe(false);
  expect((await prebuild('all')).code).toBe(1);
  rmSync(copy, { recursive: true });
});

it.skipIf(buildable.length === TARGETS.length)(
  `relays that can't be built here: ${TARGETS.filter((target) => !buildable.includes(target)).join(', ')}`,
  (context) => {
    if (process.env['REQUIRE_PEERS'] === '1') expect.fail('their compilers are to be here');
    context.skip();
  },
);
