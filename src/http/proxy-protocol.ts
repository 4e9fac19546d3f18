// The PROXY protocol, versions 1 and 2 (haproxy.org/download/3.0/doc/proxy-protocol.txt): what a proxy says of a connection
// before the connection's own first byte, read and written. Pure: who is believed, and for how long to wait, is
// listen/proxy-preamble.ts.
import { isIPv4, isIPv6 } from 'node:net';
import { addressBytes } from '../config/address.ts';
import { canonicalAddress } from './forwarding/addresses.ts';
import type { Fault } from './target.ts';

export type ProxyVersion = 'v1' | 'v2';

/** One end of a connection. */
export interface SocketEndpoint {
  readonly address: string;
  readonly port: number;
}

/** A connection as a proxy took it. */
export interface Proxied {
  readonly source: SocketEndpoint;
  readonly destination: SocketEndpoint;
}

export interface Preamble {
  /** How many bytes it has; the connection's own begin behind it. */
  readonly length: number;
  /** Null where the connection speaks for itself: LOCAL, UNKNOWN, and sources that have no IP address. */
  readonly proxied: Proxied | null;
}

/** The longest line of version 1, its end included (§2.1). */
const MAX_LINE = 107;
/** A block of version 2 may say 64 KiB; none needs more than this, with a client certificate's name and all. */
const LONGEST_BLOCK = 4096;

const LINE_START = Buffer.from('PROXY ', 'latin1');
const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
/** Signature, version and command, family and transport, length. */
const BLOCK_HEAD = 16;
const LOCAL = 0x20;
const PROXY = 0x21;

/** By family and transport: how many bytes the addresses have, and how many of them one address is; 0: no IP address. */
const FAMILIES: ReadonlyMap<number, { readonly length: number; readonly address: number }> = new Map([
  [0x00, { length: 0, address: 0 }],
  [0x11, { length: 12, address: 4 }],
  [0x12, { length: 12, address: 4 }],
  [0x21, { length: 36, address: 16 }],
  [0x22, { length: 36, address: 16 }],
  [0x31, { length: 216, address: 0 }],
  [0x32, { length: 216, address: 0 }],
]);

/** The TLV that holds a checksum of the whole block (§2.2.3), and how many bytes that has. */
const CHECKSUM = 0x03;
const CHECKSUM_BYTES = 4;
const TLV_HEAD = 3;

/** Reads the preamble from a connection's first bytes; null where more of them are needed. */
export function readPreamble(bytes: Buffer): Preamble | Fault | null {
  if (beginsAs(bytes, LINE_START)) return readLine(bytes);
  if (beginsAs(bytes, SIGNATURE)) return readBlock(bytes);
  return { fault: 'the connection does not begin with a PROXY preamble' };
}

/** Whether the bytes are the start of what begins so, as far as they go. */
function beginsAs(bytes: Buffer, start: Buffer): boolean {
  const length = Math.min(bytes.length, start.length);
  return bytes.subarray(0, length).equals(start.subarray(0, length));
}

function readLine(bytes: Buffer): Preamble | Fault | null {
  const end = bytes.subarray(0, MAX_LINE).indexOf('\r\n', 0, 'latin1');
  if (end === -1) return bytes.length < MAX_LINE ? null : { fault: 'the PROXY line does not end' };
  const [, protocol, ...rest] = bytes.toString('latin1', 0, end).split(' ');
  const length = end + 2;
  // Whatever follows is to be ignored (§2.1).
  if (protocol === 'UNKNOWN') return { length, proxied: null };
  const isAddress = protocol === 'TCP4' ? isIPv4 : protocol === 'TCP6' ? isPlainIPv6 : null;
  if (isAddress === null) return { fault: 'the PROXY line is of no known protocol' };
  const [source = '', destination = '', sourcePort = '', destinationPort = ''] = rest;
  const ports = [sourcePort, destinationPort];
  if (rest.length !== 4 || !isAddress(source) || !isAddress(destination) || !ports.every(isPort))
    return { fault: 'the PROXY line names no two addresses and ports' };
  return {
    length,
    proxied: { source: place(source, Number(sourcePort)), destination: place(destination, Number(destinationPort)) },
  };
}

function isPlainIPv6(text: string): boolean {
  return isIPv6(text) && !text.includes('%');
}

