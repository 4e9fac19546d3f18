// 6 UTF-8 (RFC 6455 §8.1, RFC 3629): what is text and what is not, however it is cut. The sequences are those of Markus
// Kuhn's decoder test, made here from what they are.
import { OPCODE } from '../../support/frames.ts';
import {
  atOnce,
  byFrame,
  type Case,
  fails,
  fragments,
  heardOf,
  legal,
  more,
  OPEN,
  ping,
  STILL_OPEN,
  type Step,
  text,
} from './case.ts';

const hex = (digits: string) => Buffer.from(digits.replaceAll(' ', ''), 'hex');
const whole = (...parts: readonly (string | Buffer)[]) => Buffer.concat(parts.map((part) => Buffer.from(part)));

const KOSME = Buffer.from('\u03ba\u1f79\u03c3\u03bc\u03b5');
const SURROGATE = whole(KOSME, hex('eda080'), 'edited');
const BEYOND = [KOSME, hex('f4908080'), Buffer.from('edited')] as const;
const MIXED = Buffer.from('Hello-µ@ßöäüàá-UTF-8!!');

const one = (id: string, payload: Buffer, valid: boolean): Case => ({
  id,
  what: `${valid ? 'text' : 'no text'}: ${payload.length > 12 ? `${payload.length} octets` : payload.toString('hex')}`,
  ...(valid ? legal(atOnce(text(payload)), heardOf('text', payload)) : fails(1007, atOnce(text(payload)))),
});

const basic: Case[] = [
  { id: '6.1.1', what: 'empty text', ...legal(atOnce(text('')), heardOf('text', '')) },
  {
    id: '6.1.2',
    what: 'three empty fragments',
    ...legal(atOnce(text('', OPEN), more('', OPEN), more('')), heardOf('text', '')),
  },
  {
    id: '6.1.3',
    what: 'three fragments, the middle one not empty',
    ...legal(atOnce(text('', OPEN), more('middle', OPEN), more('')), heardOf('text', 'middle')),
  },
  { id: '6.2.1', what: 'text', ...legal(atOnce(text(MIXED)), heardOf('text', MIXED)) },
  {
    id: '6.2.2',
    what: 'text cut between two characters',
    ...legal(atOnce(text(MIXED.subarray(0, 12), OPEN), more(MIXED.subarray(12))), heardOf('text', MIXED)),
  },
  {
    id: '6.2.3',
    what: 'text in fragments of one octet',
    ...legal(atOnce(fragments(OPCODE.text, MIXED, 1)), heardOf('text', MIXED)),
  },
  {
    id: '6.2.4',
    what: 'Greek in fragments of one octet',
    ...legal(atOnce(fragments(OPCODE.text, KOSME, 1)), heardOf('text', KOSME)),
  },
  { id: '6.3.1', what: 'a surrogate within text', ...fails(1007, atOnce(text(SURROGATE))) },
  {
    id: '6.3.2',
    what: 'the same in fragments of one octet',
    ...fails(1007, atOnce(fragments(OPCODE.text, SURROGATE, 1))),
  },
];

/** Who fails as soon as it must is heard to answer one ping, behind the part that is right; who waits for the end, two. */
const failFast = (id: string, what: string, parts: readonly Buffer[]): Case => {
  const [first, second, third] = parts as [Buffer, Buffer, Buffer];
  const steps: Step[] = [
    ...byFrame(text(first, OPEN), ping('A')),
    { heard: 1 },
    ...byFrame(more(second, OPEN), ping('B')),
    { heard: 2 },
    ...byFrame(more(third)),
  ];
  const [a, b] = [heardOf('pong', 'A'), heardOf('pong', 'B')];
  return { id, what, ...fails(1007, steps), ok: [[a]], nonStrict: [[a, b]] };
};

/** Within one frame there is nothing to hear: only whether the connection still stands after a while, once or twice. */
const failFastInFrame = (id: string, what: string, cuts: readonly [number, number]): Case => {
  const payload = whole(...BEYOND);
  const bytes = text(payload);
  const head = bytes.length - payload.length;
  const [from, to] = [head + cuts[0], head + cuts[1]];
  const pieces = [bytes.subarray(0, from), bytes.subarray(from, to), bytes.subarray(to)] as const;
  const steps: Step[] = [
    { send: pieces[0] },
    { quietMs: 50 },
    { send: pieces[1] },
    { quietMs: 50 },
    { send: pieces[2] },
  ];
  return { id, what, ...fails(1007, steps), ok: [[STILL_OPEN]], nonStrict: [[STILL_OPEN, STILL_OPEN]] };
};

const payload = whole(...BEYOND);
const fast: Case[] = [
  failFast('6.4.1', 'fails with the fragment that makes it invalid', BEYOND),
  failFast('6.4.2', 'the same, that fragment ending with the octet', [
    payload.subarray(0, 12),
    payload.subarray(12, 13),
    payload.subarray(13),
  ]),
  failFastInFrame('6.4.3', 'the same within one frame', [11, 15]),
  failFastInFrame('6.4.4', 'the same within one frame, up to the octet', [12, 13]),
];

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
const encode = (point: number) => Buffer.from(String.fromCodePoint(point));
/** UTF-8's scheme in any length, as it stood before RFC 3629 bounded it; overlong where asked. */
function scheme(point: number, length: number): Buffer {
  if (length === 1) return Buffer.from([point]);
  const bytes = range(1, length).map((i) => 0x80 | ((point / 64 ** (length - i)) & 0x3f));
  bytes[0] = ((0xff00 >> length) & 0xff) | Math.floor(point / 64 ** (length - 1));
  return Buffer.from(bytes);
}

