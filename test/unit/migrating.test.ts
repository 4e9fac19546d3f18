// docs/migrating.md: each config of this gateway's in it is one that `check` has nothing to say about, and that does what it says.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { formatProblem } from '../../src/config/problem.ts';
import { prepare } from '../../src/runtime/prepare.ts';
import { answerTo, explanationsIn } from '../support/explained.ts';

const directory = mkdtempSync(join(tmpdir(), 'upgate-migrating-'));
afterAll(() => rmSync(directory, { recursive: true }));

const page = readFileSync(new URL('../../docs/migrating.md', import.meta.url), 'utf8');
const configs = [...page.matchAll(/^### (.+)\n[\s\S]*?^```yaml\n([\s\S]*?)^```$/gm)].map(
  ([, title = '', text = '']) => [title, text] as const,
);

it('has six of them, of four proxies', () => {
  expect(configs).toHaveLength(6);
  expect(new Set(configs.map(([title]) => title.split(':')[0]))).toEqual(
    new Set(['nginx', 'HAProxy', 'Caddy', 'Traefik']),
  );
});

it.each(configs)('%s', async (_title, text) => {
  const file = join(directory, 'gateway.yaml');
  writeFileSync(file, text);
  const { prepared, problems } = await prepare(file, {}, new Map());
  expect(problems.map(formatProblem)).toEqual([]);
  const claims = explanationsIn(text);
  expect(claims.length).toBeGreaterThan(2);
  expect(claims.map(({ question }) => answerTo(question, prepared!))).toEqual(
    claims.map(({ answer }) => expect.stringMatching(new RegExp(`^${answer}`))),
  );
});
