// Text of the config to numbers: durations in milliseconds, sizes in bytes. Pure; undefined means "not of this form".

const DURATION_UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;
const SIZE_UNITS = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 } as const;

/** `250ms`, `30s`, `5m`, `1h`; whole numbers, or with a decimal part (`1.5h`). */
export const DURATION_PATTERN = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/;
/** `512B`, `64KiB`, `1MiB`, `2GiB`; powers of 1024. */
export const SIZE_PATTERN = /^(\d+(?:\.\d+)?)(B|KiB|MiB|GiB)$/;

/** `0%` to `100%`. */
export const PERCENT_PATTERN = /^(?:100|[1-9]?\d)(?:\.\d+)?%$/;

/** The longest duration a timer of node can wait: 2^31 - 1 ms, nearly 25 days. */
export const LONGEST_DURATION = 2 ** 31 - 1;

/** Milliseconds, or undefined where `text` is no duration or longer than a timer can wait. */
export function parseDuration(text: string): number | undefined {
  const found = DURATION_PATTERN.exec(text);
  if (!found) return undefined;
  const ms = Math.round(Number(found[1]) * DURATION_UNITS[found[2] as keyof typeof DURATION_UNITS]);
  return ms <= LONGEST_DURATION ? ms : undefined;
}

/** Bytes, or undefined where `text` is no size or beyond what a number counts exactly. */
export function parseSize(text: string): number | undefined {
  const found = SIZE_PATTERN.exec(text);
  if (!found) return undefined;
  const bytes = Math.round(Number(found[1]) * SIZE_UNITS[found[2] as keyof typeof SIZE_UNITS]);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}
