// The ClientHello, read before TLS gets it: real ones of node at every split, and one built by hand with one thing broken.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ClientHello, ClientHelloReader, LONGEST_CLIENT_HELLO } from '../../../src/net/client-hello.ts';
import {
  alpn,
  clientHelloOf,
  extension,
  helloMessage,
  inRecords,
  serverName,
  supportedVersions,
  vector,
} from '../../support/client-hello.ts';

const TLS12 = 0x0303;
const TLS13 = 0x0304;

/** What is read of it in pieces of so many octets, and after how many of them. */
function inPieces(bytes: Buffer, size: number): { read: ClientHello | 'none' | null; after: number } {
  const reader = new ClientHelloReader();
  for (let at = 0; at < bytes.length; at += size) {
    const read = reader.read(bytes.subarray(at, at + size));
    if (read !== null) return { read, after: Math.min(at + size, bytes.length) };
  }
  return { read: null, after: bytes.length };
}
const read = (bytes: Buffer) => inPieces(bytes, bytes.length).read;

describe("a message of node's client", () => {
  it.each<[string, Parameters<typeof clientHelloOf>[0], ClientHello]>([
    [
      'TLS 1.2 and 1.3 with a name and ALPN',
      { servername: 'App.Example', ALPNProtocols: ['h2', 'http/1.1'], minVersion: 'TLSv1.2' },
      { serverName: 'app.example', protocols: ['h2', 'http/1.1'], versions: [TLS13, TLS12] },
    ],
    ['nothing named', { minVersion: 'TLSv1.3' }, { serverName: null, protocols: [], versions: [TLS13] }],
    [
      'TLS 1.2 alone, for a challenge of ACME',
      { servername: 'a.example', ALPNProtocols: ['acme-tls/1'], maxVersion: 'TLSv1.2' },
      { serverName: 'a.example', protocols: ['acme-tls/1'], versions: [TLS12] },
    ],
  ])('%s', async (_, options, hello) => {
    const bytes = await clientHelloOf(options);
    for (const size of [1, 2, 3, 5, 7, 64, bytes.length])
      expect(inPieces(bytes, size)).toEqual({ read: hello, after: bytes.length });
    for (const size of [1, 3, 200]) {
      const records = inRecords(bytes.subarray(5), size);
      for (const piece of [1, 4, records.length])
        expect(inPieces(records, piece)).toEqual({ read: hello, after: records.length });
    }
  });

  it('is what it is, whatever follows', async () => {
    const bytes = await clientHelloOf({ servername: 'a.example' });
    const { read: hello } = inPieces(bytes, bytes.length);
    expect(read(Buffer.concat([bytes, Buffer.from('early data')]))).toEqual(hello);
  });
});

it('without extensions says the version of the message', () => {
  const bare = Buffer.concat([[3, 3], Buffer.alloc(32), vector(1), vector(2, [0, 5]), vector(1, [0])].map(Buffer.from));
  const message = Buffer.concat([Buffer.of(1), vector(3, bare)]);
  expect(read(inRecords(message))).toEqual({ serverName: null, protocols: [], versions: [TLS12] });
});

describe('one thing broken', () => {
  const sound = [serverName('a.example'), alpn('h2'), supportedVersions(TLS13)];

  it('the message itself is read', () => {
    const hello = { serverName: 'a.example', protocols: ['h2'], versions: [TLS13] };
    expect(read(inRecords(helloMessage(...sound)))).toEqual(hello);
  });

  it.each<[string, Buffer]>([
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\n')],
    ['a record of an alert', Buffer.concat([Buffer.of(21), inRecords(helloMessage(...sound)).subarray(1)])],
    ['a record of SSL 2', Buffer.concat([Buffer.of(22, 2), inRecords(helloMessage(...sound)).subarray(2)])],
    ['an empty record', Buffer.concat([Buffer.of(22, 3, 1, 0, 0), inRecords(helloMessage(...sound))])],
    ['a record that is too large', Buffer.of(22, 3, 1, 0x40, 1)],
    ['another message', inRecords(Buffer.concat([Buffer.of(2), helloMessage(...sound).subarray(1)]))],
    ['a message of megabytes', inRecords(Buffer.of(1, 0x10, 0, 0))],
    ['an alert amid the message', Buffer.concat([inRecords(helloMessage(...sound).subarray(0, 50)), Buffer.of(21)])],
    ['an extension twice', inRecords(helloMessage(...sound, alpn('http/1.1')))],
    ['an extension that is longer than the message', inRecords(helloMessage(Buffer.of(0, 16, 0, 9, 0)))],
    ['a name of another type', inRecords(helloMessage(extension(0, vector(2, vector(2, [1], vector(2, 'a'))))))],
    [
      'two names',
      inRecords(helloMessage(extension(0, vector(2, vector(2, [0], vector(2, 'a'), [0], vector(2, 'b')))))),
    ],
    ['a name without octets', inRecords(helloMessage(serverName('')))],
    ['a name with a NUL', inRecords(helloMessage(serverName('a.example\0.evil')))],
    ['a name that is too long', inRecords(helloMessage(serverName('a'.repeat(256))))],
    ['an empty list of names', inRecords(helloMessage(extension(0, vector(2))))],
    ['a protocol that is cut short', inRecords(helloMessage(extension(16, vector(2, vector(2, [9], 'h2')))))],
    ['half a version', inRecords(helloMessage(extension(43, vector(2, vector(1, [3])))))],
    [
      'octets behind the extensions',
      inRecords(Buffer.concat([Buffer.of(1), vector(3, helloMessage(...sound).subarray(4), [0])])),
    ],
    ['a message without a random', inRecords(Buffer.concat([Buffer.of(1), vector(3, [3, 3, 1, 2])]))],
  ])('%s is none', (_, bytes) => {
    expect(read(bytes)).toBe('none');
    expect(inPieces(bytes, 1).read).toBe('none');
  });
});

describe('its size', () => {
  /** A message that fills so many bytes with its record. */
  const sized = (bytes: number) => {
    const rest = bytes - inRecords(helloMessage(extension(21, vector(2)))).length;
    return inRecords(helloMessage(extension(21, vector(2, Buffer.alloc(rest)))));
  };

  it('may be what a record holds', () => {
    expect(read(sized(LONGEST_CLIENT_HELLO))).toMatchObject({ serverName: null });
  });

  it('ends the reading where it is more, in any pieces', () => {
    const message = sized(LONGEST_CLIENT_HELLO).subarray(5);
    for (const records of [inRecords(message, 8000), inRecords(message, 1)])
      for (const size of [1, 1000, records.length]) expect(inPieces(records, size).read).toBe('none');
  });
});

it('is the same in any pieces, and never throws', () => {
  const start = inRecords(helloMessage(serverName('a.example'), alpn('h2')));
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 40 }),
      fc.nat(start.length),
      fc.integer({ min: 1, max: 30 }),
      (bytes, at, size) => {
        const input = Buffer.concat([start.subarray(0, at), bytes, start.subarray(at + bytes.length)]);
        expect(inPieces(input, size).read).toEqual(read(input));
      },
    ),
  );
});
