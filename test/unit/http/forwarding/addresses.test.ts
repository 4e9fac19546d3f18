// Which addresses a list of the config means, in all their spellings.
import { describe, expect, it } from 'vitest';
import { canonicalAddress, compileAddresses } from '../../../../src/http/forwarding/addresses.ts';

describe.each<[entries: string[], members: string[], strangers: string[]]>([
  [['10.0.0.0/8'], ['10.0.0.0', '10.255.255.255', '::ffff:10.0.0.1', '::FFFF:a00:1'], ['11.0.0.0', '::a00:1', '']],
  [['10.0.0.1'], ['10.0.0.1', '::ffff:10.0.0.1', '0:0:0:0:0:ffff:a00:1'], ['10.0.0.2', '::10.0.0.1']],
  [['::ffff:10.0.0.1'], ['10.0.0.1', '::ffff:10.0.0.1'], ['10.0.0.2']],
  [['::ffff:a00:0/104'], ['10.1.2.3', '::ffff:10.1.2.3'], ['11.0.0.1', '::ffff:11.0.0.1']],
  [['0.0.0.0/0'], ['1.2.3.4', '::ffff:1.2.3.4'], ['2001:db8::1', '::1', '']],
  [['::/0'], ['2001:db8::1', '::1'], ['1.2.3.4', '::ffff:1.2.3.4', '']],
  [['fe80::/10'], ['fe80::1', 'fe80::1%eth0', 'FE80::1%lo'], ['fec0::1', 'fe80::1%', 'fe80']],
  [
    ['2001:db8::/32', '192.0.2.7'],
    ['2001:0DB8:0:0::1', '192.0.2.7'],
    ['2001:db9::', '192.0.2.8'],
  ],
  [['unix'], [''], ['127.0.0.1', '::1', 'unix', 'unknown']],
  [['unix', '::1'], ['', '::1'], ['127.0.0.1']],
  [
    ['192.0.2.0/24'],
    ['64:ff9b::192.0.2.1', '64:FF9B::c000:2ff', '::ffff:192.0.2.1'],
    ['64:ff9b::192.0.3.1', '64:ff9b:1::192.0.2.1', '64:ff9b::1:c000:201'],
  ],
  [['0.0.0.0/32'], ['64:ff9b::'], ['64:ff9b::1']],
  [['0.0.0.7'], ['64:ff9b::7', '64:ff9b::0.0.0.7'], ['64:ff9b::7:0']],
  [['64:ff9b::/96'], ['64:ff9b::192.0.2.1'], ['192.0.2.1', '64:ff9b:1::192.0.2.1']],
  [[], [], ['', '127.0.0.1', '::1', 'unknown']],
])('%j', (entries, members, strangers) => {
  const set = compileAddresses(entries);
  it.each(members)('has %j', (address) => expect(set.has(address)).toBe(true));
  it.each(strangers)('has no %j', (address) => expect(set.has(address)).toBe(false));
});

it('takes nothing for an address that is none', () => {
  const set = compileAddresses(['0.0.0.0/0', '::/0', 'nonsense']);
  for (const text of ['unknown', '10.0.0', '010.0.0.1', '10.0.0.1:80', '[::1]', 'nonsense'])
    expect(set.has(text)).toBe(false);
});

it.each([
  ['2001:DB8:0:0::1', '2001:db8::1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['::ffff:c000:201', '192.0.2.1'],
  ['fe80::1%eth0', 'fe80::1'],
  ['192.0.2.1', '192.0.2.1'],
  ['unknown', 'unknown'],
  ['', ''],
])('%j is spelled %j', (address, canonical) => expect(canonicalAddress(address)).toBe(canonical));
