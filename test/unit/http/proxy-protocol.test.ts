// The PROXY protocol, both versions: read at every split, written, and both held against an implementation of somebody
// else's (proxy-protocol-js). A valid preamble comes first, and then has one thing broken.
import { isIPv4 } from 'node:net';
import {
  Command,
  INETProtocol,
  IPv4Address,
  type IPv4AddressTuple,
  IPv4ProxyAddress,
  IPv6Address,
  type IPv6AddressTuple,
  IPv6ProxyAddress,
  Peer,
  TransportProtocol,
  UnixAddress,
  type UnixAddressTuple,
  UnixProxyAddress,
  V1ProxyProtocol,
  V2ProxyProtocol,
} from 'proxy-protocol-js';
import { describe, expect, it } from 'vitest';
import { crc32c, formatPreamble, type Proxied, readPreamble } from '../../../src/http/proxy-protocol.ts';

const latin1 = (text: string) => Buffer.from(text, 'latin1');
const SIGNATURE = latin1('\r\n\r\n\0\r\nQUIT\n');
const V4: Proxied = {
  source: { address: '192.0.2.7', port: 51_234 },
  destination: { address: '198.51.100.1', port: 443 },
};
const V6: Proxied = {
  source: { address: '2001:db8::7', port: 0 },
  destination: { address: '2001:db8:0:1::ffff', port: 65_535 },
};
const fault = (text: string) => ({ fault: expect.stringContaining(text) });

/** A block of version 2. */
function block(command: number, family: number, rest: Buffer | readonly number[] = [], length = rest.length): Buffer {
  return Buffer.concat([SIGNATURE, Buffer.from([command, family, length >> 8, length & 0xff]), Buffer.from(rest)]);
}
const INET = [192, 0, 2, 7, 198, 51, 100, 1, 51_234 >> 8, 51_234 & 0xff, 1, 187];
const INET6 = [...formatPreamble('v2', V6).subarray(16)];

