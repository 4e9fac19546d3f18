// A list of addresses and ranges in which the range that covers another is looked up, and not searched for: an access list
// may have tens of thousands of entries. Pure.
import { type AddressRange, addressBytes, parseRange, UNIX_PEERS } from './address.ts';

const BITS = { ipv4: 32, ipv6: 128 } as const;

export class RangeList {
  /** The first entry of each range, by its first bits; of each family the lengths that there are. */
  readonly #first = new Map<string, number>();
  readonly #lengths = { ipv4: new Set<number>(), ipv6: new Set<number>() };

  constructor(entries: readonly string[]) {
    for (const [index, entry] of entries.entries()) {
      const range = parseRange(entry);
      if (range !== null) this.#lengths[range.family].add(range.bits);
      const key = range === null ? entry : keyOf(range, range.bits);
      if (!this.#first.has(key)) this.#first.set(key, index);
    }
  }

  /** The index of the first entry, other than that at `except`, that has every address of this one. */
  covering(entry: string, except = -1): number | undefined {
    const range = parseRange(entry);
    const keys = range === null ? unixKey(entry) : this.#wider(range);
    const found = keys.map((key) => this.#first.get(key)).filter((index) => index !== undefined && index !== except);
    return found.length === 0 ? undefined : Math.min(...(found as number[]));
  }

  #wider(range: AddressRange): string[] {
    return [...this.#lengths[range.family]].filter((bits) => bits <= range.bits).map((bits) => keyOf(range, bits));
  }
}

/** What is neither address nor range was refused by the schema, but for the word for peers on unix sockets. */
function unixKey(entry: string): string[] {
  return entry === UNIX_PEERS ? [entry] : [];
}

function keyOf({ address, family }: AddressRange, bits: number): string {
  const prefix = numberOf(address) >> BigInt(BITS[family] - bits);
  return `${family}/${bits}/${prefix}`;
}

/** An address as a number. */
function numberOf(address: string): bigint {
  return addressBytes(address).reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
}
