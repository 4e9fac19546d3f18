// Any first bytes of a connection, in any pieces: a preamble, a fault, or more is needed; the same whatever the pieces, and
// never more bytes than the bound.
import { isIP } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalAddress } from '../../src/http/forwarding/addresses.ts';
import { formatPreamble, readPreamble } from '../../src/http/proxy-protocol.ts';
import { always } from '../support/arbitraries.ts';

const MOST = 4096;
const port = fc.integer({ min: 0, max: 65_535 });
const place = fc.record({ address: fc.oneof(fc.ipV4(), fc.ipV6()), port });
const valid = fc
  .tuple(fc.constantFrom('v1' as const, 'v2' as const), fc.option(fc.record({ source: place, destination: place })))
  .map(([version, proxied]) => ({ proxied, bytes: formatPreamble(version, proxied) }));

/** What begins like one, and goes wrong somewhere or not at all. */
const likePreamble = fc.oneof(
  fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
  fc.tuple(valid, fc.nat(300), fc.nat(255)).map(([{ bytes }, at, value]) => {
    const changed = Buffer.from(bytes);
    if (at < changed.length) changed[at] = value;
    return changed;
  }),
  fc
    .tuple(fc.constantFrom(0x20, 0x21), fc.constantFrom(0, 0x11, 0x12, 0x21, 0x31), fc.uint8Array({ maxLength: 300 }))
    .map(([command, family, rest]) => {
      const head = [
        ...Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1'),
        command,
        family,
        rest.length >> 8,
        rest.length & 255,
      ];
      return Buffer.from([...head, ...rest]);
    }),
  fc
    .array(fc.constantFrom('PROXY', 'TCP4', 'TCP6', 'UNKNOWN', ' ', '1.2.3.4', '::1', '1', '65535', '\r', '\n', 'x'))
    .map((parts) => Buffer.from(`PROXY ${parts.join('')}`, 'latin1')),
);

describe('a preamble', () => {
  it('that is written is read, at every split', () => {
    always(fc.tuple(valid, fc.uint8Array({ maxLength: 8 })), ([{ bytes, proxied }, rest]) => {
      for (let i = 0; i < bytes.length; i++) expect(readPreamble(bytes.subarray(0, i))).toBeNull();
      const read = readPreamble(Buffer.concat([bytes, rest]));
      const plain = (end: { address: string; port: number }) => ({ ...end, address: canonicalAddress(end.address) });
      const expected = proxied && { source: plain(proxied.source), destination: plain(proxied.destination) };
      expect(read).toEqual({ length: bytes.length, proxied: expected });
    });
  });

  it('is one, or a fault, or more is needed; and what was said once is not taken back', () => {
    always(likePreamble, (bytes) => {
      let said: ReturnType<typeof readPreamble> = null;
      for (let i = 0; i <= bytes.length; i++) {
        const read = readPreamble(bytes.subarray(0, i));
        // One that has been read stays what it is; a fault stays a fault, though another may be seen first.
        if (said !== null && !('fault' in said)) expect(read).toEqual(said);
        if (said !== null && 'fault' in said) expect(read).toEqual({ fault: expect.stringMatching(/\w/) });
        said = read;
      }
      if (said === null) expect(bytes.length).toBeLessThan(MOST);
      else if (!('fault' in said)) {
        expect(said.length).toBeLessThanOrEqual(Math.min(bytes.length, MOST));
        for (const end of said.proxied === null ? [] : [said.proxied.source, said.proxied.destination]) {
          expect(isIP(end.address)).toBeGreaterThan(0);
          expect(canonicalAddress(end.address)).toBe(end.address);
        }
      }
    });
  });
});