describe('version 1', () => {
  it.each<[string, Proxied | null]>([
    ['PROXY TCP4 192.0.2.7 198.51.100.1 51234 443\r\n', V4],
    ['PROXY TCP6 2001:db8::7 2001:db8:0:1::ffff 0 65535\r\n', V6],
    ['PROXY TCP6 2001:DB8:0:0:0:0:0:7 2001:db8:0:1:0:0:0:ffff 0 65535\r\n', V6],
    ['PROXY TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.1 51234 443\r\n', V4],
    ['PROXY UNKNOWN\r\n', null],
    ['PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n', null],
    [`PROXY UNKNOWN ${'x'.repeat(91)}\r\n`, null],
  ])('%j', (line, proxied) => {
    const bytes = latin1(line);
    for (let i = 0; i < bytes.length; i++) expect(readPreamble(bytes.subarray(0, i))).toBeNull();
    expect(readPreamble(bytes)).toEqual({ length: bytes.length, proxied });
    expect(readPreamble(Buffer.concat([bytes, latin1('GET / HTTP/1.1\r\n')]))).toEqual({
      length: bytes.length,
      proxied,
    });
  });

  const NOT_TWO = 'no two addresses and ports';
  it.each([
    ['no preamble', 'GET / HTTP/1.1\r\n', 'does not begin'],
    ['another case', 'proxy TCP4 ', 'does not begin'],
    ['TLS', '\x16\x03\x01', 'does not begin'],
    ['no protocol', 'PROXY \r\n', 'no known protocol'],
    ['another protocol', 'PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n', 'no known protocol'],
    ['UNKNOWN with more letters', 'PROXY UNKNOWNS\r\n', 'no known protocol'],
    ['nothing', 'PROXY TCP4\r\n', NOT_TWO],
    ['one address', 'PROXY TCP4 192.0.2.7 1 2\r\n', NOT_TWO],
    ['one port', 'PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n', NOT_TWO],
    ['three ports', 'PROXY TCP4 192.0.2.7 198.51.100.1 1 2 3\r\n', NOT_TWO],
    ['two spaces', 'PROXY TCP4 192.0.2.7  198.51.100.1 1 2\r\n', NOT_TWO],
    ['a space at the end', 'PROXY TCP4 192.0.2.7 198.51.100.1 1 2 \r\n', NOT_TWO],
    ['a tab', 'PROXY TCP4 192.0.2.7\t198.51.100.1 1 2\r\n', NOT_TWO],
    ['a bare LF in it', 'PROXY TCP4 192.0.2.7 198.51.100.1 1 2\nGET\r\n', NOT_TWO],
    ['IPv6 as TCP4', 'PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n', NOT_TWO],
    ['IPv4 as TCP6', 'PROXY TCP6 192.0.2.7 198.51.100.1 1 2\r\n', NOT_TWO],
    ['one of each', 'PROXY TCP6 2001:db8::7 198.51.100.1 1 2\r\n', NOT_TWO],
    ['a zone', 'PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n', NOT_TWO],
    ['brackets', 'PROXY TCP6 [::1] [::2] 1 2\r\n', NOT_TWO],
    ['an octal address', 'PROXY TCP4 192.0.2.007 198.51.100.1 1 2\r\n', NOT_TWO],
    ['a port past the last', 'PROXY TCP4 192.0.2.7 198.51.100.1 1 65536\r\n', NOT_TWO],
    ['a port with a zero before it', 'PROXY TCP4 192.0.2.7 198.51.100.1 01 2\r\n', NOT_TWO],
    ['a port that is no number', 'PROXY TCP4 192.0.2.7 198.51.100.1 1e1 2\r\n', NOT_TWO],
    ['a port below zero', 'PROXY TCP4 192.0.2.7 198.51.100.1 -1 2\r\n', NOT_TWO],
    ['no end', `PROXY UNKNOWN ${'x'.repeat(93)}`, 'does not end'],
    ['an end too late', `PROXY UNKNOWN ${'x'.repeat(92)}\r\n`, 'does not end'],
  ])('refuses %s', (_, line, why) => expect(readPreamble(latin1(line))).toEqual(fault(why)));

  it('is refused at the first byte that does not fit', () => {
    for (const text of ['G', 'PR0', 'PROXYT', '\n', '\rX', '\r\n\r\n\0\r\nQUIT\r'])
      expect(readPreamble(latin1(text))).toEqual(fault('does not begin'));
  });
});

