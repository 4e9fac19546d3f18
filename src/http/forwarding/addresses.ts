// Sets of addresses: which proxies are believed, who may connect, who speaks the PROXY protocol. One address has many
// spellings, and all of them are in the same sets. Pure.
import { BlockList, isIP, SocketAddress } from 'node:net';
import { parseRange, UNIX_PEERS } from '../../config/address.ts';

/** Addresses that the config lists. */
export interface AddressSet {
  /** Whether an address is one of them; the empty one is that of a peer on a unix socket. */
  has(address: string): boolean;
}

const NONE: AddressSet = { has: () => false };

/**
 * Compiles addresses, CIDR ranges and `unix`, already checked by the config. IPv4 in the form of IPv6 is IPv4, and no
 * range of IPv6 has it: `::/0` is all of IPv6, and nothing else. A client behind a NAT64 is in the ranges of both its
 * addresses, else a client that is denied by the one would be admitted by the other. A zone counts for nothing.
 */
export function compileAddresses(entries: readonly string[]): AddressSet {
  // Most gateways list nobody, and asking a list costs every request an address object.
  if (entries.length === 0) return NONE;
  const lists = { ipv4: new BlockList(), ipv6: new BlockList() };
  for (const entry of entries) {
    const range = parseRange(entry);
    if (range !== null) lists[range.family].addSubnet(range.address, range.bits, range.family);
  }
  const unix = entries.includes(UNIX_PEERS);
  return {
    has(address) {
      if (address === '') return unix;
      const canonical = canonicalAddress(address);
      const family = isIP(canonical);
      if (family === 0) return false;
      if (family === 4) return lists.ipv4.check(canonical, 'ipv4');
      const translated = translatedIPv4(canonical);
      return lists.ipv6.check(canonical, 'ipv6') || (translated !== null && lists.ipv4.check(translated, 'ipv4'));
    },
  };
}

const MAPPED = /^::ffff:([\d.]+)$/i;

/** `::ffff:192.0.2.1` is written `192.0.2.1` everywhere. */
export function plainAddress(address: string): string {
  if (!address.startsWith('::')) return address;
  return MAPPED.exec(address)?.[1] ?? address;
}

/** The one spelling of an address (RFC 5952), mapped IPv4 as IPv4, without a zone; what is no IPv6 address stays. */
export function canonicalAddress(address: string): string {
  return isIP(address) === 6 ? plainAddress(shortAddress(address)) : address;
}

/** An IPv6 address as RFC 5952 writes it, without a zone. */
export function shortAddress(address: string): string {
  return new SocketAddress({ address, family: 'ipv6' }).address;
}

/** IPv4 behind the prefix that NAT64 translates with, its 32 bits in two groups, or in one where the first is 0 (RFC 6052). */
const NAT64 = /^64:ff9b::(?:([0-9a-f]{1,4}):)?([0-9a-f]{1,4})?$/;

/** The IPv4 address of a client that comes through a NAT64, by its canonical address; null for any other. */
export function translatedIPv4(canonical: string): string | null {
  // Nearly nobody does, and this is asked for every request of a route with lists or limits.
  const found = canonical.startsWith('64:ff9b::') ? NAT64.exec(canonical) : null;
  if (found === null) return null;
  const [high, low] = [found[1], found[2]].map((group = '0') => Number.parseInt(group, 16)) as [number, number];
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}
