// The table of refusals: what every row is answered with.
import { describe, expect, it } from 'vitest';
import { isRejection, REJECTIONS, type Reason, reject, rejectVersion } from '../../../src/handshake/rejection.ts';

describe('each reason has its status', () => {
  it.each([
    ['malformed', 400],
    ['method', 405],
    ['transfer_encoding', 501],
    ['key', 400],
    ['version', 426],
    ['upgrade_required', 426],
    ['address', 403],
    ['origin', 403],
    ['https_required', 308],
    ['misdirected', 421],
    ['no_route', 404],
    ['subprotocol', 400],
    ['name', 400],
    ['room_full', 503],
    ['too_many_rooms', 429],
    ['head_too_large', 431],
    ['body_too_large', 413],
    ['head_timeout', 408],
    ['https_required', 308],
    ['misdirected', 421],
    ['auth', 401],
    ['certificate', 403],
    ['revoked', 403],
    ['auth_unavailable', 503],
    ['client_limit', 429],
    ['rate', 429],
    ['ramp', 503],
    ['limit', 503],
    ['draining', 503],
    ['no_server', 503],
  ] as const)('%s: %d', (reason, status) => {
    expect(reject(reason)).toMatchObject({ reason, status, detail: REJECTIONS[reason].detail });
  });
  it('and there is no other', () => expect(Object.keys(REJECTIONS)).toHaveLength(28));
});

describe('fields that go with it', () => {
  it('405 says what is allowed', () => expect(reject('method').fields).toEqual(['Allow', 'GET']));
  it('426 says what to upgrade to (RFC 9110 §15.5.22)', () =>
    expect(reject('upgrade_required').fields).toEqual(['Upgrade', 'websocket']));
  it('426 of a version says which versions, newest first', () => {
    const versions = [8, 13] as const;
    expect(rejectVersion(versions).fields).toEqual(['Upgrade', 'websocket', 'Sec-WebSocket-Version', '13, 8']);
    expect(versions).toEqual([8, 13]);
  });
  it.each(['limit', 'draining', 'no_server', 'client_limit', 'auth_unavailable'] as const)(
    '%s says when to come again',
    (reason) => expect(reject(reason).fields).toEqual(['Retry-After', expect.stringMatching(/^[1-9]\d*$/)]),
  );
  it.each(['malformed', 'key', 'origin', 'no_route', 'subprotocol', 'head_too_large', 'head_timeout'] as const)(
    '%s has none',
    (reason) => expect(reject(reason).fields).toEqual([]),
  );
  it('can be given', () => expect(reject('method', undefined, ['Allow', 'PUT']).fields).toEqual(['Allow', 'PUT']));
});

it('a detail replaces that of the table', () => expect(reject('malformed', 'why').detail).toBe('why'));

it('a rejection can be told from what was asked for', () => {
  for (const reason of Object.keys(REJECTIONS) as Reason[]) expect(isRejection(reject(reason))).toBe(true);
  expect(isRejection([])).toBe(false);
  expect(isRejection({ key: '', version: 13, origin: null, offer: [] })).toBe(false);
});
