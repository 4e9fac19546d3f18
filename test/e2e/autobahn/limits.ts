// 9 Limits: large messages, whole, in fragments and in pieces, and many small ones. The original's sizes (4 MiB in
// fragments, 1 MiB in pieces, up to 16 MiB whole, 1000 messages one after the other) with AUTOBAHN=full; else what shows
// the same paths within seconds.
import { createHash } from 'node:crypto';
import { OPCODE } from '../../support/frames.ts';
import { binary, type Case, echoes, FULL, fragments, heardOf, legal, type Message, text } from './case.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Bytes that no part of repeats, from a fixed seed; as text, hexadecimal digits. */
export function noise(type: Message['type'], size: number): Buffer {
  const blocks: Buffer[] = [];
  for (let i = 0, left = size; left > 0; i++, left -= 64) blocks.push(createHash('sha512').update(String(i)).digest());
  const bytes = Buffer.concat(blocks);
  return type === 'binary' ? bytes.subarray(0, size) : Buffer.from(bytes.toString('hex').slice(0, size));
}

const size = (bytes: number) =>
  bytes % MIB === 0 ? `${bytes / MIB} MiB` : bytes % KIB === 0 ? `${bytes / KIB} KiB` : `${bytes} bytes`;

function casesOf(type: Message['type']): Case[] {
  const build = type === 'text' ? text : binary;
  const group = (odd: number) => `9.${type === 'text' ? odd : odd + 1}`;
  const whole = [64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB].map((of, i) => ({
    of,
    id: `${group(1)}.${i + 1}`,
  }));
  const inFragments = [64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB];
  const total = FULL ? 4 * MIB : 256 * KIB;
  const chopped = FULL ? MIB : 64 * KIB;
  const large = noise(type, total);
  const middle = noise(type, chopped);
  const rounds = FULL ? 1000 : 50;
  return [
    ...whole
      .filter(({ of }) => FULL || of <= MIB)
      .map(({ of, id }): Case => {
        const payload = noise(type, of);
        return { id, what: `${type} of ${size(of)}`, ...legal([{ send: build(payload) }], heardOf(type, payload)) };
      }),
    ...inFragments.map(
      (of, i): Case => ({
        id: `${group(3)}.${i + 1}`,
        what: `${type} of ${size(total)} in fragments of ${size(of)}`,
        ...legal([{ send: fragments(OPCODE[type], large, of) }], heardOf(type, large)),
      }),
    ),
    ...[64, 128, 256, 512, 1024, 2048].map(
      (chop, i): Case => ({
        id: `${group(5)}.${i + 1}`,
        what: `${type} of ${size(chopped)} in pieces of ${chop} bytes`,
        ...legal([{ send: build(middle), chop }], heardOf(type, middle)),
      }),
    ),
    ...[0, 16, 64, 256, 1024, 4096].map((of, i): Case => {
      const payload = Buffer.alloc(of, type === 'text' ? '*' : 0xfe);
      return {
        id: `${group(7)}.${i + 1}`,
        what: `${rounds} times ${type} of ${of} bytes`,
        ...legal([{ rounds, message: () => ({ type, payload }) }], echoes(rounds)),
      };
    }),
  ];
}

export const limitCases: readonly Case[] = [...casesOf('text'), ...casesOf('binary')];
