import { describe, expect, it } from 'vitest';
import { LONGEST_DURATION, parseDuration, parseSize } from '../../../../src/config/yaml/units.ts';

describe('parseDuration', () => {
  it.each([
    ['250ms', 250],
    ['0s', 0],
    ['30s', 30_000],
    ['1.5h', 5_400_000],
    ['5m', 300_000],
    ['1h', 3_600_000],
    ['2147483647ms', LONGEST_DURATION],
    ['596h', 2_145_600_000],
    ['0.4ms', 0],
  ])('%s is %d ms', (text, ms) => expect(parseDuration(text)).toBe(ms));

  it.each(['', '30', 's', '30 s', '-1s', '+1s', '1.s', '.5s', '1d', '1S', '1h30m', '1e3s', '30s\n', ' 30s'])(
    '%j is none',
    (text) => expect(parseDuration(text)).toBeUndefined(),
  );

  it.each(['2147483648ms', '597h', `${'9'.repeat(400)}s`])('%s is longer than a timer can wait', (text) =>
    expect(parseDuration(text)).toBeUndefined(),
  );
});

describe('parseSize', () => {
  it.each([
    ['0B', 0],
    ['512B', 512],
    ['64KiB', 65_536],
    ['1MiB', 1_048_576],
    ['2GiB', 2_147_483_648],
    ['1.5KiB', 1536],
  ])('%s is %d bytes', (text, bytes) => expect(parseSize(text)).toBe(bytes));

  it.each(['', '64', 'KiB', '64K', '64KB', '64kib', '-1B', '1 MiB', '1MiB\n'])('%j is none', (text) =>
    expect(parseSize(text)).toBeUndefined(),
  );

  it('is undefined beyond what a number counts exactly', () => {
    expect(parseSize('8388607GiB')).toBe(8_388_607 * 1024 ** 3);
    expect(parseSize('8388608GiB')).toBeUndefined();
  });
});
