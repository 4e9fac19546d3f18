// RFC 6455 §4.2.1, requirement by requirement: each test takes the valid handshake and breaks one thing.
import { describe, expect, it } from 'vitest';
import { readHandshake, wantsWebSocket } from '../../../src/handshake/handshake.ts';
import { type Change, handshakeHead, plainHead } from '../../support/heads.ts';

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const read = (change: Change, versions: readonly (13 | 8)[] = [13]) => readHandshake(handshakeHead(change), versions);
const refused = (reason: string, status: number) => expect.objectContaining({ reason, status });
const malformed = refused('malformed', 400);

describe('whether a request asks for a WebSocket', () => {
  const wants = (fields: NonNullable<Change['fields']>) => wantsWebSocket(handshakeHead({ fields }));
  it('the valid handshake does', () => expect(wants({})).toBe(true));
  it.each([
    ['Upgrade in another case', { Upgrade: 'WebSocket' }],
    ['Upgrade shouting', { Upgrade: 'WEBSOCKET' }],
    ['Upgrade as a list', { Upgrade: 'h2c, websocket' }],
    ['Upgrade over lines', { Upgrade: ['h2c', 'websocket'] }],
    ['Upgrade behind a tab', { Upgrade: '\twebsocket' }],
    ['Connection in lower case', { Connection: 'upgrade' }],
    ['Connection as Firefox sends it', { Connection: 'keep-alive, Upgrade' }],
    ['Connection behind a tab', { Connection: 'keep-alive,\tUpgrade' }],
    ['Connection over lines', { Connection: ['keep-alive', 'Upgrade'] }],
    ['Connection with empty elements', { Connection: ',,Upgrade,' }],
    ['names in lower case', { upgrade: 'websocket', connection: 'upgrade' }],
  ])('%s does', (_, fields) => expect(wants(fields)).toBe(true));
  it.each([
    ['no Upgrade', { Upgrade: null }],
    ['an empty Upgrade', { Upgrade: '' }],
    ['h2c', { Upgrade: 'h2c' }],
    ['a version behind the name', { Upgrade: 'websocket/13' }],
    ['a name that only begins so', { Upgrade: 'websockets' }],
    ['a quoted name', { Upgrade: '"websocket"' }],
    ['no Connection', { Connection: null }],
    ['Connection without upgrade', { Connection: 'keep-alive' }],
    ['Connection naming websocket', { Connection: 'websocket' }],
    ['the tokens in the wrong fields', { Upgrade: 'upgrade', Connection: 'websocket' }],
    ['upgrade without its comma', { Connection: 'keep-alive Upgrade' }],
  ])('%s does not', (_, fields) => expect(wants(fields)).toBe(false));
  it('a plain request does not', () => expect(wantsWebSocket(plainHead())).toBe(false));
});

describe('the valid handshake', () => {
  it('is read', () => {
    expect(read({})).toEqual({ key: KEY, version: 13, origin: 'https://app.example.com', offer: [], extensions: [] });
  });
  it('may be without Origin', () => expect(read({ fields: { Origin: null } })).toMatchObject({ origin: null }));
  it('may offer subprotocols and extensions', () => {
    const fields = {
      'Sec-WebSocket-Protocol': ['chat.v2, chat.v1', 'chat.v0'],
      'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits',
    };
    expect(read({ fields })).toMatchObject({
      offer: ['chat.v2', 'chat.v1', 'chat.v0'],
      extensions: [{ name: 'permessage-deflate', parameters: [['client_max_window_bits', null]] }],
    });
  });
  it('may say that it has a body of nothing', () =>
    expect(read({ fields: { 'Content-Length': '0' } })).toMatchObject({ key: KEY }));
  it('may hold fields that mean nothing here', () =>
    expect(read({ fields: { 'X-Other': '1', Cookie: 'a=b' } })).toMatchObject({ key: KEY }));
});

describe('request line', () => {
  it.each(['POST', 'HEAD', 'OPTIONS', 'DELETE', 'get', ''])('method %j is 405 with Allow', (method) =>
    expect(read({ method })).toEqual(
      expect.objectContaining({ reason: 'method', status: 405, fields: ['Allow', 'GET'] }),
    ),
  );
  it.each(['1.0', '0.9', '2.0'])('HTTP/%s is 400', (version) => expect(read({ version })).toEqual(malformed));
});

describe('a body', () => {
  it.each([
    ['of a length', { 'Content-Length': '1' }],
    ['of a length with zeros', { 'Content-Length': '0010' }],
    ['in chunks', { 'Transfer-Encoding': 'chunked' }],
  ])('%s is 400', (_, fields) => expect(read({ fields })).toEqual(malformed));
});

