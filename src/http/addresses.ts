// Sets of addresses: which proxies are believed, who may connect, who speaks the PROXY protocol. One address has many
// spellings, and all of them are in the same sets. Pure.
import { BlockList, isIP, SocketAddress } from 'node:net';
import { parseRange, UNIX_PEERS } from '../config/address.ts';

/** Addresses that the config lists. */
export interface AddressSet {
  /** Whether an address is one of them; the empty one is that of a peer on a unix socket. */
  has(address: string): boolean;
}

const NONE: AddressSet = { has: () => false };

/**
 * Compiles addresses, CIDR ranges and `unix`, already checked by the config. IPv4 in the form of IPv6 is IPv4, and no
 * range of IPv6 has it: `::/0` is all of IPv6, and nothing else. A zone counts for nothing.
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
      return family === 4 ? lists.ipv4.check(canonical, 'ipv4') : lists.ipv6.check(canonical, 'ipv6');
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
  if (isIP(address) !== 6) return address;
  return plainAddress(new SocketAddress({ address, family: 'ipv6' }).address);
}
