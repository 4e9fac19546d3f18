// 12 and 13 permessage-deflate (RFC 7692): messages of all sizes of five kinds of data, and with all parameters that can be
// offered. Behind them, marked with `+`, what a client may and may not do with it beyond compressing.
import { constants, deflateRawSync } from 'node:zlib';
import { OPCODE } from '../../support/frames.ts';
import {
  atOnce,
  type Case,
  echoes,
  FULL,
  fails,
  frame,
  heardOf,
  legal,
  type Message,
  more,
  OPEN,
  ping,
  text,
} from './case.ts';
import { noise } from './limits.ts';

/** Payload, and the size of fragments: 0 for none. */
const SIZES = [
  ...[16, 64, 256, 1024, 4096, 8192, 16_384, 32_768, 65_536, 131_072].map((size) => [size, 0] as const),
  ...[8192, 16_384, 32_768, 65_536, 131_072].map((size) => [size, 256] as const),
  ...[1024, 4096, 32_768].map((fragment) => [131_072, fragment] as const),
];

const WORDS = [
  'Habe',
  'nun',
  'ach',
  'Philosophie',
  'Juristerei',
  'und',
  'Medizin',
  'leider',
  'auch',
  'Theologie',
  'mit',
  'heißem',
  'Bemühn',
];
/** Text is cut anywhere. */
const ASCII = WORDS.filter((word) => /^\w+$/.test(word));
const pick = <T>(of: readonly T[], i: number): T => of[(i * 7 + (i >> 3) * 3 + (i >> 7)) % of.length] as T;
const lines = (count: number, line: (i: number) => string) =>
  Buffer.from(Array.from({ length: count }, (_, i) => line(i)).join(''));

interface Data {
  readonly what: string;
  readonly type: Message['type'];
  readonly bytes: Buffer;
}

/** As in the original: German text, a picture, an archive that can't be packed, JSON, HTML; made here. */
const DATA: readonly Data[] = [
  { what: 'German text', type: 'binary', bytes: lines(30_000, (i) => `${pick(WORDS, i)}${i % 9 === 8 ? ',\n' : ' '}`) },
  {
    what: 'a picture',
    type: 'binary',
    bytes: Buffer.from(Array.from({ length: 200_000 }, (_, i) => ((i % 512) >> 1) ^ ((i >> 9) & 0x1f))),
  },
  { what: 'what is packed', type: 'binary', bytes: noise('binary', 150_000) },
  {
    what: 'JSON',
    type: 'text',
    bytes: lines(3_000, (i) =>
      JSON.stringify({ id: i, name: pick(ASCII, i), at: i * 1009, tags: [pick(ASCII, i + 3)] }),
    ),
  },
  {
    what: 'HTML',
    type: 'text',
    bytes: lines(3_000, (i) => `<tr class="row${i % 2}"><td><a href="/item/${i}">${pick(ASCII, i)}</a></td></tr>\n`),
  },
];

/** Part number `i` of the data, of this size, going round. */
function part({ bytes }: Data, size: number, i: number): Buffer {
  const from = (i * size) % bytes.length;
  const once = bytes.subarray(from, from + size);
  return once.length === size ? once : Buffer.concat([once, bytes.subarray(0, size - once.length)]);
}

/** The original sends 1000 of each. */
const count = (size: number) => (size <= 4096 ? (FULL ? 1000 : 8) : FULL ? 100 : 3);

function sized(group: string, data: Data): Case[] {
  return SIZES.map(([size, fragment], i): Case => {
    const rounds = count(size);
    const message = (n: number) => ({ type: data.type, payload: part(data, size, n) });
    return {
      id: `${group}.${i + 1}`,
      what: `${rounds} times ${data.what}, ${size} bytes${fragment > 0 ? ` in fragments of ${fragment}` : ''}`,
      ...legal([{ rounds, message, ...(fragment > 0 ? { fragment } : {}) }], echoes(rounds)),
    };
  });
}

/** What is run over one offer. */
export interface Offered {
  readonly offer: string;
  readonly cases: readonly Case[];
  /** Whether a server may answer without the extension, as it must to an offer it can't keep. */
  readonly declined?: true;
}

const P = 'permessage-deflate';
const JSON_DATA = DATA[3] as Data;

/** The seven offers of the original: in its words (requestNoContextTakeover, requestMaxWindowBits). */
const OFFERS: readonly (readonly [offer: string, Pick<Offered, 'declined'>])[] = [
  [P, {}],
  [`${P}; server_no_context_takeover`, {}],
  [`${P}; server_max_window_bits=8`, { declined: true }],
  [`${P}; server_max_window_bits=15`, {}],
  [`${P}; server_no_context_takeover; server_max_window_bits=8`, { declined: true }],
  [`${P}; server_no_context_takeover; server_max_window_bits=15`, {}],
  [`${P}; server_no_context_takeover; server_max_window_bits=8, ${P}; server_no_context_takeover, ${P}`, {}],
];

