// The server's side of the handshake: the accept key, and judging a backend's 101 as strictly as a client would (§4.1).
import { describe, expect, it } from 'vitest';
import { acceptKey, checkUpgradeResponse } from '../../../src/handshake/accept.ts';
import { type AnswerHead, parseAnswerHead } from '../../../src/http/answer.ts';

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const VALID = {
  Upgrade: 'websocket',
  Connection: 'Upgrade',
  'Sec-WebSocket-Accept': 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
};

/** The valid 101 with fields changed; null removes one. */
function answer(change: Record<string, string | string[] | null>, line = 'HTTP/1.1 101 Switching Protocols') {
  const fields = Object.entries({ ...VALID, ...change }).flatMap(([name, values]) =>
    [values ?? []].flat().map((value) => `${name}: ${value}`),
  );
  return parseAnswerHead([line, ...fields].join('\r\n')) as AnswerHead;
}
const ASKED = {
  key: KEY,
  offer: [] as string[],
  extensions: [{ name: 'permessage-deflate', parameters: [] }],
};
const judge = (change: Record<string, string | string[] | null>, offer: string[] = []) =>
  checkUpgradeResponse(answer(change), { ...ASKED, offer });
const fault = (text: string) => ({ fault: expect.stringContaining(text) });

it('the accept key is that of RFC 6455 §1.3', () => expect(acceptKey(KEY)).toBe('s3pPLMBiTxaQ9kYGzzhZRbK+xOo='));

describe('a valid 101', () => {
  it.each([
    ['as it is', {}],
    ['Upgrade in another case', { Upgrade: 'WebSocket' }],
    ['Connection in another case, in a list', { Connection: 'keep-alive,\tUPGRADE' }],
    ['Connection over lines', { Connection: ['keep-alive', 'upgrade'] }],
    ['an accept key with spaces around', { 'Sec-WebSocket-Accept': `  ${VALID['Sec-WebSocket-Accept']}\t` }],
    ['an extension that was offered', { 'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits=12' }],
    ['no extension, said by an empty field', { 'Sec-WebSocket-Extensions': '' }],
    ['no subprotocol, said by an empty field', { 'Sec-WebSocket-Protocol': '' }],
  ])('%s', (_, change) => expect(judge(change)).toEqual({ subprotocol: null }));
  it('with another reason phrase', () => {
    const head = answer({}, 'HTTP/1.1 101 WebSocket Protocol Hybi-10');
    expect(checkUpgradeResponse(head, ASKED)).toEqual({ subprotocol: null });
  });
  it('with a subprotocol that was offered', () =>
    expect(judge({ 'Sec-WebSocket-Protocol': 'b' }, ['a', 'b'])).toEqual({ subprotocol: 'b' }));
  it('without one, though some were offered', () => expect(judge({}, ['a'])).toEqual({ subprotocol: null }));
});

describe('no valid 101', () => {
  it('of HTTP/1.0', () =>
    expect(checkUpgradeResponse(answer({}, 'HTTP/1.0 101 OK'), ASKED)).toEqual(fault('HTTP/1.1')));
  it.each([
    ['no Upgrade', { Upgrade: null }, 'Upgrade: websocket'],
    ['another Upgrade', { Upgrade: 'h2c' }, 'Upgrade: websocket'],
    ['no Connection', { Connection: null }, 'Connection: Upgrade'],
    ['another Connection', { Connection: 'close' }, 'Connection: Upgrade'],
    ['no accept key', { 'Sec-WebSocket-Accept': null }, 'Accept'],
    ['an empty accept key', { 'Sec-WebSocket-Accept': '' }, 'Accept'],
    ['the accept key of another', { 'Sec-WebSocket-Accept': acceptKey('AAAAAAAAAAAAAAAAAAAAAA==') }, 'Accept'],
    [
      'the accept key in another case',
      { 'Sec-WebSocket-Accept': VALID['Sec-WebSocket-Accept'].toLowerCase() },
      'Accept',
    ],
    ['two accept keys', { 'Sec-WebSocket-Accept': [VALID['Sec-WebSocket-Accept'], 'x'] }, 'Accept'],
    ['an extension that was not offered', { 'Sec-WebSocket-Extensions': 'x-mux' }, 'the extension x-mux'],
    [
      'an extension that was not offered beside one that was',
      { 'Sec-WebSocket-Extensions': ['permessage-deflate', 'x-mux'] },
      'the extension x-mux',
    ],
    ['malformed extensions', { 'Sec-WebSocket-Extensions': 'a b' }, 'Sec-WebSocket-Extensions is malformed'],
    ['two subprotocols, one of them empty', { 'Sec-WebSocket-Protocol': ['', 'a'] }, 'more than one'],
    ['a subprotocol that was not offered', { 'Sec-WebSocket-Protocol': 'c' }, 'not offered'],
    ['a subprotocol in another case', { 'Sec-WebSocket-Protocol': 'A' }, 'not offered'],
    ['a list of subprotocols', { 'Sec-WebSocket-Protocol': 'a, b' }, 'not offered'],
    ['two subprotocols', { 'Sec-WebSocket-Protocol': ['a', 'b'] }, 'more than one'],
  ])('%s', (_, change, why) => expect(judge(change, ['a', 'b'])).toEqual(fault(why)));
});
