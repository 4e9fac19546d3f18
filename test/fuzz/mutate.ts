// Changes to an input, from a seeded source of chance: the same seed gives the same run.

/** A number from 0 to `below` - 1. */
export type Chance = (below: number) => number;

/** mulberry32. */
export function chanceOf(seed: number): Chance {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

/** What a change may draw from. */
export interface Source {
  readonly chance: Chance;
  readonly words: readonly Buffer[];
  readonly corpus: readonly Buffer[];
}

type Change = (input: Buffer, source: Source) => Buffer;

const put = (input: Buffer, at: number, cut: number, piece: Uint8Array): Buffer =>
  Buffer.concat([input.subarray(0, at), piece, input.subarray(at + cut)]);
const pick = <T>(chance: Chance, of: readonly T[]): T => of[chance(of.length)] as T;
const within = (input: Buffer, { chance }: Source): [from: number, to: number] => {
  const from = chance(input.length + 1);
  return [from, Math.min(input.length, from + 1 + chance(chance(4) === 0 ? 64 : 8))];
};
const word: Change = (input, source) =>
  put(input, source.chance(input.length + 1), 0, pick(source.chance, source.words));

const CHANGES: readonly Change[] = [
  word,
  word,
  (input, source) => {
    const [from, to] = within(input, source);
    return put(input, from, to - from, pick(source.chance, source.words));
  },
  (input, { chance }) => put(input, chance(input.length + 1), 1, Buffer.from([chance(256)])),
  (input, { chance }) => put(input, chance(input.length + 1), 0, Buffer.from([chance(256)])),
  (input, { chance }) => {
    const at = chance(input.length + 1);
    return put(input, at, 1, Buffer.from([(input[at] ?? 0) ^ (1 << chance(8))]));
  },
  // Cut out, double, move.
  (input, source) => {
    const [from, to] = within(input, source);
    return put(input, from, to - from, Buffer.alloc(0));
  },
  (input, source) => {
    const [from, to] = within(input, source);
    return put(input, to, 0, input.subarray(from, to));
  },
  (input, source) => {
    const [from, to] = within(input, source);
    return put(
      put(input, from, to - from, Buffer.alloc(0)),
      source.chance(input.length - (to - from) + 1),
      0,
      input.subarray(from, to),
    );
  },
  // A part of another input, here or from here on.
  (input, source) => {
    const other = pick(source.chance, source.corpus);
    const [from, to] = within(other, source);
    return put(input, source.chance(input.length + 1), 0, other.subarray(from, to));
  },
  (input, { chance, corpus }) => {
    const other = pick(chance, corpus);
    return Buffer.concat([input.subarray(0, chance(input.length + 1)), other.subarray(chance(other.length + 1))]);
  },
  // Many times over: what is counted or bounded.
  (input, source) => {
    const [from, to] = within(input, source);
    return put(
      input,
      to,
      0,
      Buffer.concat(Array.from({ length: 1 << source.chance(9) }, () => input.subarray(from, to))),
    );
  },
];

/** Another input, from one of the corpus. */
export function mutate(source: Source, longest: number): Buffer {
  let input = pick(source.chance, source.corpus);
  for (let left = 1 + source.chance(5); left > 0; left--) input = pick(source.chance, CHANGES)(input, source);
  return input.subarray(0, longest);
}

/** A smaller input that still `breaks`. */
export async function shrink(input: Buffer, breaks: (input: Buffer) => Promise<boolean>): Promise<Buffer> {
  let least = input;
  for (let size = Math.ceil(input.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < least.length; ) {
      const less = put(least, at, size, Buffer.alloc(0));
      if (await breaks(less)) least = less;
      else at += size;
    }
  }
  return least;
}