/** Not in the original: every window, in both directions, and the client's own takeover. */
const BEYOND = [
  ...[9, 10, 11, 12, 13, 14].map((bits) => `${P}; server_max_window_bits=${bits}`),
  ...[9, 10, 11, 12, 13, 14, 15].map((bits) => `${P}; client_max_window_bits=${bits}`),
  `${P}; client_max_window_bits`,
  `${P}; client_no_context_takeover; server_no_context_takeover`,
  `${P}; client_max_window_bits="10"; server_max_window_bits="12"`,
  `x-unknown; a=1, ${P}`,
];

/** Offers that must be declined (RFC 7692 §7.1): what came is answered as if nothing had been offered, or refused. */
export const BAD_OFFERS: readonly string[] = [
  `${P}; server_max_window_bits`,
  `${P}; server_max_window_bits=7`,
  `${P}; server_max_window_bits=16`,
  `${P}; server_max_window_bits=09`,
  `${P}; client_max_window_bits=7`,
  `${P}; client_max_window_bits=16`,
  `${P}; server_no_context_takeover=1`,
  `${P}; client_no_context_takeover=true`,
  `${P}; server_no_context_takeover; server_no_context_takeover`,
  `${P}; unknown`,
];

const raw = (payload: string | Buffer) => deflateRawSync(payload, { finishFlush: constants.Z_SYNC_FLUSH });
const packed = (payload: string | Buffer) => raw(payload).subarray(0, -4);
const RSV1 = { rsv: 4 } as const;
const HELLO = 'Hello, Hello, Hello!';
const HEARD = heardOf('text', HELLO);

/** What a client may do with it (RFC 7692 §6, §7.2.3), and what fails the connection. */
const RULES: readonly Case[] = [
  { id: '12+.1', what: 'a message that is not compressed', ...legal(atOnce(text(HELLO)), HEARD) },
  {
    id: '12+.2',
    what: 'compressed fragments with a ping between',
    ...legal(
      atOnce(text(packed(HELLO).subarray(0, 3), { ...OPEN, ...RSV1 }), ping('x'), more(packed(HELLO).subarray(3))),
      heardOf('pong', 'x'),
      HEARD,
    ),
  },
  {
    id: '12+.3',
    what: 'a block that is stored',
    ...legal(
      atOnce(text(deflateRawSync(HELLO, { level: 0, finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4), RSV1)),
      HEARD,
    ),
  },
  {
    id: '12+.4',
    what: 'a block with BFINAL',
    ...legal(atOnce(text(Buffer.concat([deflateRawSync(HELLO), Buffer.from([0])]), RSV1)), HEARD),
  },
  {
    id: '12+.5',
    what: 'two blocks',
    ...legal(atOnce(text(Buffer.concat([raw('Hello, '), packed('Hello, Hello!')]), RSV1)), HEARD),
  },
  { id: '12+.6', what: 'an empty message', ...legal(atOnce(text(Buffer.from([0]), RSV1)), heardOf('text', '')) },
  {
    id: '12+.7',
    what: 'an empty last fragment',
    ...legal(atOnce(text(packed(HELLO), { ...OPEN, ...RSV1 }), more('')), HEARD),
  },
  {
    id: '12+.8',
    what: 'RSV1 on a continuation',
    ...fails(
      1002,
      atOnce(text(packed(HELLO).subarray(0, 3), { ...OPEN, ...RSV1 }), more(packed(HELLO).subarray(3), RSV1)),
    ),
  },
  { id: '12+.9', what: 'a compressed ping', ...fails(1002, atOnce(frame(OPCODE.ping, packed('x'), RSV1))) },
  { id: '12+.10', what: 'a compressed Close', ...fails(1002, atOnce(frame(OPCODE.close, packed('\x03\xe8'), RSV1))) },
  { id: '12+.11', what: 'RSV1 and RSV2', ...fails(1002, atOnce(text(packed(HELLO), { rsv: 6 }))) },
  { id: '12+.12', what: 'what is no deflate', ...fails(1007, atOnce(text(Buffer.from('ffffffffffff', 'hex'), RSV1))) },
  { id: '12+.13', what: 'a block of a type there is none of', ...fails(1007, atOnce(text(Buffer.from([0x06]), RSV1))) },
  {
    id: '12+.14',
    what: 'no text, compressed',
    ...fails(1007, atOnce(text(packed(Buffer.from('eda080', 'hex')), RSV1))),
  },
  {
    id: '12+.15',
    what: 'a distance that reaches behind the message',
    ...fails(
      1007,
      atOnce(
        text(
          deflateRawSync(HELLO.repeat(9), {
            dictionary: Buffer.from(HELLO),
            finishFlush: constants.Z_SYNC_FLUSH,
          }).subarray(0, -4),
          RSV1,
        ),
      ),
    ),
  },
];

export const deflateRuns: readonly Offered[] = [
  ...DATA.map((data, i): Offered => ({ offer: P, cases: sized(`12.${i + 1}`, data) })),
  ...OFFERS.map(([offer, declined], i): Offered => ({ offer, ...declined, cases: sized(`13.${i + 1}`, JSON_DATA) })),
  // One size that is larger than the smallest window, and one that is smaller.
  ...BEYOND.map(
    (offer, i): Offered => ({
      offer,
      declined: true,
      cases: sized(`13+.${i + 1}`, JSON_DATA).filter((_, n) => [2, 7, 11].includes(n)),
    }),
  ),
  { offer: P, cases: RULES },
];
