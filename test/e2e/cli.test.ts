// The command line of the built program: exit codes and texts, for every command but what `run` then serves.

import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { COMMANDS } from '../../src/app/commands.ts';
import { parseHash } from '../../src/auth/password.ts';
import { run } from '../support/child.ts';
import { type GatewayFile, MAIN, startGateway, writeConfig } from '../support/gateway.ts';
import { closedPort } from '../support/scripted.ts';

const upgate = (...args: readonly string[]) => run(process.execPath, [MAIN, ...args]);
const read = (path: string) => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8');

const GOOD = `listeners:
  - port: 0
upstreams:
  chat:
    servers: [ws://127.0.0.1:9001]
  rest:
    servers: [http://127.0.0.1:9002]
routes:
  - name: chat
    match: { host: app.example.com, path: /ws/* }
    websocket: { mode: splice, upstream: chat }
  - name: api
    http: { upstream: rest }
`;

describe('the command line', () => {
  it.each(['-v', '--version'])('%s says the version of the package', async (flag) => {
    const { version } = JSON.parse(read('package.json')) as { version: string };
    expect(await upgate(flag)).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
  });

  it.each(['-h', '--help', 'help'])('%s prints what there is', async (line) => {
    const { code, stdout, stderr } = await upgate(...line.split(' '));
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const { name } of COMMANDS) expect(stdout).toMatch(new RegExp(`\\n  ${name}\\b`));
    expect(stdout).toContain('SIGHUP');
  });

  it('with nothing to do prints the same, and that is a mistake', async () => {
    const { code, stdout } = await upgate();
    expect(code).toBe(2);
    expect(stdout).toContain('Usage: upgate');
  });

  it.each<[string, string[], RegExp]>([
    ['an unknown command', ['serve'], /^there is no command "serve"; see upgate help\n$/],
    ['a mistyped command', ['chek'], /^there is no command "chek" \(did you mean check\?\); see upgate help\n$/],
    [
      'a mistyped option',
      ['check', '--confg', 'x.yaml'],
      /^there is no option --confg \(did you mean --config\?\); see upgate help\n$/,
    ],
    ['an unknown option', ['check', '-x'], /^there is no option -x; see upgate help\n$/],
    ['an option that is like none', ['explain', '--zzzzzz'], /^there is no option --zzzzzz; see upgate help\n$/],
    ['an option without its value', ['check', '-c'], /^.*-c.*; see upgate help\n$/],
    ['help for what is none', ['help', 'serve'], /^there is no command "serve"/],
    [
      'an argument too many',
      ['run', 'other.yaml'],
      /^run takes no argument "other.yaml"; a config is named with -c\n$/,
    ],
    ['two URLs', ['explain', 'ws://a/', 'ws://b/'], /^explain takes no argument "ws:\/\/b\/"/],
    [
      'an option of another command',
      ['check', '--origin', 'x'],
      /^check takes no option --origin; see upgate check --help\n$/,
    ],
    ['a config where none is read', ['schema', '-c', 'x'], /^schema takes no option --config/],
    ['two configs', ['check', 'a.yaml', '-c', 'b.yaml'], /^check takes one config: a\.yaml, or -c b\.yaml\n$/],
    ['no URL', ['explain'], /^explain needs a URL, such as wss:/],
    ['a URL that is none', ['explain', 'app.example.com'], /is no URL/],
  ])('%s is exit 2, with the reason', async (_, args, why) => {
    const { code, stdout, stderr } = await upgate(...args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(why);
  });
});

