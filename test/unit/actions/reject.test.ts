// The gateway's refusals and another server's: whole, on a released connection and as the response to a plain request.
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  endAfterReading,
  passRequest,
  passUpgrade,
  refusalOf,
  rejectRequest,
  rejectUpgrade,
} from '../../../src/actions/reject.ts';
import { GatewayError } from '../../../src/errors.ts';
import { reject } from '../../../src/handshake/rejection.ts';
import { plainOf } from '../../support/action-fixture.ts';
import { readAll, type SocketPair, socketPair } from '../../support/socket-pair.ts';

const REQUEST = { id: 'id-1', method: 'GET' };
const OTHERS = { status: 402, phrase: 'Pay', answer: ['X-Why', 'because'], body: Buffer.from('no') };

it('an error’s cause is not the client’s to know', () => {
  const refusal = refusalOf(new GatewayError('backend_refused', 'ws://10.0.0.1:9 did not answer'));
  expect(refusal).toMatchObject({ reason: 'backend_refused', status: 502, fields: [] });
  expect(JSON.stringify(refusal)).not.toContain('10.0.0.1');
});

describe('a handshake', () => {
  let pair: SocketPair;
  beforeEach(async () => {
    pair = await socketPair();
  });
  afterEach(() => pair.close());

  it('gets a whole answer, and the end of its connection', async () => {
    rejectUpgrade(pair.accepted, reject('origin'), REQUEST);
    const [head, body] = (await readAll(pair.client)).split('\r\n\r\n') as [string, string];
    expect(head).toMatch(/^HTTP\/1\.1 403 Forbidden\r\n/);
    expect(head).toMatch(/\r\nConnection: close\r\n/);
    expect(head).toContain(`\r\nContent-Length: ${body.length}\r\n`);
    expect(JSON.parse(body)).toMatchObject({ status: 403, reason: 'origin', request_id: 'id-1' });
  });

  it('gets the answer also where it has sent what nobody reads', async () => {
    pair.client.write(Buffer.alloc(256 * 1024));
    rejectUpgrade(pair.accepted, reject('origin'), REQUEST);
    expect(await readAll(pair.client)).toMatch(/^HTTP\/1\.1 403 /);
    pair.client.end();
    await once(pair.accepted, 'close');
  });

  it('gets nothing where its connection can’t be written to, and that is closed', () => {
    pair.accepted.destroy();
    rejectUpgrade(pair.accepted, reject('origin'), REQUEST);
    expect(pair.accepted.destroyed).toBe(true);
  });

  it('that goes on sending is cut after two seconds', async () => {
    const before = performance.now();
    endAfterReading(pair.accepted);
    await once(pair.accepted, 'close');
    expect(performance.now() - before).toBeGreaterThan(1900);
  });

  it.each([
    ['GET', 'no'],
    ['HEAD', ''],
  ])('gets another server’s answer as it is, to %s with the body %j', async (method, body) => {
    passUpgrade(pair.accepted, OTHERS, { ...REQUEST, method });
    const head = 'HTTP/1.1 402 Pay\r\nX-Why: because\r\nContent-Length: 2\r\nConnection: close\r\n\r\n';
    expect(await readAll(pair.client)).toBe(head + body);
  });
});

describe('a plain request', () => {
  it('gets the refusal whole, and may be followed by another', () => {
    const { plain, answers, calls } = plainOf();
    rejectRequest(plain, reject('rate', undefined, ['Retry-After', '3']), 'id-1');
    expect(answers).toMatchObject([{ status: 429, phrase: null, framing: 'length' }]);
    expect(answers[0]?.fields).toEqual(expect.arrayContaining(['Retry-After', '3']));
    expect(JSON.parse(answers[0]?.body ?? '')).toMatchObject({ reason: 'rate', request_id: 'id-1' });
    expect(calls).toEqual([]);
  });

  it('whose answer has begun is broken off', () => {
    const { plain, answers, calls } = plainOf({ headersSent: true });
    rejectRequest(plain, reject('rate'), 'id-1');
    expect([answers, calls]).toEqual([[], ['cut']]);
  });

  it('with a body is the last one of its connection', () => {
    const refused = plainOf({ method: 'POST', hasBody: true });
    rejectRequest(refused.plain, reject('rate'), 'id-1');
    const passed = plainOf({ method: 'POST', hasBody: true });
    passRequest(passed.plain, OTHERS);
    expect([refused.calls, passed.calls]).toEqual([['closeAfter'], ['closeAfter']]);
  });

  it('that should have been an upgrade is told so in Connection', () => {
    const { plain, answers } = plainOf();
    rejectRequest(plain, reject('upgrade_required'), 'id-1');
    const { fields } = answers[0]!;
    expect(fields[fields.indexOf('Upgrade') + 1]).toBe('websocket');
    expect(fields[fields.indexOf('Connection') + 1]).toBe('Upgrade, close');
  });

  it('gets another server’s answer as it is', () => {
    const { plain, answers } = plainOf();
    passRequest(plain, OTHERS);
    const fields = ['X-Why', 'because', 'Content-Length', '2'];
    expect(answers).toEqual([{ status: 402, phrase: 'Pay', fields, framing: 'length', body: 'no' }]);
  });
});
