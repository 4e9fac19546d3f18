// What proxies tell of the hops of a request, right to left. Whom to believe is forwarded.test.ts.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lowerNames } from '../../../../src/http/fields.ts';
import { forwardedHops, xForwardedHops } from '../../../../src/http/forwarding/hops.ts';

function sectionOf(name: string, lines: readonly string[]) {
  const fields = lines.flatMap((line) => [name, line]);
  return { fields, names: lowerNames(fields) };
}
const hops = (...lines: string[]) => forwardedHops(sectionOf('Forwarded', lines));
const addresses = (...lines: string[]) => hops(...lines).map(({ address }) => address);

describe('one element of Forwarded', () => {
  it('says for, proto and host, in any order and case, quoted or not', () => {
    const said = { address: '192.0.2.60', proto: 'https', host: 'a.example:8080' };
    expect(hops('for=192.0.2.60;proto=https;host="a.example:8080";by=203.0.113.43')).toEqual([said]);
    expect(hops('Host=a.example:8080 ; PROTO="https";\tFor="192.0.2.60"')).toEqual([said]);
    expect(hops(';;for=192.0.2.60;;host=a.example:8080;proto=https;')).toEqual([said]);
  });
  it('may leave everything out', () => {
    expect(hops('by=_x')).toEqual([{ address: null, proto: null, host: null }]);
    expect(hops('for="";proto=')).toEqual([{ address: null, proto: null, host: null }]);
  });
  it.each([
    ['IPv4', '192.0.2.43', '192.0.2.43'],
    ['IPv4 with a port', '"192.0.2.43:47011"', '192.0.2.43'],
    ['IPv4 with a hidden port', '"192.0.2.43:_a.b-c"', '192.0.2.43'],
    ['a port without quotes', '192.0.2.43:47011', '192.0.2.43'],
    ['IPv6', '"[2001:db8:cafe::17]"', '2001:db8:cafe::17'],
    ['IPv6 with a port', '"[2001:db8:cafe::17]:4711"', '2001:db8:cafe::17'],
    ['IPv6 with a hidden port', '"[2001:db8:cafe::17]:_p"', '2001:db8:cafe::17'],
    ['IPv6 without quotes', '[2001:db8:cafe::17]', '2001:db8:cafe::17'],
    ['IPv6 without brackets', '"2001:db8:cafe::17"', '2001:db8:cafe::17'],
    ['IPv4-mapped', '"[::ffff:192.0.2.43]"', '192.0.2.43'],
    ['escaped for no reason', '"1\\92.0.2.43"', '192.0.2.43'],
    ['hidden', '_hidden', null],
    ['hidden with a port', '"_hidden:80"', null],
    ['unknown', 'unknown', null],
    ['out of range', '192.0.2.256', null],
    ['a name', 'client.example', null],
    ['a port that is none', '"192.0.2.43:http"', null],
  ])('for: %s', (_, node, address) => expect(addresses(`for=${node}`)).toEqual([address]));
});

describe('several elements', () => {
  it('are told right to left, over lines, empty ones left out', () => {
    expect(addresses('for=1.1.1.1, ,for=2.2.2.2', '', ', for=3.3.3.3,')).toEqual(['3.3.3.3', '2.2.2.2', '1.1.1.1']);
  });
  it('are cut at commas outside of quotes', () => {
    expect(hops('for=1.1.1.1;host="a,b", for=2.2.2.2;host="\\",\\""')).toEqual([
      { address: '2.2.2.2', proto: null, host: '","' },
      { address: '1.1.1.1', proto: null, host: 'a,b' },
    ]);
    expect(hops('for=1.1.1.1;host="\\\\", for=2.2.2.2')).toHaveLength(2);
  });
  it.each([
    ['a quote left open', 'for="1.1.1.1'],
    ['a quote left open behind an escape', 'for="1.1.1.1\\'],
    ['an escaped quote outside of quotes', 'for=1\\"'],
    ['the same name twice', 'for=1.1.1.1;For=1.1.1.1'],
    ['no value', 'for'],
    ['no name', '=1.1.1.1'],
    ['a space around the sign', 'for = 1.1.1.1'],
    ['junk', '<script>'],
    ['junk behind a pair', 'for=1.1.1.1 x'],
    ['text behind a quoted value', 'for="1.1.1.1"x'],
  ])('%s hides itself and what stands left of it, and nothing else', (_, broken) => {
    expect(addresses(`for=9.9.9.9, ${broken}, for="[2001:db8::1]", for=2.2.2.2`)).toEqual(['2.2.2.2', '2001:db8::1']);
    expect(addresses('for=9.9.9.9', broken, 'for=2.2.2.2')).toEqual(['2.2.2.2']);
  });
});

it('nothing a client writes changes how the elements to its right are read', () => {
  const element = fc.record({
    for: fc.oneof(fc.ipV4(), fc.constantFrom('"[2001:db8::1]:80"', 'unknown', '_x', '"192.0.2.1:80"')),
    host: fc.constantFrom('a', '"a,b"', '"\\""', '"a;b=c"'),
  });
  const evil = fc.string({ unit: fc.constantFrom(...'for="\\,;[]: 1.:_'), maxLength: 40 });
  fc.assert(
    fc.property(evil, fc.array(element, { minLength: 1, maxLength: 4 }), (before, said) => {
      const ours = said.map((pairs) => `for=${pairs.for};host=${pairs.host}`).join(', ');
      const alone = hops(ours);
      expect(alone).toHaveLength(said.length);
      expect(hops(`${before}, ${ours}`).slice(0, alone.length)).toEqual(alone);
    }),
  );
});

it('takes long input in linear time and never throws', () => {
  for (const text of ['"', '\\', ',', ';', '="', '\\"', 'a=', ' ']) hops(text.repeat(16_000));
  fc.assert(fc.property(fc.string(), (text) => void hops(text)));
});

it('X-Forwarded-For is told as addresses only', () => {
  expect(xForwardedHops(sectionOf('X-Forwarded-For', ['1.1.1.1, unknown', '[2001:db8::1]:80']))).toEqual([
    { address: '2001:db8::1', proto: null, host: null },
    { address: null, proto: null, host: null },
    { address: '1.1.1.1', proto: null, host: null },
  ]);
});
