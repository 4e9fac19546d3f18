// Which entry of a list of addresses covers another: what node's own BlockList says, entry by entry.
import { BlockList } from 'node:net';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { addressBytes, parseRange } from '../../../src/config/address.ts';
import { RangeList } from '../../../src/config/range-list.ts';

it.each([
  ['192.0.2.1', [192, 0, 2, 1]],
  ['::', Array(16).fill(0)],
  ['::1', [...Array(15).fill(0), 1]],
  ['1:2:3:4:5:6:7:8', [0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8]],
  ['2001:db8::ff', [0x20, 1, 0x0d, 0xb8, ...Array(11).fill(0), 0xff]],
  ['fe80::', [0xfe, 0x80, ...Array(14).fill(0)]],
  ['::ffff:192.0.2.1', [...Array(10).fill(0), 255, 255, 192, 0, 2, 1]],
])('the bytes of %s', (address, bytes) => expect(addressBytes(address)).toEqual(bytes));

it('the first entry that covers is the first that a search would find', () => {
  const bits = fc.constantFrom(0, 1, 7, 8, 9, 24, 31, 32);
  const v4 = fc.tuple(fc.constantFrom('10.0.0.0', '10.1.0.0', '11.0.0.0', '10.0.0.255'), bits);
  const v6 = fc.tuple(fc.constantFrom('::', '2001:db8::', '2001:db9::1', '::ffff:10.0.0.0'), fc.nat({ max: 128 }));
  const entry = fc.oneof(
    fc.oneof(v4, v6).map(([address, length]) => `${address}/${length}`),
    fc.constantFrom('unix', '10.0.0.1', '::1'),
  );
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 10 }), entry, (entries, one) => {
      const covers = (wide: string): boolean => {
        const [outer, inner] = [parseRange(wide), parseRange(one)];
        if (outer === null || inner === null) return wide === one;
        const list = new BlockList();
        list.addSubnet(outer.address, outer.bits, outer.family);
        return outer.family === inner.family && outer.bits <= inner.bits && list.check(inner.address, inner.family);
      };
      const found = entries.findIndex(covers);
      expect(new RangeList(entries).covering(one)).toBe(found === -1 ? undefined : found);
    }),
  );
});
