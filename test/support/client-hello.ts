// ClientHello messages: real ones of node's TLS, and ones put together octet by octet.
import { Duplex } from 'node:stream';
import tls from 'node:tls';

/** The first bytes that node's TLS client sends with these options. */
export function clientHelloOf(options: Omit<tls.ConnectionOptions, 'socket'>): Promise<Buffer> {
  return new Promise((resolve) => {
    const wire = new Duplex({
      read() {},
      write(chunk: Buffer, _encoding, done) {
        done();
        resolve(chunk);
        wire.destroy();
      },
    });
    const client = tls.connect({ ...options, socket: wire });
    client.on('error', () => {});
  });
}

/** A vector of TLS: a length of so many octets, and what it counts. */
export function vector(lengthOctets: number, ...parts: readonly (Buffer | string | readonly number[])[]): Buffer {
  const content = Buffer.concat(
    parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : Buffer.from(part))),
  );
  const length = Buffer.alloc(lengthOctets);
  length.writeUIntBE(content.length, 0, lengthOctets);
  return Buffer.concat([length, content]);
}

export const extension = (type: number, content: Buffer): Buffer =>
  Buffer.concat([Buffer.of(type >> 8, type & 255), content]);
export const serverName = (name: string): Buffer => extension(0, vector(2, vector(2, [0], vector(2, name))));
export const alpn = (...protocols: readonly string[]): Buffer =>
  extension(16, vector(2, vector(2, ...protocols.map((protocol) => vector(1, protocol)))));
export const supportedVersions = (...versions: readonly number[]): Buffer =>
  extension(43, vector(2, vector(1, ...versions.map((version) => [version >> 8, version & 255]))));

/** The message without its record. */
export function helloMessage(...extensions: readonly Buffer[]): Buffer {
  const fixed = [[3, 3], Buffer.alloc(32, 7), vector(1, 'session'), vector(2, [0x13, 1, 0xc0, 0x2b]), vector(1, [0])];
  return Buffer.concat([Buffer.of(1), vector(3, ...fixed, vector(2, ...extensions))]);
}

/** The message in records of at most so many octets. */
export function inRecords(message: Buffer, size = message.length): Buffer {
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += size) {
    records.push(Buffer.of(22, 3, 1), vector(2, message.subarray(at, at + size)));
  }
  return Buffer.concat(records);
}
