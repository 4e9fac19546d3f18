// Who asks, and what a backend is told of it. Every case is a request through a trusted or an untrusted peer.
import { describe, expect, it } from 'vitest';
import {
  attribute,
  compileTrustedProxies,
  type Forwarding,
  forwardingFields,
  isForwardingField,
  mayPass,
} from '../../../../src/http/forwarding/forwarded.ts';
import { type Change, plainHead } from '../../../support/heads.ts';

const trusted = compileTrustedProxies(['10.0.0.0/8', '192.0.2.1', 'fd00::/8', '2001:db8::1']);
const client = (change: Change) => attribute(plainHead({ peer: '10.0.0.1', ...change }), trusted, () => 'fresh').client;
const addressOf = (...lines: string[]) => client({ fields: { 'X-Forwarded-For': lines } }).address;

describe('trusted proxies', () => {
  it.each([
    '10.0.0.0',
    '10.255.255.255',
    '192.0.2.1',
    'fd12:3456::1',
    '2001:db8::1',
    '2001:0DB8:0:0::1',
    '::ffff:10.1.2.3',
    '::ffff:a01:203',
  ])('%s is one', (address) => expect(trusted.has(address)).toBe(true));
  it.each(['11.0.0.0', '9.255.255.255', '192.0.2.2', 'fe00::1', '2001:db8::2', '::1', '::ffff:11.0.0.1'])(
    '%s is none',
    (address) => expect(trusted.has(address)).toBe(false),
  );
  it.each(['', 'unknown', '10.0.0', '10.0.0.256', '10.0.0.1:80', '010.0.0.1', '10.0.0.0/8'])(
    '%j is no address and never one',
    (text) => expect(trusted.has(text)).toBe(false),
  );
  it('may carry a zone', () => expect(compileTrustedProxies(['fe80::/10']).has('fe80::1%eth0')).toBe(true));
  it('are none where none are configured', () => {
    expect(compileTrustedProxies([]).has('127.0.0.1')).toBe(false);
    expect(compileTrustedProxies([]).has('')).toBe(false);
  });
});

describe('a client that comes by itself', () => {
  const fields = { 'X-Forwarded-For': '198.51.100.1', 'X-Request-Id': 'mine' };
  it('has the address of the peer and a fresh id, whatever it says', () => {
    expect(client({ peer: '203.0.113.9', fields })).toEqual({
      address: '203.0.113.9',
      viaTrusted: false,
      connection: 'fresh',
      id: 'fresh',
    });
  });
  it('has an IPv4 address on an IPv6 socket', () =>
    expect(client({ peer: '::ffff:203.0.113.9', fields }).address).toBe('203.0.113.9'));
  it('has no address on a unix socket', () =>
    expect(client({ peer: '', fields })).toEqual({ address: '', viaTrusted: false, id: 'fresh', connection: 'fresh' }));
});

describe('X-Forwarded-For of a trusted peer, right to left', () => {
  it('missing: the peer itself', () => expect(client({}).address).toBe('10.0.0.1'));
  it('is believed through an IPv4-mapped peer', () =>
    expect(client({ peer: '::ffff:10.0.0.1', fields: { 'X-Forwarded-For': '198.51.100.1' } }).address).toBe(
      '198.51.100.1',
    ));
  it.each([
    ['one hop', ['198.51.100.1'], '198.51.100.1'],
    ['the client wrote a chain of its own', ['1.1.1.1, 198.51.100.1'], '198.51.100.1'],
    ['the client claims to be a trusted proxy', ['10.9.9.9, 198.51.100.1'], '198.51.100.1'],
    ['trusted proxies between', ['198.51.100.1, 10.0.0.3, 192.0.2.1'], '198.51.100.1'],
    ['trusted ones only', ['10.0.0.4, 10.0.0.3'], '10.0.0.4'],
    ['over lines', ['1.1.1.1', '198.51.100.1', '10.0.0.3'], '198.51.100.1'],
    ['empty elements', [',198.51.100.1,,\t10.0.0.3,'], '198.51.100.1'],
    ['empty', [''], '10.0.0.1'],
    ['a port', ['198.51.100.1:4711'], '198.51.100.1'],
    ['IPv6', ['2001:db8::9'], '2001:db8::9'],
    ['IPv6 in brackets', ['[2001:db8::9]'], '2001:db8::9'],
    ['IPv6 in brackets with a port', ['[2001:db8::9]:4711'], '2001:db8::9'],
    ['IPv4-mapped', ['::ffff:198.51.100.1'], '198.51.100.1'],
    ['IPv4-mapped in brackets', ['[::ffff:198.51.100.1]:1'], '198.51.100.1'],
    ['an IPv4-mapped trusted proxy', ['198.51.100.1, ::ffff:10.0.0.3'], '198.51.100.1'],
    ['no address: nobody before the proxy is known', ['unknown'], '10.0.0.1'],
    ['no address behind a trusted proxy', ['1.1.1.1, unknown, 10.0.0.3'], '10.0.0.3'],
    ['an obfuscated name', ['198.51.100.1, _hidden'], '10.0.0.1'],
    ['a number out of range', ['198.51.100.256'], '10.0.0.1'],
    ['a leading zero', ['198.51.100.01'], '10.0.0.1'],
    ['brackets around junk', ['[junk]'], '10.0.0.1'],
    ['quotes', ['"198.51.100.1"'], '10.0.0.1'],
    ['a script', ['<script>'], '10.0.0.1'],
  ])('%s', (_, lines, address) => expect(addressOf(...lines)).toBe(address));
});

