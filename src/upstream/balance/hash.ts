// The same server for the same key, as long as it is there: every server draws a number from the key and its own address,
// and the highest wins (rendezvous hashing, weighted). A server that comes takes its part of every other's keys, 1/n in
// all; one that goes leaves its keys to the rest; no other key moves. A request without the key goes by turn.
import type { Balancer, Candidate, Key } from './balancer.ts';
import { roundRobin } from './round-robin.ts';

/** A balancer by the hash of a request's key. */
export function hashed(): Balancer {
  const keyless = roundRobin();
  const seeds = new WeakMap<object, number>();
  const seedOf = (candidate: Candidate): number => {
    const known = seeds.get(candidate);
    if (known !== undefined) return known;
    const seed = hashText(candidate.url);
    seeds.set(candidate, seed);
    return seed;
  };
  return {
    pick<T extends Candidate>(open: readonly T[], key: Key): T {
      const text = key();
      if (text === null) return keyless.pick(open, key);
      const hash = hashText(text);
      let best = open[0] as T;
      let highest = Number.NEGATIVE_INFINITY;
      for (const candidate of open) {
        // A slow start would move keys to a server and back: the weight counts whole from the beginning.
        const drawn = score(hash, seedOf(candidate), candidate.weight);
        if (drawn <= highest) continue;
        highest = drawn;
        best = candidate;
      }
      return best;
    },
  };
}

/** -weight / ln(u), u even in (0, 1): the highest of them is each server's with the likelihood of its weight. */
function score(key: number, seed: number, weight: number): number {
  const u = (mix(key ^ mix(seed)) + 0.5) / 2 ** 32;
  return -weight / Math.log(u);
}

/** FNV-1a over UTF-16 units; 32 bits. */
function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return mix(hash);
}

/** The finaliser of MurmurHash3: every bit of the input changes every bit of the output with likelihood 1/2. */
function mix(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
