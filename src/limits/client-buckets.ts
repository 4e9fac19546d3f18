// When the bucket of each client will be full, in memory that is the same however many clients come: a table of fixed
// size, in which a client has its slot by a hash with a secret seed. A bucket that is full needs no slot. This is the
// table alone: the arithmetic is that of base/token-bucket.ts, whose Bucket would be an object for each client, in a
// Map that a flood of clients makes as large as it likes.
import { randomInt } from 'node:crypto';

/** Slots that one client may use. */
const WAYS = 8;
/** With 8 slots each and two numbers a slot: 2 MiB, of which the system commits what is written to. */
const SETS = 2 ** 14;

/** The most clients that are tracked at a time. */
export const MAX_CLIENTS = SETS * WAYS;

/**
 * Where no slot is left for a client, the bucket that is nearest to full is evicted: first those that are full, which
 * changes nothing, then those that miss least. So a flood of fresh clients, each of which has taken one token, evicts
 * itself, and not the client that has used up its burst.
 */
export class ClientBuckets {
  readonly #seed = randomInt(2 ** 32);
  readonly #clients = new Float64Array(MAX_CLIENTS);
  readonly #fullAt = new Float64Array(MAX_CLIENTS);

  /** When its bucket will be full; 0 where it has no slot. */
  get(client: string): number {
    const tag = tagOf(client, this.#seed);
    const slot = this.#find(tag);
    return slot === -1 ? 0 : (this.#fullAt[slot] as number);
  }

  set(client: string, fullAt: number): void {
    const tag = tagOf(client, this.#seed);
    const known = this.#find(tag);
    const slot = known === -1 ? this.#nearestToFull(tag) : known;
    this.#clients[slot] = tag;
    this.#fullAt[slot] = fullAt;
  }

  /** Clients whose bucket is not full. */
  count(now: number): number {
    let known = 0;
    for (const fullAt of this.#fullAt) if (fullAt > now) known++;
    return known;
  }

  #find(tag: number): number {
    const first = firstOf(tag);
    for (let slot = first; slot < first + WAYS; slot++) if (this.#clients[slot] === tag) return slot;
    return -1;
  }

  #nearestToFull(tag: number): number {
    const first = firstOf(tag);
    let least = first;
    for (let slot = first + 1; slot < first + WAYS; slot++) {
      if ((this.#fullAt[slot] as number) < (this.#fullAt[least] as number)) least = slot;
    }
    return least;
  }
}

function firstOf(tag: number): number {
  return (tag & (SETS - 1)) * WAYS;
}

/** 53 bits of a client's name that depend on the seed, never 0: two 32-bit hashes in the manner of MurmurHash, mixed. */
function tagOf(client: string, seed: number): number {
  let one = 0xdeadbeef ^ seed;
  let other = 0x41c6ce57 ^ seed;
  for (let i = 0; i < client.length; i++) {
    const unit = client.charCodeAt(i);
    one = Math.imul(one ^ unit, 2654435761);
    other = Math.imul(other ^ unit, 1597334677);
    other = (other << 13) | (other >>> 19);
  }
  one = Math.imul(one ^ (one >>> 16), 2246822507) ^ Math.imul(other ^ (other >>> 13), 3266489909);
  other = Math.imul(other ^ (other >>> 16), 2246822507) ^ Math.imul(one ^ (one >>> 13), 3266489909);
  return (other & 0x1fffff) * 2 ** 32 + (one >>> 0) || 1;
}