describe('X-Request-Id of a trusted peer', () => {
  const idOf = (id: string | string[]) => client({ fields: { 'X-Request-Id': id } }).id;
  it.each(['a', 'A-1._b', '0'.repeat(128)])('%s is kept', (id) => expect(idOf(id)).toBe(id));
  it.each(['', 'a b', 'a,b', 'a"b', 'é', 'a\u2028', '0'.repeat(129), '{}'])('%j is replaced', (id) =>
    expect(idOf(id)).toBe('fresh'),
  );
  it('missing: the fresh one', () => expect(client({}).id).toBe('fresh'));
  it('twice: the first', () => expect(idOf(['one', 'two'])).toBe('one'));
  it('never names the connection', () =>
    expect(client({ fields: { 'X-Request-Id': 'theirs' } })).toMatchObject({ id: 'theirs', connection: 'fresh' }));
});

describe('forwarding fields by name', () => {
  it.each([
    'forwarded',
    'x-forwarded-for',
    'x-forwarded-proto',
    'x-forwarded-anything',
    'x-real-ip',
    'x-request-id',
    'x_forwarded_for',
    'x-forwarded_for',
    'x_real_ip',
    'x_request-id',
  ])('%s is one', (name) => expect(isForwardingField(name)).toBe(true));
  it.each(['x-forwarded', 'forwarded-for', 'x-real-ip-2', 'x-custom', 'x_custom', 'via'])('%s is none', (name) =>
    expect(isForwardingField(name)).toBe(false),
  );
  it('pass from a trusted peer only, unless we write them ourselves or they are an alias', () => {
    const via = { address: '', viaTrusted: true, id: '', connection: '' };
    expect(mayPass('forwarded', via)).toBe(false);
    expect(mayPass('x-real-ip', via)).toBe(true);
    expect(mayPass('x-forwarded-port', via)).toBe(true);
    expect(mayPass('x-forwarded-for', via)).toBe(false);
    expect(mayPass('x-request-id', via)).toBe(false);
    expect(mayPass('x_real_ip', via)).toBe(false);
    expect(mayPass('x-real-ip', { ...via, viaTrusted: false })).toBe(false);
  });
});

