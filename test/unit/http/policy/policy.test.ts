// Which fields cross the gateway, in both directions.
import { describe, expect, it } from 'vitest';
import { attribute, compileTrustedProxies } from '../../../../src/http/forwarding/forwarded.ts';
import { type FieldRules, requestFields, responseFields } from '../../../../src/http/policy/policy.ts';
import { type Change, handshakeHead, plainHead, requestOf } from '../../../support/heads.ts';

const trusted = compileTrustedProxies(['10.0.0.1']);
const none: ReadonlySet<string> = new Set();

/** The fields for the backend as pairs, forwarding fields of our own last. */
function crossing(change: Change, skip: ReadonlySet<string> = none, base = plainHead): string[][] {
  const request = requestOf(base(change));
  const client = attribute(request.head, trusted, () => 'fresh').client;
  const fields = requestFields({ request, client, route: 'r', params: {}, claims: null, granted: [] }, skip);
  return fields.flatMap((name, i) => (i % 2 === 0 ? [[name, fields[i + 1] as string]] : []));
}
const OURS = [
  ['X-Forwarded-For', '203.0.113.9'],
  ['X-Forwarded-Proto', 'http'],
  ['X-Forwarded-Host', 'app.example.com'],
  ['X-Request-Id', 'fresh'],
];

describe('to the backend', () => {
  it('Host comes first, the rest in its order and casing, repetitions kept, then ours', () => {
    const fields = { Accept: '*/*', host: 'app.example.com', 'X-B': ['1', ' 2\t'], cookie: 'a=b' };
    expect(crossing({ fields })).toEqual([
      ['Host', 'app.example.com'],
      ['Accept', '*/*'],
      ['X-B', '1'],
      ['X-B', '2'],
      ['cookie', 'a=b'],
      ...OURS,
    ]);
  });
  it('the authority of an absolute-form target replaces Host', () => {
    const fields = crossing({ target: 'http://real.example/', fields: { Host: 'other.example' } });
    expect(fields).toContainEqual(['Host', 'real.example']);
    expect(fields).toContainEqual(['X-Forwarded-Host', 'real.example']);
    expect(fields.flat()).not.toContain('other.example');
  });
  it('an HTTP/1.0 request without Host gets none', () => {
    expect(crossing({ version: '1.0', fields: { Host: null } })).toEqual(
      OURS.filter(([name]) => name !== 'X-Forwarded-Host'),
    );
  });
  it.each([
    'Connection',
    'Keep-Alive',
    'Proxy-Connection',
    'Proxy-Authenticate',
    'Proxy-Authorization',
    'TE',
    'Upgrade',
    'HTTP2-Settings',
  ])('%s stays here', (name) =>
    expect(crossing({ fields: { [name]: 'x' } })).toEqual([['Host', 'app.example.com'], ...OURS]),
  );
  it('Transfer-Encoding stays here, as the body is framed anew', () => {
    expect(crossing({ method: 'POST', fields: { 'Transfer-Encoding': 'chunked' } }).flat()).not.toContain('chunked');
  });
  it('h2c passes without its upgrade', () => {
    const fields = { Upgrade: 'h2c', 'HTTP2-Settings': 'AAMAAABk', Connection: 'Upgrade, HTTP2-Settings', Accept: 'x' };
    expect(crossing({ fields })).toEqual([['Host', 'app.example.com'], ['Accept', 'x'], ...OURS]);
  });
  it('what Connection names stays here, in any case and over lines', () => {
    const fields = { Connection: ['close, X-One', ',\tx-TWO'], 'x-one': '1', 'X-Two': '2', 'X-Three': '3' };
    expect(crossing({ fields })).toEqual([['Host', 'app.example.com'], ['X-Three', '3'], ...OURS]);
  });
  it('further names are left out on demand', () => {
    const change = { fields: { 'Content-Length': '0', Accept: 'x' } };
    expect(crossing(change, new Set(['content-length'])).flat()).not.toContain('Content-Length');
    expect(crossing(change).flat()).toContain('Content-Length');
  });
  it('a handshake keeps all that the backend judges it by', () => {
    const names = crossing({}, none, handshakeHead).map(([name]) => name);
    expect(names).toEqual(
      ['Host', 'Sec-WebSocket-Key', 'Sec-WebSocket-Version', 'Origin'].concat(OURS.map(([name]) => name as string)),
    );
  });
});

