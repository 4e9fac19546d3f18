// PROXY preambles. The input is the first bytes of a connection: a preamble, a fault, or more is needed. What was read of a
// part stays what it is with more behind it; what it names are addresses, and they are what another reader finds.
import { isIP } from 'node:net';
import { V1ProxyProtocol } from 'proxy-protocol-js';
import { canonicalAddress } from '../../../src/http/forwarding/addresses.ts';
import { formatPreamble, type Proxied, readPreamble } from '../../../src/http/proxy-protocol.ts';
import { promise, type Target } from '../target.ts';

const MOST = 4096;
const TEXT = 'PROXY ';

function checkParts(input: Buffer): void {
  let read: ReturnType<typeof readPreamble> = null;
  for (let i = 0; i <= input.length; i++) {
    const now = readPreamble(input.subarray(0, i));
    if (read !== null && 'fault' in read) promise(now !== null && 'fault' in now, 'a fault was taken back');
    else if (read !== null)
      promise(JSON.stringify(now) === JSON.stringify(read), 'a preamble changed with more behind it');
    read = now;
  }
}

function checkEnds({ source, destination }: Proxied): void {
  for (const { address, port } of [source, destination]) {
    promise(isIP(address) !== 0 && canonicalAddress(address) === address, `${address} is no address as we write them`);
    promise(Number.isInteger(port) && port >= 0 && port <= 65_535, `${port} is no port`);
  }
  for (const version of ['v1', 'v2'] as const) {
    // Version 1 has no words for two families at once, and they can't be told apart once they are written.
    if (isIP(source.address) !== isIP(destination.address)) continue;
    const again = readPreamble(formatPreamble(version, { source, destination }));
    const same =
      again !== null && 'length' in again && JSON.stringify(again.proxied) === JSON.stringify({ source, destination });
    promise(same, `written as ${version} it is read as ${JSON.stringify(again)}`);
  }
}

/** The other reader of version 1. */
function checkLine(line: string, { source, destination }: Proxied): void {
  const theirs = V1ProxyProtocol.parse(line);
  const ends = [theirs?.source, theirs?.destination].map((end) => [canonicalAddress(end?.ipAddress ?? ''), end?.port]);
  const ours = [source, destination].map(({ address, port }) => [address, port]);
  promise(JSON.stringify(ends) === JSON.stringify(ours), `another reader finds ${JSON.stringify(ends)}`);
}

export const preamble: Target = {
  name: 'preamble',
  words: [
    TEXT,
    'TCP4',
    'TCP6',
    'UNKNOWN',
    ' ',
    '\r\n',
    '127.0.0.1',
    '::1',
    '::ffff:1.2.3.4',
    '65535',
    '0',
    '\r\n\r\n\0\r\nQUIT\n',
    '\x21',
    '\x20',
    '\x11',
    '\x12',
    '\x21',
    '\0\x0c',
    '\0\x24',
    '\x03\0\x04',
  ],
  longest: 600,
  open: () => ({
    close() {},
    check(input) {
      checkParts(input);
      const read = readPreamble(input);
      if (read === null) return 'more is needed';
      if ('fault' in read) return `a fault: ${read.fault}`;
      promise(read.length <= Math.min(input.length, MOST), 'a preamble is longer than what came');
      if (read.proxied === null) return 'of nobody';
      checkEnds(read.proxied);
      const line = input.subarray(0, read.length).toString('latin1');
      if (!line.startsWith(TEXT)) return 'version 2';
      checkLine(line, read.proxied);
      return 'version 1';
    },
  }),
};