describe('what the backend is told', () => {
  const told = (change: Change, host = 'app.example.com') => {
    const head = plainHead(change);
    return forwardingFields(head, attribute(head, trusted, () => 'fresh').client, host);
  };
  const said = {
    'X-Forwarded-For': ['1.1.1.1, 2.2.2.2', '3.3.3.3'],
    'X-Forwarded-Proto': 'https',
    'X-Forwarded-Host': 'front.example',
    'X-Request-Id': 'theirs',
  };
  it('of an untrusted peer: what the gateway knows itself', () => {
    expect(told({ fields: said })).toEqual([
      ...['X-Forwarded-For', '203.0.113.9', 'X-Forwarded-Proto', 'http'],
      ...['X-Forwarded-Host', 'app.example.com', 'X-Request-Id', 'fresh'],
    ]);
  });
  it('of TLS: https', () => expect(told({ secure: true })).toContain('https'));
  it('of a trusted peer: its chain and one more, its proto, host and id', () => {
    expect(told({ peer: '10.0.0.1', fields: said })).toEqual([
      ...['X-Forwarded-For', '1.1.1.1, 2.2.2.2, 3.3.3.3, 10.0.0.1', 'X-Forwarded-Proto', 'https'],
      ...['X-Forwarded-Host', 'front.example', 'X-Request-Id', 'theirs'],
    ]);
  });
  it('of a trusted peer that says nothing, or empty values: the same as of any', () => {
    const ours = ['X-Forwarded-For', '10.0.0.1', 'X-Forwarded-Proto', 'https'].concat([
      'X-Forwarded-Host',
      'app.example.com',
      'X-Request-Id',
      'fresh',
    ]);
    expect(told({ peer: '10.0.0.1', secure: true })).toEqual(ours);
    const fields = { 'X-Forwarded-For': '', 'X-Forwarded-Proto': '', 'X-Forwarded-Host': '', 'X-Request-Id': '' };
    expect(told({ peer: '10.0.0.1', secure: true, fields })).toEqual(ours);
  });
  it('of a unix socket without Host: no address and no host', () => {
    expect(told({ peer: '' }, '')).toEqual(['X-Forwarded-Proto', 'http', 'X-Request-Id', 'fresh']);
  });
  it('in the words of RFC 7239: an address of IPv6 in quotes, an unknown peer, no host', () => {
    const forwarded = (change: Change, host: string) => {
      const head = plainHead(change);
      return forwardingFields(head, attribute(head, trusted, () => 'fresh').client, host, 'forwarded');
    };
    expect(forwarded({ peer: '2001:db8::1' }, 'a.example:80')).toEqual([
      ...['Forwarded', 'for="[2001:db8::1]";host="a.example:80";proto=http', 'X-Request-Id', 'fresh'],
    ]);
    expect(forwarded({ peer: '' }, '')).toEqual(['Forwarded', 'for=unknown;proto=http', 'X-Request-Id', 'fresh']);
  });
});

