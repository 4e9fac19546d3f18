// Holds the docs to the code, both ways: every reason code and its status in docs/answers.md and nothing else there; every
// file of src/pipeline/ in docs/handshake.md; links lead somewhere, and commands are commands.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { COMMANDS, optionsOf } from '../../src/app/commands.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { formatProblem } from '../../src/config/problem.ts';
import { ERRORS } from '../../src/errors.ts';
import { REJECTIONS, reject } from '../../src/handshake/rejection.ts';
import { formatRefusal } from '../../src/http/problem.ts';
import { PARSER_ERRORS } from '../../src/listen/node/parser-errors.ts';

const read = (name: string) => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8');

/** The first cell of every row of the tables in a text that starts with a name in code quotes. */
const rows = (text: string) =>
  [...text.matchAll(/^\| `([a-z_]+)` \| (\d+)[^|]*\|([^|]*)\|([^|]*)\|$/gm)].map(([, name, status, when, then]) => ({
    name,
    status: Number(status),
    explained: when!.trim().length > 10 && then!.trim().length > 5,
  }));

describe('docs/answers.md', () => {
  const codes = [...Object.entries(REJECTIONS), ...Object.entries(ERRORS)];
  const documented = rows(read('answers.md'));

  it('has every reason code of the code, and no other', () => {
    expect(documented.map(({ name }) => name).sort()).toEqual([...new Set(codes.map(([name]) => name))].sort());
  });

  it.each(codes)('%s has its status, when it comes and what to do', (name, { status }) => {
    expect(documented.find((row) => row.name === name)).toEqual({ name, status, explained: true });
  });

  it('shows an answer as it is written', () => {
    const request = { id: '01JD4Z0T1K9Q6', method: 'GET' };
    const answer = formatRefusal(reject('origin'), request, new Date(Date.UTC(2026, 10, 20, 12)));
    expect(read('answers.md')).toContain(`\n\`\`\`\n${answer.toString().replaceAll('\r', '')}\`\`\`\n`);
  });

  it.each(Object.entries(PARSER_ERRORS))('%s has its sentence', (code, sentence) => {
    expect(read('answers.md')).toContain(`| ${sentence} | \`${code}\` |`);
  });
});