describe('version 2', () => {
  const UNIX = Array<number>(216).fill(0x2f);
  it.each<[string, Buffer, Proxied | null]>([
    ['TCP over IPv4', block(0x21, 0x11, INET), V4],
    ['UDP over IPv4: the client has an address all the same', block(0x21, 0x12, INET), V4],
    ['TCP over IPv6', block(0x21, 0x21, INET6), V6],
    ['UDP over IPv6', block(0x21, 0x22, INET6), V6],
    ['a unix stream, whose client has no address', block(0x21, 0x31, UNIX), null],
    ['a unix datagram', block(0x21, 0x32, UNIX), null],
    ['no family', block(0x21, 0x00), null],
    ['no family, and something behind it', block(0x21, 0x00, [1, 2, 3]), null],
    ['LOCAL', block(0x20, 0x00), null],
    ['LOCAL with addresses, which do not count', block(0x20, 0x11, INET), null],
    ['LOCAL with a family that there is not, which does not count', block(0x20, 0x77, [1]), null],
    ['with TLVs', block(0x21, 0x11, [...INET, 0x04, 0, 0, 0x02, 0, 3, 1, 2, 3]), V4],
    ['as long as it may be', block(0x21, 0x11, [...INET, 0x04, 0x0f, 0xe1, ...Array<number>(4065).fill(0)]), V4],
  ])('%s', (_, bytes, proxied) => {
    for (let i = 0; i < bytes.length; i++) expect(readPreamble(bytes.subarray(0, i))).toBeNull();
    expect(readPreamble(bytes)).toEqual({ length: bytes.length, proxied });
    expect(readPreamble(Buffer.concat([bytes, latin1('GET')]))).toEqual({ length: bytes.length, proxied });
  });

  it.each<[string, Buffer, string]>([
    ['version 1 in it', block(0x11, 0x11, INET), 'unknown version or command'],
    ['another command', block(0x22, 0x11, INET), 'unknown version or command'],
    ['another family', block(0x21, 0x41, INET), 'unknown family'],
    ['another transport', block(0x21, 0x13, INET), 'unknown family'],
    ['a family without a transport', block(0x21, 0x10, INET), 'unknown family'],
    ['less than its addresses', block(0x21, 0x11, INET.slice(0, 11)), 'too short'],
    ['IPv4 for IPv6', block(0x21, 0x21, INET), 'too short'],
    ['too much', block(0x21, 0x11, INET, 4081), 'too large'],
    ['as much as can be said, and LOCAL', block(0x20, 0x00, [], 0xffff), 'too large'],
    ['a TLV without a length', block(0x21, 0x11, [...INET, 0x04, 0]), 'within a TLV'],
    ['a TLV past the end', block(0x21, 0x11, [...INET, 0x04, 0, 2, 0]), 'within a TLV'],
    ['a byte behind the last TLV', block(0x21, 0x11, [...INET, 0x04, 0, 0, 0]), 'within a TLV'],
  ])('refuses %s', (_, bytes, why) => expect(readPreamble(bytes)).toEqual(fault(why)));

  describe('with a checksum', () => {
    const withChecksum = (flip = 0) => {
      const bytes = block(0x21, 0x11, [...INET, 0x03, 0, 4, 0, 0, 0, 0, 0x04, 0, 1, 9]);
      bytes.writeUInt32BE((crc32c(bytes) ^ flip) >>> 0, 31);
      return bytes;
    };
    it('takes the right one', () => expect(readPreamble(withChecksum())).toEqual({ length: 39, proxied: V4 }));
    it('refuses a wrong one', () => expect(readPreamble(withChecksum(1))).toEqual(fault('does not fit')));
    it('refuses every bit that is flipped in what it covers', () => {
      for (let at = 16; at < 28; at++) {
        const bytes = withChecksum();
        bytes.writeUInt8(bytes.readUInt8(at) ^ 0x10, at);
        expect(readPreamble(bytes)).toEqual(fault('does not fit'));
      }
    });
    it('refuses one of another length', () =>
      expect(readPreamble(block(0x21, 0x11, [...INET, 0x03, 0, 2, 0, 0]))).toEqual(fault('no one checksum')));
    it('refuses two', () => {
      const bytes = block(0x21, 0x11, [...INET, 0x03, 0, 4, 0, 0, 0, 0, 0x03, 0, 4, 0, 0, 0, 0]);
      bytes.writeUInt32BE(crc32c(bytes), 31);
      expect(readPreamble(bytes)).toEqual(fault('no one checksum'));
    });
    // The values of RFC 3720 appendix B.4, and of "123456789".
    it.each<[string, Buffer, number]>([
      ['zeros', Buffer.alloc(32), 0x8a9136aa],
      ['ones', Buffer.alloc(32, 0xff), 0x62a8ab43],
      ['0 to 31', Buffer.from(Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e],
      ['digits', latin1('123456789'), 0xe3069283],
      ['nothing', Buffer.alloc(0), 0],
    ])('CRC32c of %s', (_, bytes, sum) => expect(crc32c(bytes)).toBe(sum));
  });
});

describe('what is written', () => {
  const MIXED: Proxied = { source: V6.source, destination: V4.destination };
  it.each<[string, Proxied | null, string]>([
    ['IPv4', V4, 'PROXY TCP4 192.0.2.7 198.51.100.1 51234 443\r\n'],
    ['IPv6', V6, 'PROXY TCP6 2001:db8::7 2001:db8:0:1::ffff 0 65535\r\n'],
    ['one of each, as IPv6', MIXED, 'PROXY TCP6 2001:db8::7 ::ffff:198.51.100.1 0 443\r\n'],
    ['nobody', null, 'PROXY UNKNOWN\r\n'],
  ])('of version 1: %s', (_, proxied, line) => expect(formatPreamble('v1', proxied).toString('latin1')).toBe(line));

  it('of version 2: nobody', () => expect(formatPreamble('v2', null)).toEqual(block(0x20, 0)));

  it.each<[string, string, string]>([
    ['::', '::1', '::1'],
    ['1:2:3:4:5:6:7:8', '::7:8', '::7:8'],
    ['1::8', '1:2::', '1:2::'],
    ['fe80::1%eth0', '::ffff:0:0:1', '::ffff:0:0:1'],
    ['::10.0.0.1', '::ffff:1.2.3.4', '::ffff:1.2.3.4'],
    ['10.0.0.1', '::ffff:1.2.3.4', '1.2.3.4'],
  ])('from %s to %s is read again', (from, to) => {
    const proxied = { source: { address: from, port: 1 }, destination: { address: to, port: 2 } };
    const [one, two] = (['v1', 'v2'] as const).map((version) => readPreamble(formatPreamble(version, proxied)));
    expect(two).toMatchObject({ proxied: { source: { port: 1 }, destination: { port: 2 } } });
    expect(one).toMatchObject({ proxied: (two as { proxied: Proxied }).proxied });
  });
});

describe('beside proxy-protocol-js', () => {
  it.each([V4, V6])('of version 1: $source.address', ({ source, destination }) => {
    const protocol = isIPv4(source.address) ? INETProtocol.TCP4 : INETProtocol.TCP6;
    const theirs = new V1ProxyProtocol(
      protocol,
      new Peer(source.address, source.port),
      new Peer(destination.address, destination.port),
    ).build();
    expect(formatPreamble('v1', { source, destination }).toString('latin1')).toBe(theirs);
    expect(readPreamble(latin1(theirs))).toEqual({ length: theirs.length, proxied: { source, destination } });
    const read = V1ProxyProtocol.parse(formatPreamble('v1', { source, destination }).toString('latin1'));
    expect([read.source, read.destination]).toEqual([
      { ipAddress: source.address, port: source.port },
      { ipAddress: destination.address, port: destination.port },
    ]);
  });

  const theirs = {
    IPv4: new IPv4ProxyAddress(
      IPv4Address.createFrom(INET.slice(0, 4) as IPv4AddressTuple),
      51_234,
      IPv4Address.createFrom(INET.slice(4, 8) as IPv4AddressTuple),
      443,
    ),
    IPv6: new IPv6ProxyAddress(
      IPv6Address.createFrom(INET6.slice(0, 16) as IPv6AddressTuple),
      0,
      IPv6Address.createFrom(INET6.slice(16, 32) as IPv6AddressTuple),
      65_535,
    ),
    unix: new UnixProxyAddress(
      UnixAddress.createFrom(Array<number>(108).fill(1) as unknown as UnixAddressTuple),
      UnixAddress.createFrom(Array<number>(108).fill(2) as unknown as UnixAddressTuple),
    ),
  };
  it.each([
    ['IPv4', V4],
    ['IPv6', V6],
    ['unix', null],
  ] as const)('of version 2: %s', (family, proxied) => {
    for (const transport of [TransportProtocol.STREAM, TransportProtocol.DGRAM]) {
      const built = Buffer.from(new V2ProxyProtocol(Command.PROXY, transport, theirs[family]).build());
      expect(readPreamble(built)).toEqual({ length: built.length, proxied });
      const local = Buffer.from(new V2ProxyProtocol(Command.LOCAL, transport, theirs[family]).build());
      expect(readPreamble(local)).toEqual({ length: local.length, proxied: null });
      if (proxied === null || transport === TransportProtocol.DGRAM) continue;
      expect(formatPreamble('v2', proxied)).toEqual(built);
      expect(V2ProxyProtocol.parse(formatPreamble('v2', proxied))).toEqual(V2ProxyProtocol.parse(built));
    }
  });
});