describe('Forwarded of a trusted peer', () => {
  const from = (believe: 'auto' | 'x-forwarded' | 'forwarded', ...forwarded: string[]) => {
    const proxies = compileTrustedProxies(['10.0.0.0/8'], believe);
    const known = (change: Change) => {
      const { head, client: who } = attribute(plainHead({ peer: '10.0.0.1', ...change }), proxies, () => 'fresh');
      const told = (out?: Forwarding) => forwardingFields(head, who, 'app.example.com', out).join(' | ');
      return { head, who, told };
    };
    return {
      known,
      said: (more: NonNullable<Change['fields']> = {}) => known({ fields: { Forwarded: forwarded, ...more } }),
    };
  };
  const addressOf = (...lines: string[]) => from('forwarded', ...lines).said().who.address;

  it.each([
    ['one hop', ['for=198.51.100.1'], '198.51.100.1'],
    ['IPv6 with a port', ['for="[2001:db8::9]:4711"'], '2001:db8::9'],
    ['the client wrote a chain of its own', ['for=1.1.1.1, for=198.51.100.1'], '198.51.100.1'],
    ['the client claims to be a trusted proxy', ['for=10.9.9.9, for=198.51.100.1'], '198.51.100.1'],
    ['trusted proxies between', ['for=198.51.100.1, for=10.0.0.3', 'for="10.0.0.2:1"'], '198.51.100.1'],
    ['trusted ones only', ['for=10.0.0.4'], '10.0.0.4'],
    ['hidden: nobody before the proxy is known', ['for=1.1.1.1, for=_hidden'], '10.0.0.1'],
    ['unknown behind a trusted proxy', ['for=1.1.1.1, for=unknown, for=10.0.0.3'], '10.0.0.3'],
    ['malformed', ['for=1.1.1.1, for="'], '10.0.0.1'],
    ['a quote that the client left open', ['for=", for=198.51.100.1'], '198.51.100.1'],
    ['empty', [''], '10.0.0.1'],
  ])('%s', (_, lines, address) => expect(addressOf(...lines)).toBe(address));

  it("is nobody else's: of an untrusted peer nothing is read", () => {
    const { who, head } = from('forwarded').known({
      peer: '11.0.0.1',
      fields: { Forwarded: 'for=1.1.1.1;proto=https' },
    });
    expect([who.address, who.viaTrusted, head.secure]).toEqual(['11.0.0.1', false, false]);
  });
  it('proto and host are those of the hop of the client, or of the nearest behind it that says them', () => {
    const lines = [
      'for=1.1.1.1;proto=gopher;host=evil',
      'for=2.2.2.2;proto=https;host=front.example, for=10.0.0.2;proto=http',
    ];
    const { head, told, who } = from('forwarded', ...lines).said();
    expect([who.address, head.secure]).toEqual(['2.2.2.2', true]);
    expect(told()).toBe(
      'X-Forwarded-For | 1.1.1.1, 2.2.2.2, 10.0.0.2, 10.0.0.1 | X-Forwarded-Proto | https | X-Forwarded-Host | front.example | X-Request-Id | fresh',
    );
    const half = from('forwarded', 'for=2.2.2.2, for=10.0.0.2;proto=https').said();
    expect([half.who.address, half.head.secure]).toEqual(['2.2.2.2', true]);
    expect(from('forwarded', 'proto=https').said().head.secure).toBe(true);
  });
  it('hidden hops are unknown in X-Forwarded-For; in Forwarded they stand as they came', () => {
    const { told } = from('forwarded', 'for=_h, for="[2001:db8::1]"').said();
    expect(told()).toContain('X-Forwarded-For | unknown, 2001:db8::1, 10.0.0.1 |');
    expect(told('forwarded')).toContain('Forwarded | for=_h, for="[2001:db8::1]", for=10.0.0.1;host=app.example.com;');
  });

  const both = { 'X-Forwarded-For': '3.3.3.3', 'X-Forwarded-Proto': 'http', 'X-Forwarded-Host': 'x.example' };
  const line = 'for=2.2.2.2;proto=https;host=f.example';
  it('beside X-Forwarded-For is not read by default', () => {
    const { who, head, told } = from('auto', line).said(both);
    expect([who.address, head.secure]).toEqual(['3.3.3.3', false]);
    expect(told()).toContain(
      'X-Forwarded-For | 3.3.3.3, 10.0.0.1 | X-Forwarded-Proto | http | X-Forwarded-Host | x.example',
    );
    const alone = from('auto', line).said({ 'X-Forwarded-For': '3.3.3.3' });
    expect([alone.who.address, alone.head.secure]).toEqual(['3.3.3.3', false]);
    expect(mayPass('forwarded', who)).toBe(false);
    expect(mayPass('x-real-ip', who)).toBe(true);
  });
  it.each([{}, { 'X-Forwarded-For': '', 'X-Forwarded-Proto': 'http' }])(
    'is not read by default where a proxy hands it on and writes no X-Forwarded-For: %j',
    (fields) => {
      const { who, head, told } = from('auto', line).said(fields);
      expect([who.address, head.secure]).toEqual(['10.0.0.1', false]);
      expect(told('both')).toContain('Forwarded | for=10.0.0.1;host=app.example.com;proto=http');
      expect(mayPass('forwarded', who)).toBe(false);
    },
  );
  it('alone is believed with believe: forwarded', () => {
    const { who, head, told } = from('forwarded', line).said(both);
    expect([who.address, head.secure]).toEqual(['2.2.2.2', true]);
    expect(told()).toContain(
      'X-Forwarded-For | 2.2.2.2, 10.0.0.1 | X-Forwarded-Proto | https | X-Forwarded-Host | f.example',
    );
    expect(told('forwarded')).toContain(`Forwarded | ${line}, for=10.0.0.1;`);
    expect(mayPass('forwarded', who)).toBe(true);
    expect(mayPass('forwarded', who, 'both')).toBe(false);
    expect(mayPass('x-real-ip', who)).toBe(false);
    expect(mayPass('x-forwarded-port', who)).toBe(false);
    expect(from('forwarded').known({ fields: both }).who.address).toBe('10.0.0.1');
  });
  it('is not believed with believe: x-forwarded', () => {
    const { who, head, told } = from('x-forwarded', line).said();
    expect([who.address, head.secure]).toEqual(['10.0.0.1', false]);
    expect(told('forwarded')).toContain('Forwarded | for=10.0.0.1;host=app.example.com;proto=http');
    expect(mayPass('forwarded', who)).toBe(false);
    expect(mayPass('x-real-ip', who)).toBe(true);
    expect(from('x-forwarded', line).said(both).who.address).toBe('3.3.3.3');
  });
});
