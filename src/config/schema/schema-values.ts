// The kinds of values that gateway.yaml is made of: durations, sizes, names, addresses. What stands where is schema.ts.
import * as z from 'zod';
import { isAddressEntry, isHost, isResolver } from '../address.ts';
import { isServerUrlFault, LONGEST_UNIX_PATH, parseServerUrl } from '../server-url.ts';
import { DURATION_PATTERN, PERCENT_PATTERN, parseDuration, parseSize, SIZE_PATTERN } from '../yaml/units.ts';

const A_DURATION = 'must be a duration, such as 250ms, 30s, 5m or 1h';
const A_PERCENTAGE = 'must be a percentage from 0% to 100%, such as 20%';
const A_RATE = 'must be a rate: a number of at least 0.001 a second, or { rate: 50, burst: 100 }';
const A_SIZE = 'must be a size, such as 512B, 64KiB or 1MiB';

export const duration = () =>
  z
    .string(A_DURATION)
    .regex(DURATION_PATTERN, A_DURATION)
    .transform((text, context) => {
      const ms = parseDuration(text);
      if (ms !== undefined) return ms;
      context.addIssue({ code: 'custom', message: 'must be at most 596h' });
      return z.NEVER;
    });

/** A text, or a list of them, that is a list from here on. */
export const oneOrMore = () =>
  z
    .union([z.string().min(1), z.array(z.string().min(1)).min(1)])
    .transform((value) => (typeof value === 'string' ? [value] : value));

/** A duration that must be more than nothing. */
export const wait = () => duration().refine((ms) => ms > 0, 'must be more than 0');

export const size = () =>
  z
    .string(A_SIZE)
    .regex(SIZE_PATTERN, A_SIZE)
    .transform((text, context) => {
      const bytes = parseSize(text);
      if (bytes !== undefined) return bytes;
      context.addIssue({ code: 'custom', message: 'must be at most 8388607GiB' });
      return z.NEVER;
    });

/** A size that bounds something: 0 would bound it at nothing, and is read as no bound in many a program. */
export const sizeLimit = () => size().refine((bytes) => bytes > 0, 'must be more than 0');

export const name = () =>
  z
    .string()
    .regex(
      /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/,
      'must be a name: 1 to 63 letters, digits, ".", "_" or "-", a letter or digit first',
    );
export const whole = () =>
  z.int({ error: ({ code }) => (code === 'invalid_type' ? 'must be a whole number' : undefined) });
export const count = () => whole().min(1);
export const port = () => whole().min(0).max(65535);
export const host = () => z.string().refine(isHost, 'must be an IP address (without brackets) or a host name');

export const unixPath = () =>
  z
    .string()
    .min(1)
    .refine(
      (path) => Buffer.byteLength(path) <= LONGEST_UNIX_PATH && !path.includes('\0'),
      `must be a path of at most ${LONGEST_UNIX_PATH} bytes`,
    );

const serverUrl = () =>
  z.string().transform((text, context) => {
    const parsed = parseServerUrl(text);
    if (!isServerUrlFault(parsed)) return parsed;
    context.addIssue({ code: 'custom', message: parsed.message, params: { hint: parsed.hint } });
    return z.NEVER;
  });

const perSecond = () => z.number(A_RATE).min(0.001, A_RATE).max(1_000_000, 'must be at most 1000000 a second');

/** So many a second, and how many at once: by default those of a second, at least one. */
export const rate = () =>
  z.union([
    perSecond().transform((rate) => ({ rate, burst: Math.max(1, Math.ceil(rate)) })),
    z
      .strictObject({
        rate: perSecond().describe('How many per second; may be a fraction'),
        burst: count()
          .max(1_000_000)
          .optional()
          .describe('How many at once after a pause; unset: as many as in one second, at least 1'),
      })
      .transform(({ rate, burst }) => ({ rate, burst: burst ?? Math.max(1, Math.ceil(rate)) })),
  ]);

/** One server of an upstream, as its address alone or with what is said of it. */
export const server = () =>
  z.union([
    serverUrl().transform((at) => ({ ...at, weight: 1, backup: false })),
    z
      .strictObject({
        url: serverUrl().describe('Its address'),
        weight: z
          .int()
          .min(0)
          .max(1000)
          .prefault(1)
          .describe(
            'Its share of the traffic, relative to the other servers; 0: only clients that `sticky` keeps on it',
          ),
        backup: z.boolean().prefault(false).describe('Used only while no other server can take more'),
        max_connections: count().optional().describe('Most sessions and requests at a time; unset: any number'),
        handshakes_per_second: rate()
          .optional()
          .describe('Most handshakes per second: a number, or `rate` and `burst`; unset: any number'),
        requests_per_second: rate().optional().describe('Most plain requests per second; unset: any number'),
      })
      .transform(({ url, ...of }) => ({ ...url, ...of })),
  ]);

/** A list of addresses: each an IP address, a range of them, or `unix` for the peers on unix sockets. */
export const addressEntries = () =>
  z.array(z.string().refine(isAddressEntry, 'must be an IP address or a CIDR range, such as 10.0.0.0/8, or "unix"'));

export const resolverAddress = () =>
  z
    .string()
    .refine(isResolver, 'must be an IP address, or one with a port: 192.0.2.53, 192.0.2.53:53 or [2001:db8::53]:53');

/** A share as a fraction of 1. */
export const percent = () =>
  z
    .string(A_PERCENTAGE)
    .regex(PERCENT_PATTERN, A_PERCENTAGE)
    .transform((text) => Number.parseFloat(text) / 100);

/** RFC 9110 §5.6.2: what names of fields and cookies are made of. */
export const token = (message: string) => z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, message);
const REDIS_HINT = 'write it as redis://host:6379 or redis://user:password@host:6379/0, with rediss for TLS';

/** `memory`, or the URL of a Redis. */
export const broker = () => redisOr('memory');

/** `memory`, the broker's `redis`, or the URL of another one. */
export const sharedStore = () => redisOr('memory', 'redis');

/** Never says what was written, which may hold a password. */
const redisOr = (...words: readonly string[]) =>
  z.string().transform((text, context) => {
    if (words.includes(text) || isRedisUrl(text)) return text;
    context.addIssue({
      code: 'custom',
      message: `must be ${words.map((word) => `"${word}"`).join(', ')} or the URL of a Redis`,
      params: { hint: REDIS_HINT, secret: true },
    });
    return z.NEVER;
  });

function isRedisUrl(text: string): boolean {
  return URL.canParse(text) && /^rediss?:$/.test(new URL(text).protocol) && new URL(text).hostname !== '';
}
