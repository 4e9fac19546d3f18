// What `explain` is asked: a URL and options become the head that a client would send.
import { describe, expect, it } from 'vitest';
import { type ExplainOptions, parseExplainRequest } from '../../../../src/routing/explain/explain-request.ts';

function headOf(url: string, options: ExplainOptions = {}) {
  const question = parseExplainRequest(url, options);
  if (typeof question === 'string') throw new Error(question);
  return question.head;
}

describe('a question', () => {
  it('of wss is a valid handshake over TLS', () => {
    expect(headOf('wss://app.example.com/ws/chat?x=1')).toEqual({
      method: 'GET',
      target: '/ws/chat?x=1',
      version: '1.1',
      fields: [
        ...['Host', 'app.example.com', 'Connection', 'Upgrade', 'Upgrade', 'websocket'],
        ...['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version', '13'],
      ],
      names: ['host', 'connection', 'upgrade', 'sec-websocket-key', 'sec-websocket-version'],
      secure: true,
      peer: '127.0.0.1',
    });
  });
  it('of ws is one without TLS', () => expect(headOf('ws://h').secure).toBe(false));
  it.each([
    ['http', false],
    ['https', true],
  ])('of %s is a plain GET', (scheme, secure) => {
    expect(headOf(`${scheme}://h/a`)).toMatchObject({ target: '/a', fields: ['Host', 'h'], secure });
  });
  it('may give an Origin, to a plain request too', () => {
    expect(headOf('ws://h', { origin: 'https://o' }).fields).toEqual(expect.arrayContaining(['Origin', 'https://o']));
    expect(headOf('http://h', { origin: 'https://o' }).fields).toEqual(['Host', 'h', 'Origin', 'https://o']);
  });
  it('may give any version, also one that is none', () => {
    expect(headOf('ws://h', { version: '25' }).fields).toContain('25');
    expect(headOf('ws://h', { version: 'x' }).fields).toContain('x');
  });
  it('of version 8 gives its Origin as clients of it do', () => {
    const { fields } = headOf('ws://h', { version: '8', origin: 'https://o' });
    expect(fields).toContain('Sec-WebSocket-Origin');
    expect(fields).not.toContain('Origin');
  });
  it('may give subprotocols', () => {
    expect(headOf('ws://h', { protocol: 'a, b' }).fields.slice(-2)).toEqual(['Sec-WebSocket-Protocol', 'a, b']);
  });
  it.each([
    ['192.0.2.7', '192.0.2.7'],
    ['2001:db8::1', '2001:db8::1'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['unix', ''],
  ])('may come from %s', (from, peer) => expect(headOf('ws://h', { from }).peer).toBe(peer));
  it('may have further fields, behind the others', () => {
    const { fields, names } = headOf('http://h', { origin: 'https://a', header: ['X-A: 1 ', 'x-b:\té:', 'X-A:'] });
    expect(fields.slice(2)).toEqual(['Origin', 'https://a', 'X-A', '1', 'x-b', '\u00c3\u00a9:', 'X-A', '']);
    expect(names.slice(1)).toEqual(['origin', 'x-a', 'x-b', 'x-a']);
  });
  it.each([
    ['ws://h', '/'],
    ['ws://h?x', '/?x'],
    ['WS://H/A', '/A'],
    ['ws://h/ws/../admin', '/ws/../admin'],
    ['ws://h/%2e%2e/%', '/%2e%2e/%'],
    ['ws://h//x?a=b?c', '//x?a=b?c'],
    ['ws://h/é', '/\u00c3\u00a9'],
  ])('%s asks for %s, as it stands', (url, target) => expect(headOf(url).target).toBe(target));
  it.each([
    ['wss://h:443', 'h'],
    ['ws://h:80', 'h'],
    ['ws://h:443', 'h:443'],
    ['https://H.example:8443', 'h.example:8443'],
    ['ws://[::1]:9000', '[::1]:9000'],
  ])('%s has Host %s, as clients write it', (url, host) =>
    expect(headOf(url).fields.slice(0, 2)).toEqual(['Host', host]),
  );
  it('has values in octets', () => {
    expect(headOf('ws://h', { origin: 'https://bü' }).fields).toContain('https://b\u00c3\u00bc');
  });
});

describe('what is no question', () => {
  it.each([
    ['', 'is no URL'],
    ['app.example.com/ws', 'is no URL'],
    ['/ws', 'is no URL'],
    ['ws:/h', 'is no URL'],
    ['ftp://h', 'unknown scheme "ftp"'],
    ['constructor://h', 'unknown scheme'],
    ['wss://h/#a', '"#a" is a fragment'],
    ['wss://h#', 'is a fragment'],
    ['wss://', '"" is no host'],
    ['wss:///ws', '"" is no host'],
    ['wss://user@h/', 'is no host'],
    ['wss://h:99999/', 'is no host'],
    ['wss://bücher.example/', 'in ASCII'],
    ['wss://::1/', 'brackets'],
  ])('%j', (url, why) => expect(parseExplainRequest(url, {})).toEqual(expect.stringContaining(why)));
  it.each([
    ['http://h', { version: '13' }, '--version'],
    ['https://h', { protocol: 'a' }, '--protocol'],
    ['ws://h', { header: ['X-A'] }, '--header "X-A" is no "Name: value"'],
    ['ws://h', { header: ['ok: 1', ': x'] }, '--header ": x" is no "Name: value"'],
    ['ws://h', { header: ['X A: 1'] }, '--header "X A: 1" is no "Name: value"'],
    ['ws://h', { header: ['X-A: a\r\nX-B: b'] }, 'holds a control character'],
    ['ws://h', { from: 'localhost' }, '--from "localhost" is no IP address'],
    ['ws://h', { from: '' }, '--from'],
    ['ws://h', { from: 'UNIX' }, 'and not "unix"'],
    ['ws://h', { from: '10.0.0.0/8' }, '--from'],
    ['ws://h', { origin: 'a\r\nX: y' }, '--origin'],
    ['ws://h', { version: '13\n' }, '--version'],
    ['ws://h', { protocol: '\0' }, '--protocol'],
  ])('%s with %j', (url, options, why) =>
    expect(parseExplainRequest(url, options)).toEqual(expect.stringContaining(why)),
  );
});
