// Answers that the gateway gives by itself: to plain requests, and to handshakes of the same routes.
import { afterEach, describe, expect, it } from 'vitest';
import { respond, respondUpgrade } from '../../../src/actions/respond.ts';
import { actionFixture, plainOf, verdictOn } from '../../support/action-fixture.ts';
import { handshakeHead, plainHead } from '../../support/heads.ts';
import { readAll, socketPair } from '../../support/socket-pair.ts';

const FIXED = { respond: { status: 200, body: 'hello', headers: { 'X-Of': '{client_ip}' } } };

const cleanup: (() => void)[] = [];
afterEach(() => {
  for (const undo of cleanup.splice(0)) undo();
});

describe('a plain request', () => {
  it('gets the fixed answer, and is reported', () => {
    const { context, events } = actionFixture();
    const { plain, answers, calls } = plainOf();
    respond(context, verdictOn('respond', FIXED, plainHead()), plain);
    expect(answers).toMatchObject([{ status: 200, framing: 'length', body: 'hello' }]);
    expect(answers[0]?.fields).toEqual(expect.arrayContaining(['Content-Length', '5', 'X-Of', '192.0.2.1']));
    expect(calls).toEqual([]);
    expect(events).toEqual([
      expect.objectContaining({ type: 'request_completed', status: 200, reason: null, at: null }),
    ]);
  });

  it.each([
    [204, 'none', null, []],
    [304, 'none', null, []],
    [404, 'length', '', ['Content-Length', '0']],
  ])('gets %i without a body, and its length where one is allowed', (status, framing, body, expected) => {
    const { plain, answers } = plainOf();
    respond(actionFixture().context, verdictOn('respond', { respond: { status } }, plainHead()), plain);
    expect(answers).toMatchObject([{ status, framing, body }]);
    const { fields } = answers[0]!;
    const at = fields.indexOf('Content-Length');
    expect(at < 0 ? [] : fields.slice(at, at + 2)).toEqual(expected);
  });

  it('gets a redirect to where it asked, elsewhere', () => {
    const { plain, answers } = plainOf();
    const route = { match: { scheme: 'http' }, redirect: { scheme: 'https', status: 301 } };
    respond(actionFixture().context, verdictOn('respond', route, plainHead({ target: '/a?b=c' })), plain);
    const { status, fields } = answers[0]!;
    expect([status, fields[fields.indexOf('Location') + 1]]).toEqual([301, 'https://app.example.com/a?b=c']);
  });

  it('with a body is the last one of its connection', () => {
    const { plain, calls } = plainOf({ method: 'POST', hasBody: true });
    respond(actionFixture().context, verdictOn('respond', FIXED, plainHead({ method: 'POST' })), plain);
    expect(calls).toEqual(['closeAfter']);
  });
});

describe('a handshake', () => {
  it('gets the same answer, whole, and the end of its connection', async () => {
    const { context, events } = actionFixture();
    const pair = await socketPair();
    cleanup.push(pair.close);
    respondUpgrade(context, verdictOn('respond', FIXED, handshakeHead()), pair.accepted);
    const text = await readAll(pair.client);
    expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(text).toMatch(/\r\nConnection: close\r\n(?:.*\r\n)*\r\nhello$/);
    const reported = { type: 'request_completed', status: 200, bytesToClient: text.length };
    expect(events).toEqual([expect.objectContaining(reported)]);
  });
});
