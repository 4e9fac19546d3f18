// What an address of the config may look like: a host to bind or to reach, and a range of trusted clients. Facts of text
// only; nothing is resolved.
import { isIP, isIPv4, isIPv6, SocketAddress } from 'node:net';

/** Letters, digits, `-` and `_`: RFC 952 and 1123, and the underscore that container networks give to services. */
const LABEL = /^[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/;

/** A DNS name; a trailing dot is allowed. Not an address: `300.1.1.1` is neither. */
export function isHostName(text: string): boolean {
  const name = text.endsWith('.') ? text.slice(0, -1) : text;
  if (name.length > 253) return false;
  const labels = name.split('.');
  // A name whose last label is a number would be read as an address (WHATWG URL, "ends in a number").
  return labels.every((label) => LABEL.test(label)) && !/^(?:\d+|0x[0-9a-f]*)$/i.test(labels.at(-1) ?? '');
}

/** An IP address without brackets, or a DNS name. */
export function isHost(text: string): boolean {
  return isIP(text) !== 0 || isHostName(text);
}

/** A name that a certificate may carry: a host, or `*.` before a DNS name. */
export function isCertificateName(text: string): boolean {
  return isHost(text) || (text.startsWith('*.') && isHostName(text.slice(2)));
}

/** Addresses that begin with the same bits. */
export interface AddressRange {
  readonly address: string;
  readonly family: 'ipv4' | 'ipv6';
  readonly bits: number;
}

/** How a list of addresses names the peers on a unix socket, which have none. */
export const UNIX_PEERS = 'unix';

const MAPPED = /^::ffff:([\d.]+)$/;
/** What stands before the IPv4 address in a mapped one (RFC 4291 §2.5.5.2). */
const MAPPED_BITS = 96;

/**
 * An IP address, or a range of them in CIDR form (`10.0.0.0/8`, `fd00::/8`); null where it is neither. IPv4 in the form of
 * IPv6 (`::ffff:10.0.0.0/104`) is IPv4.
 */
export function parseRange(text: string): AddressRange | null {
  const [written = '', length, ...rest] = text.split('/');
  // A zone (`fe80::1%eth0`) is a fact of this machine and never part of a peer's range.
  const version = written.includes('%') ? 0 : isIP(written);
  if (version === 0 || rest.length > 0) return null;
  if (length !== undefined && !/^(?:0|[1-9]\d{0,2})$/.test(length)) return null;
  const most = version === 4 ? 32 : 128;
  const bits = length === undefined ? most : Number(length);
  if (bits > most) return null;
  const address = normaliseHost(written);
  const mapped = MAPPED.exec(address)?.[1];
  if (mapped !== undefined && bits >= MAPPED_BITS) return { address: mapped, family: 'ipv4', bits: bits - MAPPED_BITS };
  return { address, family: version === 4 ? 'ipv4' : 'ipv6', bits };
}

/** What may stand in a list of addresses: an address, a range, or `unix`. */
export function isAddressEntry(text: string): boolean {
  return text === UNIX_PEERS || parseRange(text) !== null;
}

/** An IP address, or one with a port (IPv6 in brackets then), as node's resolvers take it. */
export function isResolver(text: string): boolean {
  const [, bracketed, plain, port] = /^(?:\[([^\]]*)\]|([\d.]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  if (bracketed === undefined && plain === undefined) return isIPv6(text);
  const valid = bracketed === undefined ? isIPv4(plain ?? '') : isIPv6(bracketed);
  return valid && (port === undefined || (Number(port) >= 1 && Number(port) <= 65535));
}

/** One spelling for equal hosts: lower case, and the short form of an IPv6 address (RFC 5952). */
export function normaliseHost(host: string): string {
  if (!isIPv6(host) || host.includes('%')) return host.toLowerCase();
  return new SocketAddress({ address: host, family: 'ipv6' }).address;
}

/** The 4 or 16 bytes of an address, in any of its spellings, without a zone. */
export function addressBytes(address: string): number[] {
  if (isIPv4(address)) return address.split('.').map(Number);
  const [left = [], right] = address.split('::').map((half) => half.split(':').flatMap(groupBytes));
  return right === undefined ? left : [...left, ...Array<number>(16 - left.length - right.length).fill(0), ...right];
}

/** The two bytes of a group, or the four of IPv4 at the end of IPv6. */
function groupBytes(group: string): number[] {
  if (group === '') return [];
  if (group.includes('.')) return group.split('.').map(Number);
  const value = Number.parseInt(group, 16);
  return [value >> 8, value & 0xff];
}

/** Whether two hosts that listeners bind would meet on the same port; an unset host is `::`, which takes both families. */
export function hostsMeet(one: string, other: string): boolean {
  if (one === other || one === '::' || other === '::') return true;
  if (one === '0.0.0.0') return isIPv4(other);
  return other === '0.0.0.0' && isIPv4(one);
}
