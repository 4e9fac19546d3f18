// config/*.yaml: each config does what its comments say that `upgate explain` says of it.
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { formatProblem } from '../../src/config/problem.ts';
import { prepare } from '../../src/runtime/prepare.ts';
import { answerTo, explanationsIn } from '../support/explained.ts';

const directory = fileURLToPath(new URL('../../config/', import.meta.url));
const asking = readdirSync(directory)
  .filter((name) => name.endsWith('.yaml'))
  .map((name) => ({ name, claims: explanationsIn(readFileSync(`${directory}${name}`, 'utf8')) }))
  .filter(({ claims }) => claims.length > 0);

it('there is one for each app that docs/examples.md names', () => {
  const page = readFileSync(new URL('../../docs/examples.md', import.meta.url), 'utf8');
  const named = [...page.matchAll(/\(\.\.\/config\/([\w-]+\.yaml)\)/g)].map(([, name]) => name);
  expect(named).toEqual(expect.arrayContaining(asking.map(({ name }) => name)));
  expect(asking.length).toBeGreaterThanOrEqual(7);
});

describe.each(asking)('config/$name', ({ name, claims }) => {
  it('says what it does, with a yes and a no', async () => {
    const { prepared, problems } = await prepare(`${directory}${name}`, {}, new Map());
    expect(problems.map(formatProblem)).toEqual([]);
    const answers = claims.map(({ question }) => answerTo(question, prepared!));
    expect(answers).toEqual(claims.map(({ answer }) => expect.stringMatching(new RegExp(`^${answer}`))));
    expect(answers.some((answer) => /^4\d\d /.test(answer))).toBe(true);
  });
});
