// The gateway's own answers, to the byte.
import { describe, expect, it } from 'vitest';
import { reject } from '../../../src/handshake/rejection.ts';
import { buildRefusal, formatFields, formatHead, formatRefusal, phraseOf } from '../../../src/http/problem.ts';

const now = new Date(Date.UTC(2026, 0, 2, 3, 4, 5));

describe('a refusal', () => {
  it('is one whole response', () => {
    expect(formatRefusal(reject('origin'), { id: 'id-1', method: 'GET' }, now).toString('latin1')).toBe(
      [
        'HTTP/1.1 403 Forbidden',
        'Content-Type: application/problem+json',
        'Content-Length: 138',
        'Cache-Control: no-store',
        'X-Gateway-Reason: origin',
        'Connection: close',
        'Date: Fri, 02 Jan 2026 03:04:05 GMT',
        '',
        '{"type":"about:blank","title":"Forbidden","status":403,"reason":"origin","detail":"this Origin may not connect here","request_id":"id-1"}\n',
      ].join('\r\n'),
    );
  });
  it('names Upgrade in Connection where it carries one (RFC 9110 §7.8)', () => {
    const text = formatRefusal(reject('upgrade_required'), null, now).toString('latin1');
    expect(text).toContain('\r\nUpgrade: websocket\r\n');
    expect(text).toContain('\r\nConnection: Upgrade, close\r\n');
  });
  it('of a HEAD is the same head, and ends there (RFC 9110 §9.3.2)', () => {
    const answerTo = (method: string) => formatRefusal(reject('method'), { id: 'id-1', method }, now).toString();
    const [head, body] = answerTo('GET').split('\r\n\r\n');
    expect(body).not.toBe('');
    expect(answerTo('HEAD')).toBe(`${head}\r\n\r\n`);
  });
  it('carries the fields of its reason', () => {
    expect(buildRefusal(reject('draining'), null).fields).toEqual(expect.arrayContaining(['Retry-After', '5']));
  });
  it('has no id before there is one', () => {
    expect(JSON.parse(buildRefusal(reject('malformed'), null).body)).toEqual({
      type: 'about:blank',
      title: 'Bad Request',
      status: 400,
      reason: 'malformed',
      detail: 'the request is malformed',
    });
  });
  it('counts octets, not characters', () => {
    const { fields, body } = buildRefusal(reject('malformed', 'é€'), null);
    expect(fields[fields.indexOf('Content-Length') + 1]).toBe(String(Buffer.byteLength(body)));
    expect(Buffer.byteLength(body)).toBe(body.length + 3);
    const octets = formatRefusal(reject('malformed', 'é€'), null, now);
    expect(octets.subarray(octets.indexOf('\r\n\r\n') + 4)).toEqual(Buffer.from(body));
  });
});

describe('a head', () => {
  it('has the phrase of its status, or one given', () => {
    expect(formatHead(101, ['A', 'b', 'A', 'c'])).toBe('HTTP/1.1 101 Switching Protocols\r\nA: b\r\nA: c\r\n\r\n');
    expect(formatHead(200, [], 'Fine')).toBe('HTTP/1.1 200 Fine\r\n\r\n');
  });
  it('of a status that the gateway never answers has a phrase too', () => expect(phraseOf(299)).toBe('Unknown'));
  it.each([
    ['a\rb', 'c'],
    ['a', 'b\nc'],
    ['a', 'b\0'],
    ['a', '\u010d'],
  ])('is not written with the field %j: %j', (name, value) => {
    expect(() => formatFields(['X', 'y', name, value])).toThrow("can't be written");
  });
  it('may have no fields', () => expect(formatFields([])).toBe(''));
});