function isPort(text: string): boolean {
  return /^(?:0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 0xffff;
}

function place(address: string, port: number): SocketEndpoint {
  return { address: canonicalAddress(address), port };
}

function readBlock(bytes: Buffer): Preamble | Fault | null {
  if (bytes.length < BLOCK_HEAD) return null;
  const command = bytes.readUInt8(12);
  if (command !== LOCAL && command !== PROXY) return { fault: 'the PROXY block has an unknown version or command' };
  const length = BLOCK_HEAD + bytes.readUInt16BE(14);
  if (length > LONGEST_BLOCK) return { fault: 'the PROXY block is too large' };
  if (bytes.length < length) return null;
  // Of a proxy's own connection, such as a check, nothing else in it counts (§2.2).
  return command === LOCAL ? { length, proxied: null } : readProxied(bytes.subarray(0, length));
}

function readProxied(block: Buffer): Preamble | Fault {
  const family = FAMILIES.get(block.readUInt8(13));
  if (family === undefined) return { fault: 'the PROXY block is of an unknown family or transport' };
  const end = BLOCK_HEAD + family.length;
  if (block.length < end) return { fault: 'the PROXY block is too short for its addresses' };
  const { length } = block;
  // Without a family there is nothing that could be skipped to find the TLVs.
  const fault = family.length === 0 ? null : tlvFault(block, end);
  if (fault !== null) return { fault };
  const { address } = family;
  if (address === 0) return { length, proxied: null };
  const at = (index: 0 | 1): SocketEndpoint => {
    const from = BLOCK_HEAD + index * address;
    const port = block.readUInt16BE(BLOCK_HEAD + 2 * address + 2 * index);
    return place(addressText(block.subarray(from, from + address)), port);
  };
  return { length, proxied: { source: at(0), destination: at(1) } };
}

function addressText(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.');
  return (bytes.toString('hex').match(/.{4}/g) as string[]).join(':');
}

/** Walks over the TLVs; of what they say only a checksum matters here. */
function tlvFault(block: Buffer, start: number): string | null {
  let summed = false;
  for (let at = start; at < block.length; ) {
    const value = at + TLV_HEAD;
    const end = value > block.length ? value : value + block.readUInt16BE(at + 1);
    if (end > block.length) return 'the PROXY block ends within a TLV';
    if (block.readUInt8(at) === CHECKSUM) {
      // One at most, so that nobody can have it computed a hundred times.
      if (summed || end - value !== CHECKSUM_BYTES) return 'the PROXY block has no one checksum of four bytes';
      summed = true;
      if (block.readUInt32BE(value) !== checksumOf(block, value)) return 'the PROXY block does not fit its checksum';
    }
    at = end;
  }
  return null;
}

/** Computed with the checksum's own bytes as zeros. */
function checksumOf(block: Buffer, at: number): number {
  const zeroed = Buffer.from(block);
  zeroed.fill(0, at, at + CHECKSUM_BYTES);
  return crc32c(zeroed);
}

/** RFC 3720 appendix B.4: the reflected polynomial 0x1edc6f41. */
export function crc32c(bytes: Buffer): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (0x82f63b78 & -(crc & 1));
  }
  return (crc ^ 0xffffffff) >>> 0;
}

/** Writes a preamble; null is a connection of the sender's own, or one whose client is not known. */
export function formatPreamble(version: ProxyVersion, proxied: Proxied | null): Buffer {
  if (proxied === null)
    return version === 'v1' ? Buffer.from('PROXY UNKNOWN\r\n', 'latin1') : formatBlock(LOCAL, 0, []);
  const { source, destination } = proxied;
  const ends = [canonicalAddress(source.address), canonicalAddress(destination.address)];
  const allIPv4 = ends.every(isIPv4);
  // Both addresses are of one family; of two, both are written as IPv6.
  const [from, to] = allIPv4 ? ends : ends.map((address) => (isIPv4(address) ? `::ffff:${address}` : address));
  if (version === 'v1') {
    const protocol = allIPv4 ? 'TCP4' : 'TCP6';
    return Buffer.from(`PROXY ${protocol} ${from} ${to} ${source.port} ${destination.port}\r\n`, 'latin1');
  }
  const ports = [source.port, destination.port].flatMap((port) => [port >> 8, port & 0xff]);
  const addresses = [from, to].flatMap((address) => addressBytes(address as string));
  return formatBlock(PROXY, allIPv4 ? 0x11 : 0x21, [...addresses, ...ports]);
}

function formatBlock(command: number, family: number, rest: readonly number[]): Buffer {
  return Buffer.concat([SIGNATURE, Buffer.from([command, family, 0, rest.length, ...rest])]);
}