describe('docs/handshake.md', () => {
  const text = read('handshake.md');
  /** The files that the table of a folder has, in its order. */
  function filesOf(folder: string): string[] {
    const [, behind = ''] = text.split(`| file in \`src/${folder}/\` |`);
    const [table = ''] = behind.split('\n\n');
    return [...table.matchAll(/^\| `([a-z-]+\.ts)` \|/gm)].map(([, name]) => name!);
  }
  const table = filesOf('pipeline');

  it.each(['pipeline', 'listen/node'])('has each file of src/%s/ once, and no other', (folder) => {
    expect(filesOf(folder).sort()).toEqual(readdirSync(new URL(`../../src/${folder}`, import.meta.url)).sort());
  });

  it('names the steps in the order in which a handshake takes them', () => {
    const steps = ['handshakes.ts', 'incoming.ts', 'decide-incoming.ts', 'access.ts'];
    expect(table.filter((name) => steps.includes(name))).toEqual(steps);
    const headings = [...text.matchAll(/^## .*$/gm)].join('\n');
    const at = ['pipeline/handshakes.ts', 'pipeline/decide-incoming.ts', 'pipeline/access.ts', 'actions/splice.ts'];
    expect([...at].sort((a, b) => headings.indexOf(a) - headings.indexOf(b))).toEqual(at);
    expect(at.filter((path) => !headings.includes(path))).toEqual([]);
  });

  it('names no file of src that is not there', () => {
    const named = [...text.matchAll(/`((?:[a-z0-9-]+\/)+[a-z0-9-]+\.(?:ts|c|mjs))`/g)].map(([, path]) => path!);
    expect(named.length).toBeGreaterThan(30);
    const missing = named.filter((path) => !existsSync(new URL(`../../src/${path}`, import.meta.url)));
    expect(missing.filter((path) => !path.startsWith('src/'))).toEqual([]);
  });
});

describe('the figures of README.md', () => {
  const readme = read('../README.md');
  const figures = read('performance.md');
  /** The cells of the row that begins so, behind its name. */
  function cells(text: string, name: string): string[] {
    const [, row = ''] = text.split(`\n| ${name} |`);
    return row
      .slice(0, row.indexOf('\n'))
      .split('|')
      .map((cell) => cell.replaceAll('*', '').trim());
  }
  /** Two ratios of docs/performance.md, on node 20 and 24, as a range with one digit. */
  const range = (sentence: RegExp) => {
    const ratios = (sentence.exec(figures) ?? []).slice(1).map((ratio) => Number(ratio).toFixed(1));
    return [...new Set(ratios)].sort().join(' to ');
  };

  it.each([
    ['handshake', 'CPU per handshake, warm, us', /a handshake costs ([\d.]+) on node 20 and ([\d.]+) on node 24/],
    ['plain request', 'CPU per plain request, us', /a plain request ([\d.]+) and ([\d.]+),/],
  ])('of a %s are those of docs/performance.md', (what, row, ours) => {
    const [, , nginx, haproxy, caddy] = cells(figures, row).map(Number);
    const others = [nginx!, haproxy!, caddy!].map((time) => time / nginx!);
    const [told, ...rest] = cells(readme, `processor time for a ${what}, nginx = 1`);
    expect(told).toBe(range(ours));
    for (const [index, ratio] of others.entries()) expect(Number(rest[index])).toBeCloseTo(ratio, 1);
  });

  it('of idle tunnels and the drain are those of their pages', () => {
    const [, , nginx, haproxy] = cells(figures, 'growth per idle tunnel, the first 4,000, KiB');
    expect(readme).toContain(`it takes ${nginx} KiB in nginx and ${haproxy} KiB in HAProxy`);
    const [tunnels, , most] = cells(read('comparison.md'), 'upgate 0.1.0');
    expect(tunnels).toBe('2000 clean 1001');
    expect(readme).toContain(`at most ${most} in one second`);
  });
});

describe('links', () => {
  const root = new URL('../../', import.meta.url);
  const pages = [
    ...readdirSync(new URL('docs/', root)).map((name) => `docs/${name}`),
    ...readdirSync(root),
    ...readdirSync(new URL('deploy/', root)).map((name) => `deploy/${name}`),
  ].filter((name) => name.endsWith('.md'));
  const text = (page: string) => readFileSync(new URL(page, root), 'utf8');
  /** As GitHub makes them from headings. */
  const anchors = (page: string) =>
    [...text(page).matchAll(/^#{1,4} (.+)$/gm)].map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    );

  it.each(pages)('%s leads to files and headings that are there', (page) => {
    const broken = [...text(page).matchAll(/\]\((?!https?:)([^)\s#]*)(?:#([^)\s]+))?\)/g)].filter(
      ([, path = '', anchor]) => {
        const target = path === '' ? page : new URL(path, new URL(page, root)).pathname.slice(root.pathname.length);
        if (!existsSync(new URL(target, root))) return true;
        return anchor !== undefined && target.endsWith('.md') && !anchors(target).includes(anchor);
      },
    );
    expect(broken.map(([link]) => link)).toEqual([]);
  });
});

describe('commands', () => {
  const pages = readdirSync(new URL('../../docs/', import.meta.url)).filter((name) => name.endsWith('.md'));
  const known = new Set(COMMANDS.map(({ name }) => name));

  it.each([...pages, '../README.md', '../deploy/README.md'])('%s names commands and options that there are', (page) => {
    const used = [...read(page).matchAll(/(?<=^|`|npx )upgate ([a-z-]+)((?: [^\s`#|]+)*)/gm)];
    const wrong = used.filter(([, name = '', rest = '']) => {
      const command = COMMANDS.find((one) => one.name === name);
      const options = command === undefined ? [] : optionsOf(command).map((one) => one.name);
      return (
        !known.has(name) ||
        [...rest.matchAll(/--([a-z-]+)/g)].some(([, option = '']) => !options.includes(option) && option !== 'help')
      );
    });
    expect(wrong.map(([line]) => line)).toEqual([]);
  });
});

describe('configs', () => {
  const pages = readdirSync(new URL('../../docs/', import.meta.url)).filter((name) => name.endsWith('.md'));
  /** A part of a config, with what the rest of its page takes for granted. */
  function whole(block: string): string {
    const part = /^auth:/.test(block)
      ? `routes:\n  - name: a\n    http: { upstream: rest }\n    ${block.replaceAll('\n', '\n    ')}`
      : block;
    const named = [...part.matchAll(/\bupstream: (\w+)/g)].map(([, name]) => name);
    const needed = {
      listeners: '[{ port: 1 }]',
      routes: '[{ name: filler, respond: { status: 204 } }]',
      upstreams: `{ ${[...new Set(named)].map((name) => `${name}: { servers: [http://192.0.2.1] }`).join(', ')} }`,
    };
    const filled = Object.entries(needed).filter(([key]) => !new RegExp(`^${key}:`, 'm').test(part));
    return [part, ...filled.map(([key, value]) => `${key}: ${value}`)].join('\n');
  }

  const recipes = [...read('auth.md').matchAll(/^\|.*`(auth: \{[^`]+\})`/gm)].map(([, text = '']) => text);
  it.each(recipes)('the recipe %s has no mistake', (text) => {
    const { problems } = parseConfig(whole(text), { file: 'auth.md', env: { JWT_SECRET: 'x'.repeat(32) } });
    expect(problems.filter(({ severity }) => severity === 'error').map(formatProblem)).toEqual([]);
  });

  it('docs/auth.md has a recipe for each kind of credentials', () => {
    const kinds = recipes.map((text) => /^auth: \{ (\w+)/.exec(text)?.[1]);
    expect([...new Set(kinds)].sort()).toEqual(['basic', 'certificate', 'forward', 'jwt']);
  });

  it.each([...pages, '../README.md'])('%s shows configs without a mistake', (page) => {
    const blocks = [...read(page).matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map(([, text = '']) => text);
    const found = blocks.flatMap((text) => {
      const env = Object.fromEntries([...text.matchAll(/\$\{(\w+)/g)].map(([, name]) => [name, 'sixteen-or-longer']));
      const { problems } = parseConfig(whole(text), { file: page, env });
      return problems.filter(({ severity }) => severity === 'error').map(formatProblem);
    });
    expect(found).toEqual([]);
  });
});
