// One name for the client behind an address.
import { describe, expect, it } from 'vitest';
import { addressKey } from '../../../src/http/address-key.ts';

describe('addressKey', () => {
  it.each([
    ['an IPv4 address is itself', '192.0.2.7', '192.0.2.7'],
    ['of IPv6 the first 64 bits', '2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['another address of them', '2001:db8:1:2::1', '2001:db8:1:2::/64'],
    ['upper case and zeros', '2001:0DB8:0001:0002:0:0:0:9', '2001:db8:1:2::/64'],
    ['another network', '2001:db8:1:3::1', '2001:db8:1:3::/64'],
    ['the middle left out', '2001:db8::1', '2001:db8:0:0::/64'],
    ['loopback', '::1', '0:0:0:0::/64'],
    ['the unspecified address', '::', '0:0:0:0::/64'],
    ['nothing left out', '1:2:3:4:5:6:7:8', '1:2:3:4::/64'],
    ['the end left out', '1:2:3:4:5::', '1:2:3:4::/64'],
    ['with a zone', 'fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['mapped IPv4, dotted', '::ffff:192.0.2.7', '192.0.2.7'],
    ['mapped IPv4, in groups', '::ffff:c000:207', '192.0.2.7'],
    ['mapped IPv4, in full', '0:0:0:0:0:FFFF:C000:0207', '192.0.2.7'],
    ['IPv4 behind NAT64', '64:ff9b::192.0.2.7', '192.0.2.7'],
    ['IPv4 behind NAT64, in groups', '64:ff9b::c000:207', '192.0.2.7'],
    ['no NAT64', '64:ff9b:1::c000:207', '64:ff9b:1:0::/64'],
    ['a unix socket has none', '', ''],
  ])('%s', (_, address, key) => {
    expect(addressKey(address)).toBe(key);
  });
});