describe('forwarding fields', () => {
  const claims = {
    Forwarded: 'for=1.1.1.1',
    'X-Forwarded-For': '1.1.1.1',
    'x-forwarded-proto': 'https',
    'X-Forwarded-Host': 'evil.example',
    'X-Forwarded-Port': '1',
    'X-Forwarded-Anything': '1',
    'X-Real-IP': '1.1.1.1',
    'X-Request-Id': 'mine',
  };
  it('of an untrusted peer are all removed', () => {
    expect(crossing({ fields: claims })).toEqual([['Host', 'app.example.com'], ...OURS]);
  });
  it('of an untrusted peer are removed under an alias with "_" too', () => {
    const aliases = Object.fromEntries(
      Object.entries(claims).map(([name, value]) => [name.replaceAll('-', '_'), value]),
    );
    expect(crossing({ fields: { ...aliases, 'X-Forwarded_For': '1.1.1.1' } })).toEqual([
      ['Host', 'app.example.com'],
      ...OURS,
    ]);
  });
  it('of a trusted peer go on where they are believed and not ours to write, but never under an alias', () => {
    const fields = { ...claims, X_Forwarded_For: '6.6.6.6', X_Real_IP: '6.6.6.6', x_forwarded_port: '6' };
    expect(crossing({ peer: '10.0.0.1', fields })).toEqual([
      ['Host', 'app.example.com'],
      ['X-Forwarded-Port', '1'],
      ['X-Forwarded-Anything', '1'],
      ['X-Real-IP', '1.1.1.1'],
      ['X-Forwarded-For', '1.1.1.1, 10.0.0.1'],
      ['X-Forwarded-Proto', 'https'],
      ['X-Forwarded-Host', 'evil.example'],
      ['X-Request-Id', 'mine'],
    ]);
  });
  it('cannot be taken away by naming them in Connection', () => {
    const Connection = 'close, X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, X-Real-IP, X-Request-Id';
    expect(crossing({ fields: { Connection } })).toEqual([['Host', 'app.example.com'], ...OURS]);
    expect(crossing({ peer: '10.0.0.1', fields: { Connection, 'X-Forwarded-For': '198.51.100.1' } })).toContainEqual([
      'X-Forwarded-For',
      '198.51.100.1, 10.0.0.1',
    ]);
  });
});

describe('aliases with "_" of other fields', () => {
  it.each(['Transfer_Encoding', 'Proxy_Authorization', 'Keep_Alive'])('%s stays here as its original does', (name) =>
    expect(crossing({ fields: { [name]: 'x' } })).toEqual([['Host', 'app.example.com'], ...OURS]),
  );
  it('one of a field that is left out is left out', () => {
    const skip = new Set(['sec-websocket-protocol']);
    const change = { fields: { Sec_WebSocket_Protocol: 'admin', 'Sec-WebSocket_Protocol': 'admin' } };
    expect(crossing(change, skip).flat()).not.toContain('admin');
  });
  it('one of a field that Connection names is left out, and so is one that it names itself', () => {
    const fields = { Connection: 'X-One, X_Two', X_One: '1', X_Two: '2' };
    expect(crossing({ fields })).toEqual([['Host', 'app.example.com'], ...OURS]);
  });
  it('other names with "_" pass', () => {
    expect(crossing({ fields: { my_field: '1' } })).toContainEqual(['my_field', '1']);
  });
});

describe('to the client', () => {
  it('all passes as it came but what belongs to the connection', () => {
    const fields = ['Server', 'x', 'Connection', 'X-Hop, close', 'x-hop', '1', 'Set-Cookie', 'a', 'set-cookie', 'b'];
    expect(responseFields([...fields, 'Transfer-Encoding', 'chunked', 'Keep-Alive', 'timeout=5'])).toEqual([
      ...['Server', 'x', 'Set-Cookie', 'a', 'set-cookie', 'b'],
    ]);
  });
  it("a backend's answer cannot look like a refusal of the gateway's own", () => {
    expect(responseFields(['x-Gateway-reason', 'origin', 'Date', 'd'])).toEqual(['Date', 'd']);
  });
  it('none stay none', () => expect(responseFields([])).toEqual([]));
});

describe('fields that come with credentials', () => {
  const client = { address: '203.0.113.9', viaTrusted: false, id: 'id', connection: 'id' };
  const sentWith = (request: FieldRules | null) => {
    const facts = { client, route: 'r', params: {}, claims: {}, granted: ['X-User', 'ada'] };
    const head = plainHead({ fields: { 'x-user': 'root', X_User: 'root', 'X-Old': '1' } });
    const plain = { forwarding: 'x-forwarded', via: null, host: 'keep', response: null, movesPaths: false } as const;
    const policy = { ...plain, request };
    return requestFields({ ...facts, request: requestOf(head) }, none, policy).filter((_, i, all) => {
      const name = (all[i - (i % 2)] as string).toLowerCase();
      return name.endsWith('user') || name === 'x-old';
    });
  };
  it('replace the client’s own of their names', () => expect(sentWith(null)).toEqual(['X-Old', '1', 'X-User', 'ada']));
  it('beside what the route changes', () =>
    expect(sentWith({ dropped: new Set(['x-old']), added: [] })).toEqual(['X-User', 'ada']));
  it('and a field whose value there is not is left out', () => {
    const added = [
      { name: 'X-Its-User', value: () => null },
      { name: 'X-Our-User', value: () => 'us' },
    ];
    expect(sentWith({ dropped: new Set(), added })).toEqual(['X-Old', '1', 'X-User', 'ada', 'X-Our-User', 'us']);
  });
});

it('a field that was granted without a value keeps the client’s own out, under either spelling, and is not sent', () => {
  const request = requestOf(plainHead({ fields: { 'X-User': 'mallory', X_Role: 'admin' } }));
  const client = { address: '203.0.113.9', viaTrusted: false, id: 'id', connection: 'id' };
  const granted = ['X_User', '', 'X-Role', ''];
  const fields = requestFields({ request, client, route: 'r', params: {}, claims: null, granted }, new Set());
  expect(fields.join(' ')).not.toMatch(/mallory|admin|X.User|X.Role/);
});