const LENGTHS = [2, 3, 4, 5, 6] as const;
/** The last point of each length of the scheme. */
const LAST = { 1: 0x7f, 2: 0x7ff, 3: 0xffff, 4: 0x1fffff, 5: 0x3ffffff, 6: 0x7fffffff } as const;
const UNFINISHED = [
  ...LENGTHS.map((length) => scheme(0, length).subarray(0, -1)),
  ...LENGTHS.map((length) => scheme(LAST[length], length).subarray(0, -1)),
];
const HIGH = [0xd800, 0xdb7f, 0xdb80, 0xdbff] as const;
const LOW = [0xdc00, 0xdfff] as const;
/** U+FFFE and U+FFFF, and the last two of the planes whose number ends in these. */
const NONCHARACTERS = [
  0xfffe,
  0xffff,
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16].flatMap((plane) => [
    (plane << 16) | 0xfffe,
    (plane << 16) | 0xffff,
  ]),
];

type Sequences = readonly (readonly [valid: boolean, Buffer])[];
const all = (valid: boolean, sequences: readonly Buffer[]): Sequences => sequences.map((bytes) => [valid, bytes]);

/** Group 6.5 and those behind it, in their order. */
const SEQUENCES: readonly Sequences[] = [
  all(
    true,
    ['hello$world', 'hello\u00a2world', 'hello\u20acworld', 'hello\u{24b62}world', KOSME].map((of) => Buffer.from(of)),
  ),
  range(1, KOSME.length).map((length) => [[2, 5, 7, 9, 11].includes(length), KOSME.subarray(0, length)]),
  all(true, [0, 0x80, 0x800, 0x10000].map(encode)),
  all(false, [scheme(0x200000, 5), scheme(0x4000000, 6)]),
  all(true, [0x7f, 0x7ff, 0xffff, 0x10ffff].map(encode)),
  all(false, [scheme(LAST[4], 4), scheme(LAST[5], 5), scheme(LAST[6], 6)]),
  [...all(true, [0xd7ff, 0xe000, 0xfffd, 0x10ffff].map(encode)), ...all(false, [scheme(0x110000, 4)])],
  all(false, [
    hex('80'),
    hex('bf'),
    ...range(2, 6).map((length) => hex('80bf80bf80bf').subarray(0, length)),
    Buffer.from(range(0x80, 0xbf)),
  ]),
  all(
    false,
    (
      [
        [0xc0, 0xdf],
        [0xe0, 0xef],
        [0xf0, 0xf7],
        [0xf8, 0xfb],
        [0xfc, 0xfd],
      ] as const
    ).map(([from, to]) => Buffer.from(range(from, to).flatMap((start) => [start, 0x20]))),
  ),
  all(false, UNFINISHED),
  all(false, [Buffer.concat(UNFINISHED)]),
  all(false, [hex('fe'), hex('ff'), hex('fefeffff')]),
  all(
    false,
    LENGTHS.map((length) => scheme(0x2f, length)),
  ),
  all(
    false,
    LENGTHS.map((length) => scheme(LAST[(length - 1) as 1], length)),
  ),
  all(
    false,
    LENGTHS.map((length) => scheme(0, length)),
  ),
  all(
    false,
    [...HIGH, 0xdc00, 0xdf80, 0xdfff].map((point) => scheme(point, 3)),
  ),
  all(
    false,
    HIGH.flatMap((high) => LOW.map((low) => Buffer.concat([scheme(high, 3), scheme(low, 3)]))),
  ),
  all(true, NONCHARACTERS.map(encode)),
  all(true, range(0xfff9, 0xffff).map(encode)),
];

/** Not in the original: every code point there is, and every octet that may not follow the first of a sequence. */
const EVERY = Buffer.from(
  range(0, 0x10ffff)
    .filter((point) => point < 0xd800 || point > 0xdfff)
    .map((point) => String.fromCodePoint(point))
    .join(''),
);
const SECOND = (
  [
    [0xe0, 0x9f],
    [0xe0, 0xc0],
    [0xed, 0xa0],
    [0xf0, 0x8f],
    [0xf0, 0xc0],
    [0xf4, 0x90],
    [0xc2, 0x7f],
    [0xc2, 0xc0],
  ] as const
).map((pair) => Buffer.from([...pair, 0x80, 0x80]));

const beyond: Case[] = [
  {
    id: '6+.1',
    what: 'every code point, in fragments of 1021 bytes',
    ...legal([{ send: fragments(OPCODE.text, EVERY, 1021) }], heardOf('text', EVERY)),
  },
  ...SECOND.map((bytes, i) => one(`6+.${i + 2}`, bytes, false)),
];

export const utf8Cases: readonly Case[] = [
  ...basic,
  ...fast,
  ...SEQUENCES.flatMap((group, i) => group.map(([valid, bytes], j) => one(`6.${i + 5}.${j + 1}`, bytes, valid))),
  ...beyond,
];