describe('Sec-WebSocket-Key', () => {
  it.each([
    ['with spaces around', `  ${KEY}\t`],
    ['of zeros', 'AAAAAAAAAAAAAAAAAAAAAA=='],
    ['of all that base64 has', 'ab+/AB01ab+/AB01ab+/AB=='],
  ])('%s passes, trimmed', (_, key) =>
    expect(read({ fields: { 'Sec-WebSocket-Key': key } })).toMatchObject({ key: key.trim() }),
  );
  it.each([
    ['missing', null],
    ['empty', ''],
    ['twice', [KEY, 'AAAAAAAAAAAAAAAAAAAAAA==']],
    ['twice the same', [KEY, KEY]],
    ['a list', `${KEY}, ${KEY}`],
    ['15 octets', 'AAAAAAAAAAAAAAAAAAAA'],
    ['15 octets, nearly', 'AAAAAAAAAAAAAAAAAAAAA==='],
    ['17 octets', 'AAAAAAAAAAAAAAAAAAAAAAA='],
    ['18 octets', 'AAAAAAAAAAAAAAAAAAAAAAAA'],
    ['without padding', 'dGhlIHNhbXBsZSBub25jZQ'],
    ['with half the padding', 'dGhlIHNhbXBsZSBub25jZQ='],
    ['with too much padding', `${KEY}=`],
    ['of the URL alphabet', 'dGhlIHNhbXBsZSBub25j-_=='],
    ['one digit short', 'dGhlIHNhbXBsZSBub25jZ=='],
    ['with a space inside', 'dGhlIHNhbXBs ZSBub25jZ=='],
    ['quoted', `"${KEY}"`],
    ['with a line end', `${KEY}\n`],
  ])('%s is 400 key', (_, key) => expect(read({ fields: { 'Sec-WebSocket-Key': key } })).toEqual(refused('key', 400)));
});

describe('Sec-WebSocket-Version', () => {
  const versionOf = (version: string | string[] | null, spoken?: (13 | 8)[]) =>
    read({ fields: { 'Sec-WebSocket-Version': version } }, spoken);
  it('13 passes, trimmed', () => expect(versionOf(' 13\t')).toMatchObject({ version: 13 }));
  it.each([
    ['missing', null],
    ['empty', ''],
    ['twice', ['13', '8']],
    ['twice the same', ['13', '13']],
    ['a list', '13, 8'],
    ['no number', 'thirteen'],
    ['a number and more', '13x'],
    ['a leading zero', '013'],
    ['a sign', '+13'],
    ['negative', '-13'],
    ['a fraction', '13.0'],
    ['hexadecimal', '0xd'],
    ['an exponent', '13e0'],
    ['too long', '1300'],
  ])('%s is 400', (_, version) => expect(versionOf(version)).toEqual(malformed));
  it('missing: the answer names the versions that are spoken (§4.4)', () =>
    expect(versionOf(null, [8, 13])).toMatchObject({
      detail: 'Sec-WebSocket-Version must be there once, as a number: 13, 8',
      fields: ['Sec-WebSocket-Version', '13, 8'],
    }));
  it.each(['0', '7', '8', '9', '12', '14', '25', '255', '999'])(
    '%s, which is not spoken, is 426 and says what is (§4.4)',
    (version) => {
      const rejection = versionOf(version);
      expect(rejection).toEqual(refused('version', 426));
      expect(rejection).toHaveProperty('fields', ['Upgrade', 'websocket', 'Sec-WebSocket-Version', '13']);
    },
  );
  it('the versions spoken are told newest first', () => {
    expect(versionOf('7', [8, 13])).toHaveProperty('fields.3', '13, 8');
  });
  it('8 passes where it is listed', () => expect(versionOf('8', [13, 8])).toMatchObject({ version: 8 }));
  it('13 is 426 where only 8 is listed', () => expect(versionOf('13', [8])).toHaveProperty('fields.3', '8'));
});

describe('Origin', () => {
  it('empty is there, and not missing', () => expect(read({ fields: { Origin: '' } })).toMatchObject({ origin: '' }));
  it('stays as the client wrote it', () =>
    expect(read({ fields: { Origin: ' HTTPS://App.Example.COM:443 ' } })).toMatchObject({
      origin: 'HTTPS://App.Example.COM:443',
    }));
  it('of version 8 is read from Sec-WebSocket-Origin', () => {
    const fields = { 'Sec-WebSocket-Version': '8', 'Sec-WebSocket-Origin': 'https://old.example' };
    expect(read({ fields }, [13, 8])).toMatchObject({ origin: 'https://old.example' });
  });
  it('of version 8 is not read from Origin', () => {
    expect(read({ fields: { 'Sec-WebSocket-Version': '8' } }, [13, 8])).toMatchObject({ version: 8, origin: null });
  });
  it('of version 13 is not read from Sec-WebSocket-Origin', () => {
    expect(read({ fields: { Origin: null, 'Sec-WebSocket-Origin': 'https://x' } })).toMatchObject({ origin: null });
  });
});

describe('lists', () => {
  it('a malformed offer is 400', () =>
    expect(read({ fields: { 'Sec-WebSocket-Protocol': 'a b' } })).toEqual(malformed));
  it('malformed extensions are 400', () =>
    expect(read({ fields: { 'Sec-WebSocket-Extensions': 'a; =' } })).toEqual(malformed));
});
