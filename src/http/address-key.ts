// One name for the client behind an address, for whatever is counted by client. Pure.
import { isIPv6, SocketAddress } from 'node:net';

/**
 * An IPv4 address as it is. Of IPv6 the first 64 bits: whoever has one address there has all of them (RFC 6177), and could
 * be as many clients as it likes. An IPv4 address written in IPv6 is that address, mapped (RFC 4291 §2.5.5.2) or
 * translated by NAT64 (RFC 6052 §2.1, where else the whole of IPv4 would be one client). Without an address, as on a unix
 * socket, all are one client.
 */
export function addressKey(address: string): string {
  // The colon spares nearly every handshake an expression that takes a microsecond.
  if (!address.includes(':') || !isIPv6(address)) return address;
  const groups = groupsOf(address);
  const embedded = embeddedIPv4(groups);
  if (embedded !== null) return embedded;
  return `${groups
    .slice(0, 4)
    .map((group) => group.toString(16))
    .join(':')}::/64`;
}

/** The eight groups of an IPv6 address, without its zone. */
function groupsOf(address: string): number[] {
  const [plain = ''] = address.split('%');
  const { address: short } = new SocketAddress({ address: plain, family: 'ipv6' });
  // Some have their last 32 bits written as IPv4.
  const text = short.replace(/[\d.]+\.[\d.]+$/, inGroups);
  const [head = '', tail] = text.split('::').map((half) => half.split(':').filter((group) => group !== ''));
  const left = [...head].map((group) => Number.parseInt(group, 16));
  const right = [...(tail ?? [])].map((group) => Number.parseInt(group, 16));
  return [...left, ...Array<number>(8 - left.length - right.length).fill(0), ...right];
}

function inGroups(ipv4: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = ipv4.split('.').map(Number);
  return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
}

const MAPPED = [0, 0, 0, 0, 0, 0xffff];
const NAT64 = [0x64, 0xff9b, 0, 0, 0, 0];

function embeddedIPv4(groups: readonly number[]): string | null {
  const within = (prefix: readonly number[]): boolean => prefix.every((group, i) => groups[i] === group);
  if (!within(MAPPED) && !within(NAT64)) return null;
  return groups
    .slice(6)
    .flatMap((group) => [group >> 8, group & 255])
    .join('.');
}
