// What `.ci/run` says in the end: the sum of its steps, and which of them failed.
import { describe, expect, it } from 'vitest';
import { run } from '../support/child.ts';

const LANES = new URL('../support/lanes.mjs', import.meta.url).pathname;
const sum = (text: string) => `echo '${text}'`;

async function lanesOf(...args: readonly string[]) {
  const { code, stdout } = await run(process.execPath, [LANES, ...args]);
  return { code, lines: stdout.trimEnd().split('\n') };
}

describe('lanes', () => {
  it('add up the tests of all their steps, each lane with its output whole', async () => {
    const { code, lines } = await lanesOf(
      ...['--lane', 'tests', sum('3 passed, 0 failed, 2 skipped')],
      ...['--lane', 'checks', 'echo one; echo two >&2', sum('4 passed, 0 failed')],
    );
    expect(lines.at(-1)).toBe('7 passed, 0 failed, 2 skipped');
    expect(code).toBe(0);
    const at = lines.indexOf('== lane checks');
    expect(lines.slice(at + 1, at + 4)).toEqual(['== echo one; echo two >&2', 'one', 'two']);
  });

  it.each([
    [
      'a step without tests is one',
      ['--lane', 'a', sum('3 passed, 0 failed'), '--lane', 'b', 'false'],
      '3 passed, 1 failed',
    ],
    [
      'its failed tests are what they are',
      ['--lane', 'a', `${sum('3 passed, 2 failed')}; false`],
      '3 passed, 2 failed',
    ],
    ['failed tests are one whatever the exit code', ['--lane', 'a', sum('3 passed, 2 failed')], '3 passed, 2 failed'],
    [
      'a step that a signal ends is one',
      ['--lane', 'a', `${sum('3 passed, 0 failed')}; kill -9 $$`],
      '3 passed, 1 failed',
    ],
    ['no test at all is one', ['--lane', 'a', 'true'], '0 passed, 1 failed'],
  ])('count what failed: %s', async (_, args, last) => {
    const { code, lines } = await lanesOf(...args);
    expect(lines.at(-1)).toBe(last);
    expect(code).toBe(1);
  });

  it('go on behind a step that failed, and name it', async () => {
    const { lines } = await lanesOf('--lane', 'a', 'false', sum('1 passed, 0 failed'), '--lane', 'b', 'true');
    const steps = lines.slice(-4, -1).map((line) => line.replace(/ +\d+ s +/, ' '));
    expect(steps).toEqual(['FAILED a: false', "ok a: echo '1 passed, 0 failed'", 'ok b: true']);
  });

  it('are asked for by name', async () => {
    expect(await run(process.execPath, [LANES])).toMatchObject({ code: 2, stdout: '' });
  });
});
