// Every block of code in README.md, CONTRIBUTING.md, SECURITY.md, docs/ and deploy/README.md is checked somewhere: a block that
// nothing knows fails here. Shell blocks are checked line by line; the page tests named below run the others.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { COMMANDS } from '../../src/app/commands.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { formatProblem } from '../../src/config/problem.ts';
import { textLine } from '../../src/observe/text-line.ts';

const root = new URL('../../', import.meta.url);
const read = (name: string) => readFileSync(new URL(name, root), 'utf8');
const pages = [
  ...['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'deploy/README.md'],
  ...readdirSync(new URL('docs/', root))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];
const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };

interface Block {
  readonly page: string;
  readonly language: string;
  readonly text: string;
}

const blocks: Block[] = pages.flatMap((page) =>
  [...read(page).matchAll(/^( *)```(\w*)\n([\s\S]*?)^\1```$/gm)].map(([, indent = '', language = '', text = '']) => ({
    page,
    language,
    text: text.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
  })),
);

/** Who checks the blocks of a language on these pages; shell and YAML aside. */
const CHECKED: Readonly<Record<string, readonly string[]>> = {
  // test/e2e/examples.test.ts and test/e2e/docs.test.ts run them.
  js: ['docs/auth.md', 'docs/examples.md', 'docs/rooms.md'],
  python: ['docs/webhook.md'],
  console: ['docs/tls.md'],
  // test/unit/migrating.test.ts asks the configs below them; of nginx and HAProxy, test/e2e/peers/migrating.test.ts runs both.
  nginx: ['docs/migrating.md'],
  haproxy: ['docs/migrating.md'],
  caddy: ['docs/migrating.md'],
  // Pictures.
  mermaid: ['README.md', 'docs/architecture.md'],
  // An answer (docs.test.ts), a message and log lines (below), the talk of a room (test/e2e/docs.test.ts), and a drawing.
  '': ['docs/answers.md', 'docs/configuration.md', 'docs/handshake.md', 'docs/metrics.md', 'docs/rooms.md'],
};

it.each(pages)('%s has no block of code that nothing checks', (page) => {
  const unknown = blocks
    .filter((block) => block.page === page && block.language !== 'sh')
    .filter(({ language }) => (language === 'yaml' ? !page.startsWith('docs/') : !CHECKED[language]?.includes(page)))
    // docs.test.ts parses the configs of docs/ and of README.md; this one is prometheus-adapter's.
    .filter(({ language, text }) => language !== 'yaml' || (page !== 'README.md' && !text.startsWith('rules:\n')));
  expect(unknown).toEqual([]);
});

/** The first bare block of a page. */
const bare = (page: string) => blocks.find((block) => block.page === page && block.language === '')!.text;

it('docs/configuration.md shows a message as it is written', () => {
  const config = `listeners: [{ port: 1 }]
upstreams: { chat: { servers: [ws://127.0.0.1:9001] } }
${'\n'.repeat(5)}routes:
  - name: chat
    websocket:
      mode: splice
      orgins: any
      upstream: chat
`;
  const { problems } = parseConfig(config, { file: 'gateway.yaml', env: {} });
  expect(problems.map((problem) => `${formatProblem(problem)}\n`)).toEqual([bare('docs/configuration.md')]);
});

it('docs/metrics.md shows lines of the log as they are written', () => {
  const records = [
    { event: 'notice', msg: 'listening', address: '::', port: 8080, tls: false },
    {
      event: 'request_completed',
      status: 200,
      method: 'GET',
      host: 'localhost:8080',
      path: '/api/hello',
      duration_ms: 3.1,
    },
    {
      ...{ event: 'handshake_rejected', status: 403, reason: 'origin', rule: 'routes.chat.websocket.origins' },
      ...{ origin: 'https://evil.example', host: 'app.example.com', path: '/ws/1', client: '192.0.2.7' },
    },
    {
      ...{ event: 'session_closed', close_code: 1000, closed_by: 'client', reason: 'closed', duration_ms: 18_200 },
      ...{ messages_in: 3, messages_out: 41, host: 'app.example.com', path: '/ws/1', client: '192.0.2.8' },
    },
  ];
  const lines = records.map((record) => {
    const who = record.event === 'notice' ? {} : { route: 'chat', client: '127.0.0.1' };
    const route = record.event === 'request_completed' ? { route: 'api' } : {};
    return textLine(JSON.stringify({ time: 'time', level: 'info', ...who, ...record, ...route }), {
      colour: false,
      clock: false,
    });
  });
  const written = bare('docs/metrics.md').replaceAll(/^\d\d:\d\d:\d\d/gm, 'time');
  expect(lines.join('')).toBe(written);
});

/** The commands of a shell block, each with its words; comments are left out, and lines that go on are joined. */
function commandsOf(text: string): string[][] {
  return text
    .replaceAll('\\\n', ' ')
    .split('\n')
    .map((line) => line.replace(/(^|\s)#.*$/, '').trim())
    .flatMap((line) => line.split(' && '))
    .filter((line) => line !== '')
    .map((line) => line.replace(/^(?:[A-Z_]+=(?:'[^']*'|\S+) )+/, '').split(/\s+/));
}

/** Why a command can't be what it says; null: it can. */
const FAULTS: Readonly<Record<string, (words: readonly string[]) => string | null>> = {
  npm: ([verb = '', name = '']) => {
    if (['ci', 'start', 'test', 'pack', 'install'].includes(verb)) return null;
    return verb === 'run' && Object.hasOwn(scripts, name) ? null : 'no script of package.json';
  },
  npx: ([name = '', ...words]) => {
    if (name === 'upgate') return FAULTS['upgate']!(words);
    return ['wscat', 'vitest'].includes(name) ? null : 'no program that is known';
  },
  // docs.test.ts checks its options.
  upgate: ([name = '']) => (COMMANDS.some((command) => command.name === name) ? null : 'no command'),
  // The demo's; those of the admin listener are run by test/e2e/docs.test.ts.
  curl: (words) =>
    / http:\/\/(localhost\/|127\.0\.0\.1:9901\/)/.test(` ${words.join(' ')}`) ? null : 'nobody runs it',
  cp: missingFile,
  docker: missingFile,
  kubectl: missingFile,
  systemctl: () => null,
};

/** A file of the repository that a command names, and that is not there. */
function missingFile(words: readonly string[]): string | null {
  const missing = words.filter((word) => word.startsWith('deploy/') && !existsSync(new URL(word, root)));
  return missing.length === 0 ? null : `no file ${missing.join()}`;
}

describe.each(blocks.filter(({ language }) => language === 'sh'))('$page, sh', ({ text }) => {
  it.each(commandsOf(text).map((words) => words.join(' ')))('%s', (command) => {
    const [program = '', ...words] = command.split(' ');
    expect(Object.hasOwn(FAULTS, program) ? FAULTS[program]!(words) : 'no program that is known').toBeNull();
  });
});