describe('the first steps', () => {
  it.each(COMMANDS.map(({ name }) => name))('%s --help says what it takes, and help says the same', async (name) => {
    const { code, stdout } = await upgate(name, '--help');
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`^Usage: upgate ${name}\\b`));
    expect(await upgate('help', name)).toEqual({ code: 0, stdout, stderr: '' });
  });

  it('init writes a config that is good, and never over one that is there', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'upgate-init-')), 'own.yaml');
    const written = (npm: string[], path: string) =>
      run('/usr/bin/env', ['-u', 'npm_command', ...npm, process.execPath, MAIN, 'init', path]);
    expect(await written([], file)).toMatchObject({
      code: 0,
      stdout: `${file} is written. Edit it, then: upgate check ${file}\n`,
    });
    // Run by npm, it need not be on the PATH.
    const other = `${file}.yaml`;
    expect((await written(['npm_command=exec'], other)).stdout).toContain(`then: npx upgate check ${other}\n`);
    expect(readFileSync(other, 'utf8')).toContain(`npx upgate check -c ${other}\n`);
    expect((await upgate('check', file)).code).toBe(0);
    const before = readFileSync(file, 'utf8');
    const named = [...before.matchAll(/(?<=[ =])[^\s=]*\/(?:config|docs)\/[\w./-]*(?=[\s.,;])/g)].map(([path]) =>
      path.replace(/\.$/, ''),
    );
    expect(named.length).toBeGreaterThan(3);
    expect(named.filter((path) => !isAbsolute(path) || !existsSync(path))).toEqual([]);
    expect(await upgate('init', file)).toMatchObject({
      code: 1,
      stderr: `${file} exists already; nothing was written\n`,
    });
    expect(readFileSync(file, 'utf8')).toBe(before);
    expect((await upgate('init', join(file, 'x'))).stderr).toContain("can't be written: ENOTDIR");
  });

  it('hash-password prints what a users file takes, each time another', async () => {
    const hashOf = (input: string) =>
      execFileSync(process.execPath, [MAIN, 'hash-password'], { input, encoding: 'utf8', stdio: 'pipe' }).trim();
    const [one, two] = [hashOf('correct horse\n'), hashOf('correct horse')];
    expect(one).not.toBe(two);
    for (const text of [one, two]) {
      const parsed = parseHash(text);
      if (typeof parsed === 'string') throw new Error(parsed);
      expect([await parsed.matches('correct horse'), await parsed.matches('correct')]).toEqual([true, false]);
    }
    expect(() => hashOf('')).toThrow(/reads one line/);
  });
});

