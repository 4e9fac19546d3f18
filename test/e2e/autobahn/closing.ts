// 7 Closing (RFC 6455 §5.5.1, §7): the handshake of it, what a Close may hold, and what may follow one.

import { OPCODE } from '../../support/frames.ts';
import { atOnce, type Case, close, closes, fails, frame, heardOf, more, OPEN, ping, text } from './case.ts';

const HELLO = 'Hello World!';
const HEARD = heardOf('text', HELLO);
const rawClose = (payload: Buffer) => frame(OPCODE.close, payload);

const basic: Case[] = [
  {
    id: '7.1.1',
    what: 'text, then a Close',
    ...closes([1000], [...atOnce(text(HELLO)), { heard: 1 }, ...atOnce(close(1000))], HEARD),
  },
  { id: '7.1.2', what: 'two Closes', ...closes([1000], atOnce(close(1000), close(1000))) },
  { id: '7.1.3', what: 'a ping behind the Close', ...closes([1000], atOnce(close(1000), ping())) },
  { id: '7.1.4', what: 'text behind the Close', ...closes([1000], atOnce(close(1000), text(HELLO))) },
  {
    id: '7.1.5',
    what: 'a Close between two fragments',
    ...closes([1000], atOnce(text('fragment1', OPEN), close(1000), more('fragment2'))),
  },
  {
    id: '7.1.6',
    what: 'text of 256 KiB, text, a Close and a ping',
    ...closes([1000], atOnce(text(Buffer.alloc(262_144, 'BAsd7&jh23')), text(HELLO), close(1000), ping())),
    informational: true,
  },
];

const payloads: Case[] = [
  { id: '7.3.1', what: 'an empty Close', ...closes([1000], atOnce(close())) },
  { id: '7.3.2', what: 'a Close of one byte', ...fails(1002, atOnce(rawClose(Buffer.from('a')))) },
  { id: '7.3.3', what: 'a Close with a code', ...closes([1000], atOnce(close(1000))) },
  { id: '7.3.4', what: 'a Close with a code and a reason', ...closes([1000], atOnce(close(1000, 'Hello World!'))) },
  { id: '7.3.5', what: 'a Close of 125 bytes', ...closes([1000], atOnce(close(1000, '*'.repeat(123)))) },
  { id: '7.3.6', what: 'a Close of 126 bytes', ...fails(1002, atOnce(close(1000, '*'.repeat(124)))) },
  {
    id: '7.5.1',
    what: 'a reason that is not UTF-8',
    ...fails(1007, atOnce(rawClose(Buffer.concat([Buffer.from([3, 232]), Buffer.from('cebae1bdb9eda080', 'hex')])))),
  },
];

const VALID = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] as const;
const INVALID = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999] as const;

export const closingCases: readonly Case[] = [
  ...basic,
  ...payloads,
  ...VALID.map(
    (code, i): Case => ({ id: `7.7.${i + 1}`, what: `Close ${code}`, ...closes([1000, code], atOnce(close(code))) }),
  ),
  // Registered since the original was written.
  ...[1012, 1013, 1014].map(
    (code): Case => ({ id: `7.7+.${code}`, what: `Close ${code}`, ...closes([1000, code], atOnce(close(code))) }),
  ),
  ...INVALID.map(
    (code, i): Case => ({ id: `7.9.${i + 1}`, what: `Close ${code}`, ...fails(1002, atOnce(close(code))) }),
  ),
  ...[1015].map((code): Case => ({ id: `7.9+.${code}`, what: `Close ${code}`, ...fails(1002, atOnce(close(code))) })),
  // Codes beyond those that §7.4.2 gives out.
  ...[5000, 65_535].map(
    (code, i): Case => ({
      id: `7.13.${i + 1}`,
      what: `Close ${code}`,
      ...closes([1002, code], atOnce(close(code))),
      informational: true,
    }),
  ),
];
