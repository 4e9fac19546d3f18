// One name for the client behind an address, for whatever is counted by client. Pure.
import { isIPv6 } from 'node:net';
import { addressBytes } from '../config/address.ts';
import { canonicalAddress, translatedIPv4 } from './forwarding/addresses.ts';

/**
 * An IPv4 address as it is. Of IPv6 the first 64 bits: a client with one address there has all of them (RFC 6177), and could
 * be as many clients as it likes. An IPv4 address written in IPv6 is that address, mapped (RFC 4291 §2.5.5.2) or
 * translated by NAT64 (RFC 6052 §2.1, where else the whole of IPv4 would be one client), as it is in `allow` and `deny`.
 * Without an address, as on a unix socket, all are one client.
 */
export function addressKey(address: string): string {
  // The colon spares nearly every handshake an expression that takes a microsecond.
  if (!address.includes(':') || !isIPv6(address)) return address;
  const canonical = canonicalAddress(address);
  const ipv4 = isIPv6(canonical) ? translatedIPv4(canonical) : canonical;
  return ipv4 ?? `${firstGroups(canonical).join(':')}::/64`;
}

function firstGroups(address: string): string[] {
  const bytes = addressBytes(address);
  return [0, 2, 4, 6].map((at) => (((bytes[at] as number) << 8) | (bytes[at + 1] as number)).toString(16));
}