describe('check', () => {
  it('says that a good file is', async () => {
    const file = writeConfig(GOOD);
    expect(await upgate('check', '-c', file)).toEqual({ code: 0, stdout: `${file}: ok\n`, stderr: '' });
  });

  it('takes the shipped one', async () => {
    expect((await upgate('check', '-c', fileURLToPath(new URL('../../gateway.yaml', import.meta.url)))).code).toBe(0);
  });

  it('says every mistake at its place, with what may be meant', async () => {
    const file = writeConfig(
      GOOD.replace('port: 0', 'prot: 0')
        .replace('http://127.0.0.1:9002', 'ftp://127.0.0.1:9002')
        .replace('upstream: chat }', 'upstream: chta }')
        .replace('mode: splice', 'mode: splice, timeouts: { idle: 5 parsecs }'),
    );
    const { code, stdout, stderr } = await upgate('check', '--config', file);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    const lines = stderr.trimEnd().split('\n');
    for (const line of lines) expect(line).toMatch(/:\d+:\d+: (?:error|warning): /);
    const found = lines.map((line) => line.replace(`${file}:`, ''));
    expect(found).toEqual([
      expect.stringMatching(/^2:5: error: .*prot.*port/),
      expect.stringMatching(/^7:15: error: upstreams\.rest\.servers\[0\]: /),
      expect.stringMatching(/^11:\d+: error: routes\[0\]\.websocket\.timeouts\.idle: .*duration/),
      expect.stringMatching(/^11:\d+: error: routes\[0\]\.websocket\.upstream: .*chat/),
    ]);
  });

  it('warns, and the file is good all the same', async () => {
    const file = writeConfig(GOOD.replace('  rest:', '  spare:\n    servers: [ws://127.0.0.1:9003]\n  rest:'));
    const { code, stdout, stderr } = await upgate('check', '-c', file);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${file}: ok\n` });
    expect(stderr).toBe(`${file}:6:3: warning: upstreams.spare: no route uses this upstream\n`);
  });

  it('says that there is no file', async () => {
    const { code, stderr } = await upgate('check', '-c', '/nowhere/gateway.yaml');
    expect(code).toBe(1);
    expect(stderr).toBe('/nowhere/gateway.yaml:1:1: error: cannot be read: there is no such file\n');
  });

  it('never prints a secret of the environment', async () => {
    const file = writeConfig(GOOD.replace('ws://127.0.0.1:9001', '"ws://${UPGATE_TEST_SECRET}@127.0.0.1:9001"'));
    const { code, stdout, stderr } = await run('/usr/bin/env', [
      'UPGATE_TEST_SECRET=hunter2',
      process.execPath,
      MAIN,
      'check',
      '-c',
      file,
    ]);
    expect(code).toBe(1);
    expect(stdout + stderr).not.toContain('hunter2');
  });
});

describe('explain', () => {
  const file = writeConfig(GOOD);

  it('says what lets a request in', async () => {
    const { code, stdout, stderr } = await upgate(
      'explain',
      'wss://app.example.com/ws/1',
      '--origin',
      'https://app.example.com',
      '-c',
      file,
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('yes  route chat: fits\n');
    expect(stdout).toMatch(/\n-> 101 if the backend agrees: splice to upstream chat \(ws:\/\/127\.0\.0\.1:9001\)\n$/);
  });

  it.each<[string, string[], string]>([
    ['an origin', ['wss://app.example.com/ws/1', '--origin', 'https://evil.example'], '403 origin'],
    ['a version', ['wss://app.example.com/ws/1', '--version', '7'], '426 version'],
    ['a path', ['wss://app.example.com/none'], '404 no_route'],
  ])('says what refuses one for %s, with exit 1', async (_, args, answer) => {
    const { code, stdout } = await upgate('explain', ...args, '-c', file);
    expect(code).toBe(1);
    expect(stdout).toContain(`\n-> ${answer}: `);
  });

  it('says what is wrong with the file instead', async () => {
    const bad = writeConfig(GOOD.replace('port: 0', 'port: zero'));
    const { code, stdout, stderr } = await upgate('explain', 'ws://a/', '-c', bad);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain(`${bad}:2:11: error: listeners[0].port`);
  });
});

it('schema prints the shipped JSON Schema', async () => {
  const { code, stdout } = await upgate('schema');
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toEqual(JSON.parse(read('config/gateway.schema.json')));
});

describe('healthcheck', () => {
  const close: (() => unknown)[] = [];
  afterEach(async () => {
    for (const one of close.splice(0)) await one();
  });

  const asking = (port: number) => upgate('healthcheck', '-c', writeConfig(`${GOOD}admin: { port: ${port} }\n`));

  /** An admin listener that answers as the test says. */
  async function admin(listener: RequestListener): Promise<number> {
    const server = createServer(listener);
    await once(server.listen(0, '127.0.0.1'), 'listening');
    close.push(() => {
      server.closeAllConnections();
      server.close();
    });
    return (server.address() as AddressInfo).port;
  }

  it('is silent where the gateway is well', async () => {
    const routes: GatewayFile['routes'] = [
      { name: 'echo', websocket: { mode: 'terminate', handler: 'echo', origins: 'any' } },
    ];
    const gateway = await startGateway({ listeners: [{ host: '127.0.0.1', port: 0 }], routes });
    close.push(() => gateway.stop());
    expect(await asking(gateway.adminPort)).toEqual({ code: 0, stdout: '', stderr: '' });
  });

  it('says what came in place of 200', async () => {
    const port = await admin((_, res) => void res.writeHead(500).end('no'));
    expect(await asking(port)).toEqual({ code: 1, stdout: '', stderr: `http://127.0.0.1:${port}/healthz: 500\n` });
  });

  it('says that nobody is there', async () => {
    const port = await closedPort();
    const { code, stderr } = await asking(port);
    expect(code).toBe(1);
    expect(stderr).toContain(`http://127.0.0.1:${port}/healthz: connection refused (ECONNREFUSED)`);
  });

  it('waits for an answer no longer than three seconds', async () => {
    const port = await admin(() => {});
    const { code, stderr } = await asking(port);
    expect(code).toBe(1);
    expect(stderr).toContain('no answer within 3000 ms');
  });

  it('says what is wrong with the file', async () => {
    const { code, stderr } = await upgate('healthcheck', '-c', writeConfig('admin: { port: nine }'));
    expect(code).toBe(1);
    expect(stderr).toContain(':1:16: error: admin.port: ');
  });
});

