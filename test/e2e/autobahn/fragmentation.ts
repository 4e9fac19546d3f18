// 5 Fragmentation (RFC 6455 §5.4), and 10 a message in fragments of one size.
import { OPCODE } from '../../support/frames.ts';
import {
  atOnce,
  byFrame,
  byOctet,
  type Case,
  fails,
  fragments,
  frame,
  heardOf,
  legal,
  more,
  OPEN,
  ping,
  type Step,
  text,
} from './case.ts';

const [ONE, TWO, THREE, FOUR, FIVE] = ['fragment1', 'fragment2', 'fragment3', 'fragment4', 'fragment5'] as const;
const BOTH = heardOf('text', ONE + TWO);
const PONG = heardOf('pong', 'ping payload');

const WAYS: readonly (readonly [how: string, (...frames: Buffer[]) => Step[]])[] = [
  ['in one write', atOnce],
  ['frame by frame', byFrame],
  ['octet by octet', byOctet],
];

/** The same frames sent in three ways, numbered from `first`. */
const threeWays = (
  first: number,
  what: string,
  of: (by: (...frames: Buffer[]) => Step[]) => Omit<Case, 'id' | 'what'>,
) => WAYS.map(([how, by], i): Case => ({ id: `5.${first + i}`, what: `${what}, ${how}`, ...of(by) }));

const twoFragments = [text(ONE, OPEN), more(TWO)] as const;
/** Twice: a continuation of nothing, then a whole message. */
const orphans = (fin: boolean) => [1, 2].flatMap(() => [more(ONE, { fin }), text(ONE, OPEN), more(TWO)]);

const PINGS = ['pongme 1!', 'pongme 2!'] as const;
const interleaved = [
  [text(ONE, OPEN), more(TWO, OPEN), ping(PINGS[0])],
  [more(THREE, OPEN), more(FOUR, OPEN), ping(PINGS[1]), more(FIVE)],
] as const;
const ALL = [heardOf('pong', PINGS[0]), heardOf('pong', PINGS[1]), heardOf('text', ONE + TWO + THREE + FOUR + FIVE)];

const AUTO = Buffer.alloc(65_536, 0x2a);

export const fragmentationCases: readonly Case[] = [
  {
    id: '5.1',
    what: 'a ping in two fragments',
    ...fails(1002, atOnce(frame(OPCODE.ping, ONE, OPEN), more(TWO))),
  },
  {
    id: '5.2',
    what: 'a pong in two fragments',
    ...fails(1002, atOnce(frame(OPCODE.pong, ONE, OPEN), more(TWO))),
  },
  ...threeWays(3, 'text in two fragments', (by) => legal(by(...twoFragments), BOTH)),
  ...threeWays(6, 'text in two fragments with a ping between', (by) =>
    legal(by(text(ONE, OPEN), ping('ping payload'), more(TWO)), PONG, BOTH),
  ),
  ...threeWays(9, 'a last fragment of nothing, then text', (by) =>
    fails(1002, by(more('non-continuation payload'), text('Hello, world!'))),
  ),
  ...threeWays(12, 'a fragment of nothing, then text', (by) =>
    fails(1002, by(more('non-continuation payload', OPEN), text('Hello, world!'))),
  ),
  {
    id: '5.15',
    what: 'text in two fragments, then a fragment of nothing, then text',
    ...fails(1002, atOnce(...twoFragments, more(THREE, OPEN), text(FOUR)), BOTH),
  },
  { id: '5.16', what: 'twice a fragment of nothing before a text', ...fails(1002, atOnce(...orphans(false))) },
  { id: '5.17', what: 'twice a last fragment of nothing before a text', ...fails(1002, atOnce(...orphans(true))) },
  {
    id: '5.18',
    what: 'two fragments that both say text',
    ...fails(1002, atOnce(text(ONE, OPEN), text(TWO))),
  },
  {
    id: '5.19',
    what: 'five fragments and two pings: the first is answered while the message is open',
    ...legal([...byFrame(...interleaved[0]), { heard: 1 }, ...byFrame(...interleaved[1])], ...ALL),
  },
  { id: '5.20', what: 'the same in one write', ...legal(atOnce(...interleaved.flat()), ...ALL) },
  {
    id: '10.1.1',
    what: 'text of 64 KiB in fragments of 1300 bytes',
    ...legal([{ send: fragments(OPCODE.text, AUTO, 1300) }], heardOf('text', AUTO)),
  },
];
