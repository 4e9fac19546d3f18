// 1 Framing, 2 pings and pongs, 3 reserved bits, 4 opcodes (RFC 6455 §5.2, §5.5).
import { OPCODE } from '../../support/frames.ts';
import {
  atOnce,
  binary,
  byFrame,
  byOctet,
  type Case,
  close,
  fails,
  frame,
  heardOf,
  legal,
  ping,
  pong,
  type Step,
  text,
} from './case.ts';

const SIZES = [0, 125, 126, 127, 128, 65_535, 65_536] as const;

const sized = ([group, type, fill]: readonly ['1.1' | '1.2', 'text' | 'binary', number]): Case[] => {
  const of = (id: number, size: number, chop?: number): Case => {
    const payload = Buffer.alloc(size, fill);
    const send = type === 'text' ? text(payload) : binary(payload);
    const step: Step = chop === undefined ? { send } : { send, chop };
    const what = `${type} of ${size} bytes${chop === undefined ? '' : ` in pieces of ${chop}`}`;
    return { id: `${group}.${id}`, what, ...legal([step], heardOf(type, payload)) };
  };
  return [...SIZES.map((size, i) => of(i + 1, size)), of(8, 65_536, 997)];
};

const framing = [...sized(['1.1', 'text', 0x2a]), ...sized(['1.2', 'binary', 0xfe])];

const TEN = Array.from({ length: 10 }, (_, i) => `payload-${i}`);
const LONGEST = Buffer.alloc(125, 0xfe);
const BINARY = Buffer.from([0x00, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0x00, 0xff]);

const pings: Case[] = [
  { id: '2.1', what: 'a ping without payload', ...legal(atOnce(ping()), heardOf('pong', '')) },
  { id: '2.2', what: 'a ping with text', ...legal(atOnce(ping('Hello, world!')), heardOf('pong', 'Hello, world!')) },
  { id: '2.3', what: 'a ping with octets', ...legal(atOnce(ping(BINARY)), heardOf('pong', BINARY)) },
  { id: '2.4', what: 'a ping of 125 bytes', ...legal(atOnce(ping(LONGEST)), heardOf('pong', LONGEST)) },
  { id: '2.5', what: 'a ping of 126 bytes', ...fails(1002, atOnce(ping(Buffer.alloc(126, 0xfe)))) },
  {
    id: '2.6',
    what: 'a ping of 125 bytes, octet by octet',
    ...legal(byOctet(ping(LONGEST)), heardOf('pong', LONGEST)),
  },
  { id: '2.7', what: 'a pong nobody asked for', ...legal(atOnce(pong())) },
  { id: '2.8', what: 'such a pong with payload', ...legal(atOnce(pong('unsolicited'))) },
  {
    id: '2.9',
    what: 'such a pong, then a ping',
    ...legal(atOnce(pong('unsolicited'), ping('ping')), heardOf('pong', 'ping')),
  },
  {
    id: '2.10',
    what: 'ten pings',
    // §5.5.3: answering only the newest would do.
    ...legal(byFrame(...TEN.map(ping)), ...TEN.map((payload) => heardOf('pong', payload))),
  },
  {
    id: '2.11',
    what: 'ten pings, octet by octet',
    ...legal(byOctet(...TEN.map(ping)), ...TEN.map((payload) => heardOf('pong', payload))),
  },
];

const HELLO = 'Hello, world!';
const HEARD = heardOf('text', HELLO);

const reserved: Case[] = [
  { id: '3.1', what: 'text with RSV3', ...fails(1002, atOnce(text(HELLO, { rsv: 1 }))) },
  {
    id: '3.2',
    what: 'text, text with RSV2, a ping',
    ...fails(1002, atOnce(text(HELLO), text(HELLO, { rsv: 2 }), ping()), HEARD),
  },
  {
    id: '3.3',
    what: 'the same with RSV2 and RSV3, frame by frame',
    ...fails(1002, byFrame(text(HELLO), text(HELLO, { rsv: 3 }), ping()), HEARD),
  },
  {
    id: '3.4',
    what: 'the same with RSV1, octet by octet',
    ...fails(1002, byOctet(text(HELLO), text(HELLO, { rsv: 4 }), ping()), HEARD),
  },
  { id: '3.5', what: 'binary with RSV1 and RSV3', ...fails(1002, atOnce(frame(OPCODE.binary, BINARY, { rsv: 5 }))) },
  { id: '3.6', what: 'a ping with RSV1 and RSV2', ...fails(1002, atOnce(frame(OPCODE.ping, HELLO, { rsv: 6 }))) },
  { id: '3.7', what: 'a Close with all of them', ...fails(1002, atOnce(frame(OPCODE.close, '\x03\xe8', { rsv: 7 }))) },
];

/** Five reserved opcodes: without payload, with payload, and three times behind a text that is right. */
const opcodes = ([group, first]: readonly ['4.1' | '4.2', number]): Case[] => [
  { id: `${group}.1`, what: `opcode ${first}`, ...fails(1002, atOnce(frame(first))) },
  { id: `${group}.2`, what: `opcode ${first + 1} with payload`, ...fails(1002, atOnce(frame(first + 1, 'reserved'))) },
  {
    id: `${group}.3`,
    what: `text, opcode ${first + 2}, a ping`,
    ...fails(1002, atOnce(text(HELLO), frame(first + 2), ping()), HEARD),
  },
  {
    id: `${group}.4`,
    what: `text, opcode ${first + 3} with payload, a ping`,
    ...fails(1002, byFrame(text(HELLO), frame(first + 3, HELLO), ping()), HEARD),
  },
  {
    id: `${group}.5`,
    what: `the same with opcode ${first + 4}, octet by octet`,
    ...fails(1002, byOctet(text(HELLO), frame(first + 4, HELLO), ping()), HEARD),
  },
];

/** Not in the original: what a client must do to every frame, and a length that no frame has. */
const beyond: Case[] = [
  { id: '1+.1', what: 'a frame without a mask', ...fails(1002, [{ send: Buffer.from('\x81\x05Hello', 'latin1') }]) },
  {
    id: '1+.2',
    what: 'a length of 64 bits with its first bit set',
    ...fails(1002, [{ send: Buffer.from([0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4]) }]),
    end: { by: 'server', codes: [1002, 1009], clean: false },
  },
  {
    id: '1+.3',
    what: 'text and its Close in one write',
    ...legal([]),
    steps: atOnce(text(HELLO), close(1000)),
    ok: [[HEARD]],
    end: { by: 'steps', codes: [1000], clean: true },
  },
];

export const framingCases: readonly Case[] = [
  ...framing,
  ...pings,
  ...reserved,
  ...opcodes(['4.1', 3]),
  ...opcodes(['4.2', 11]),
  ...beyond,
];