describe('run', () => {
  it('does not start with a bad file, and says why', async () => {
    const file = writeConfig(GOOD.replace('port: 0', 'port: zero'));
    const { code, stdout, stderr } = await upgate('run', '-c', file);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toBe(
      `${file}:2:11: error: listeners[0].port: must be a whole number, got "zero"\n${file} has errors; nothing was started\n`,
    );
  });

  it.each(['run', 'check', 'explain ws://a/', 'status'])(
    '%s says what to do where there is no config',
    async (command) => {
      const empty = mkdtempSync(join(tmpdir(), 'upgate-none-'));
      const { code, stdout, stderr } = await run('/bin/sh', [
        '-c',
        `unset npm_command; cd "${empty}" && exec "${process.execPath}" "${MAIN}" ${command}`,
      ]);
      expect({ code, stdout, stderr }).toEqual({
        code: 1,
        stdout: '',
        stderr: 'there is no gateway.yaml here; name a config with -c FILE, or write one with: upgate init\n',
      });
    },
  );

  it('takes the file of its directory where none is named', async () => {
    const file = writeConfig(GOOD.replace('port: 0', 'port: zero'));
    const { code, stderr } = await run('/bin/sh', [
      '-c',
      `cd "${dirname(file)}" && exec "${process.execPath}" "${MAIN}" run`,
    ]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^gateway\.yaml:2:11: error: /);
  });
});

describe('completion', () => {
  it('of bash names commands, their options and choices, and files', async () => {
    const complete = async (...words: readonly string[]) => {
      const script =
        'eval "$("$1" "$2" completion bash)"; shift 2; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _upgate; echo "${COMPREPLY[@]}"';
      const { stdout, stderr } = await run('bash', ['-c', script, 'bash', process.execPath, MAIN, ...words]);
      return `${stdout.trim()}${stderr}`;
    };
    expect(await complete('upgate', 'ch')).toBe('check');
    expect(await complete('upgate', 'explain', '--ori')).toBe('--origin');
    expect(await complete('upgate', 'import', 'ng')).toBe('nginx');
    expect(await complete('upgate', 'check', '-c', '/etc/host')).toContain('/etc/hosts');
  });

  it.each(['zsh', 'fish'])('of %s has every command and option', async (shell) => {
    const { code, stdout } = await upgate('completion', shell);
    expect(code).toBe(0);
    for (const command of COMMANDS)
      for (const { name } of [command, ...command.options]) expect(stdout).toMatch(new RegExp(`\\b${name}\\b`));
  });

  it('of another shell is a mistake', async () => {
    expect(await upgate('completion', 'tcsh')).toMatchObject({
      code: 2,
      stderr: 'completion: "tcsh" is not one of bash, zsh, fish\n',
    });
    expect(await upgate('completion')).toMatchObject({ code: 2, stderr: 'completion needs: bash|zsh|fish\n' });
  });
});

it('the manual page has every command and option, and help has them too', async () => {
  const page = (await upgate('man')).stdout.replaceAll('\\-', '-');
  const printed = (await upgate('--help')).stdout;
  expect(printed.split('\n').filter((line) => line.length > 80)).toEqual([]);
  const help = printed.replace(/\n {27}/g, ' ');
  for (const command of COMMANDS) {
    for (const text of [page, help]) {
      expect(text).toContain(command.help);
      for (const { name } of command.options) expect(text).toContain(`--${name}`);
    }
  }
  expect(page).toMatch(/^\.TH UPGATE 1 "" "upgate \d/);
  expect(page).not.toMatch(/^\.(?!TH|SH|TP|B |I |RI |RS|RE)/m);
});
