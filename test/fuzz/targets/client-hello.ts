// The first bytes of a TLS connection: a ClientHello, none, or more is needed; the same in whatever pieces they come, and all
// that is told of it stands in it.
import { type ClientHello, ClientHelloReader, LONGEST_CLIENT_HELLO } from '../../../src/net/client-hello.ts';
import { promise, type Target } from '../target.ts';

type Read = ClientHello | 'none' | null;

function inPieces(input: Buffer, size: number): Read {
  const reader = new ClientHelloReader();
  for (let at = 0; at < input.length; at += size) {
    const read = reader.read(input.subarray(at, at + size));
    if (read !== null) return read;
  }
  return null;
}

function checkFacts({ serverName, protocols, versions }: ClientHello, input: Buffer): void {
  const octets = protocols.reduce((sum, protocol) => sum + protocol.length, 2 * versions.length);
  promise(octets + (serverName?.length ?? 0) < input.length, 'more is told than came');
  promise(serverName === null || /^[!-@[-~]{1,255}$/.test(serverName), `${JSON.stringify(serverName)} is no name`);
  promise(
    versions.every((version) => version >= 0 && version <= 0xffff),
    'a version has two octets',
  );
}

export const clientHello: Target = {
  name: 'client-hello',
  words: [
    '\x16\x03\x01',
    '\x01\0\0',
    '\x03\x03',
    '\0\0\0\x0e\0\x0c\0\0\x09a.example',
    '\0\x10\0\x0d\0\x0b\x0aacme-tls/1',
    '\0\x10\0\x05\0\x03\x02h2',
    '\0\x2b\0\x03\x02\x03\x04',
    '\xff\xff',
    '\0',
  ],
  longest: LONGEST_CLIENT_HELLO + 100,
  open: () => ({
    close() {},
    check(input) {
      const whole = inPieces(input, input.length);
      for (const size of [1, 7]) {
        const same = JSON.stringify(inPieces(input, size)) === JSON.stringify(whole);
        promise(same, `in pieces of ${size} it is another one`);
      }
      if (whole === null) return promise(input.length < LONGEST_CLIENT_HELLO, 'no end to it') ?? 'more is needed';
      if (whole === 'none') return 'none';
      checkFacts(whole, input);
      return `a hello${whole.serverName === null ? '' : ' with a name'}${whole.protocols.length > 0 ? ' and ALPN' : ''}`;
    },
  }),
};
