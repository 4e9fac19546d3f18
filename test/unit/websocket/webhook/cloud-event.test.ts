import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Reply } from '../../../../src/proxy/internal-client.ts';
import type { Opening } from '../../../../src/websocket/handler.ts';
import {
  buildEvent,
  connectContent,
  encodeAttribute,
  readConnectAnswer,
  readMessageAnswer,
  sign,
} from '../../../../src/websocket/webhook/cloud-event.ts';

const source = {
  connection: 'c1',
  hub: 'chat',
  host: 'app.example.com',
  signature: null,
  user: null,
  subprotocol: null,
  state: null,
  request: 'r-1',
};
const reply = (body: string | Buffer, fields: readonly string[] = []): Reply => ({
  status: 200,
  phrase: 'OK',
  fields,
  body: Buffer.from(body),
});

/** The values of a field. */
const valuesOf = (fields: readonly string[], name: string) =>
  fields.flatMap((field, i) => (i % 2 === 0 && field === name ? [fields[i + 1]] : []));

describe('an event', () => {
  it('leaves out what is not known', () => {
    const { fields } = buildEvent(source, 'message', { type: 'text/plain', body: Buffer.from('x') });
    for (const name of ['ce-signature', 'ce-userId', 'ce-subprotocol', 'ce-connectionState']) {
      expect(valuesOf(fields, name)).toEqual([]);
    }
  });

  it('has an id of its own, in ce-id and as the idempotency key', () => {
    const content = { type: 'text/plain', body: Buffer.from('x') };
    const [one, other] = [buildEvent(source, 'message', content), buildEvent(source, 'message', content)];
    expect(one.id).not.toBe(other.id);
    expect(valuesOf(one.fields, 'ce-id')).toEqual([one.id]);
    expect(valuesOf(one.fields, 'Idempotency-Key')).toEqual([one.id]);
  });

  it('is signed with each key over the id of the connection', () => {
    const hex = (key: string) => createHmac('sha256', key).update('c1').digest('hex');
    expect(sign(['a', 'b'], 'c1')).toBe(`sha256=${hex('a')},sha256=${hex('b')}`);
    expect(sign([], 'c1')).toBeNull();
  });
});

describe('encodeAttribute', () => {
  it.each([
    ['plain-1.~', 'plain-1.~'],
    ['a b', 'a%20b'],
    ['50% "x"', '50%25%20%22x%22'],
    ['ä€😀', '%C3%A4%E2%82%AC%F0%9F%98%80'],
    ['a\r\nX: y\0\u007f', 'a%0D%0AX:%20y%00%7F'],
    ['\ud800', '%EF%BF%BD'],
  ])('%j is %s', (value, encoded) => {
    expect(encodeAttribute(value)).toBe(encoded);
  });
});

describe('the content of connect', () => {
  it('holds names that are names of Object too, as data', () => {
    const opening = {
      request: {
        head: { fields: ['__proto__', 'x'], names: ['__proto__'], peer: '192.0.2.1', secure: false },
        target: { raw: '/', path: '/', query: '__proto__=1&constructor=2', authority: null },
        authority: null,
        host: 'h',
      },
      params: {},
      client: { address: '192.0.2.1', viaTrusted: false, id: 'id', connection: 'id' },
      offer: [],
    } as unknown as Opening;
    const text = connectContent(opening).body.toString();
    expect(text).toContain('"__proto__":["1"]');
    expect(text).toContain('"constructor":["2"]');
    expect(text).toContain('"__proto__":["x"]');
  });
});

describe('the answer to connect', () => {
  it.each([
    ['nothing', '', { user: null, subprotocol: undefined, state: null }],
    ['an empty object', '{}', { user: null, subprotocol: undefined, state: null }],
    ['a user', '{"userId":"u"}', { user: 'u', subprotocol: undefined, state: null }],
    ['an empty user', '{"userId":""}', { user: null, subprotocol: undefined, state: null }],
    ['a subprotocol', '{"subprotocol":"a"}', { user: null, subprotocol: 'a', state: null }],
    ['no subprotocol', '{"subprotocol":null}', { user: null, subprotocol: null, state: null }],
  ])('%s', (_, body, expected) => {
    expect(readConnectAnswer(reply(body), ['a', 'b'])).toEqual(expected);
  });

  it.each([
    ['{', 'no JSON object'],
    ['null', 'no JSON object'],
    ['"x"', 'no JSON object'],
    ['{"userId":{}}', 'no string'],
    [`{"userId":"${'x'.repeat(257)}"}`, 'more than 256'],
    ['{"subprotocol":"c"}', 'not offered'],
    ['{"subprotocol":1}', 'not offered'],
  ])('%s is a fault', (body, fault) => {
    expect(readConnectAnswer(reply(body), ['a', 'b'])).toEqual({ fault: expect.stringContaining(fault) });
  });

  it('takes a member that is called fault for nothing special', () => {
    expect(readConnectAnswer(reply('{"fault":"x"}'), [])).toEqual({ user: null, subprotocol: undefined, state: null });
  });

  it('bounds the state', () => {
    const state = (value: string) => readConnectAnswer(reply('', ['CE-ConnectionState', value]), []);
    expect(state('x'.repeat(8192))).toMatchObject({ state: 'x'.repeat(8192) });
    expect(state('x'.repeat(8193))).toEqual({ fault: expect.stringContaining('8192') });
  });
});

describe('the answer to a message', () => {
  it.each([
    ['text/plain', 'text'],
    ['TEXT/PLAIN;charset=utf-8', 'text'],
    ['application/json', 'text'],
    ['application/octet-stream', 'binary'],
  ])('of %s is a %s message', (type, expected) => {
    expect(readMessageAnswer(reply('x', ['content-type', type]))).toEqual({
      message: { type: expected, data: Buffer.from('x') },
      state: null,
    });
  });

  it('without a body is none, and may change the state', () => {
    expect(readMessageAnswer(reply('', ['ce-connectionState', 's']))).toEqual({ message: null, state: 's' });
  });
});
