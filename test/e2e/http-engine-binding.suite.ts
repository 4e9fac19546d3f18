// HTTP engines: connections to servers that one client has authenticated (RFC 4559 §6).
import { expect, it } from 'vitest';
import { readMessage } from '../support/forwarding.ts';
import type { Stages } from './http-engine.suite.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const ANONYMOUS = 'GET /first HTTP/1.1\r\nHost: a\r\n\r\n';
const LOGIN = ANONYMOUS.replace('\r\n\r\n', '\r\nAuthorization: NTLM TlRMTVNTUAAB\r\n\r\n');

/** A client that sends `request` and is answered with `field`: its connection is its own, and ends with it. */
async function expectOwn(stages: Stages, request: string, field: string): Promise<void> {
  const stage = await stages.set();
  const { peer, client } = await stage.ask(request);
  peer.write(`HTTP/1.1 401 No\r\n${field}Content-Length: 2\r\n\r\nno`);
  await client.until('\r\n\r\nno');
  await stage.front.ending();
  // Another client gets another one.
  const other = await stage.client();
  other.write('GET /other HTTP/1.1\r\nHost: a\r\n\r\n');
  const second = await stage.backend.next();
  await second.until('GET /other ');
  second.write(OK);
  await other.until('ok');
  await stage.front.ending();
  // The client itself gets its own.
  client.write('GET /again HTTP/1.1\r\nHost: a\r\n\r\n');
  await peer.until('GET /again ');
  peer.write(OK);
  await client.until('\r\n\r\nok');
  await stage.front.ending();
  client.socket.destroy();
  await peer.closed();
  expect(second.received()).not.toContain('/again');
  expect(stage.backend.connections()).toBe(2);
}

export function describeBinding(stages: Stages): void {
  it.each([
    ['NTLM', LOGIN],
    ['Negotiate', LOGIN.replace('NTLM', 'negotiate')],
  ])('11: a connection on which a client asks with %s is its own, and ends with it (RFC 4559 §6)', async (_, request) =>
    expectOwn(stages, request, ''),
  );

  it('a connection with another scheme is anybody’s', async () => {
    const stage = await stages.set();
    const { peer, client } = await stage.ask('GET /first HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer NTLM\r\n\r\n');
    peer.write('HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm="NTLM"\r\nContent-Length: 2\r\n\r\nno');
    await client.until('\r\n\r\nno');
    client.socket.destroy();
    await stage.front.ending();
    const other = await stage.client();
    other.write('GET /other HTTP/1.1\r\nHost: a\r\n\r\n');
    await peer.until('GET /other ');
  });

  it('a connection that is one client’s and that the server ends costs that client nothing but logging in again', async () => {
    const stage = await stages.set();
    const { peer, client } = await stage.ask(LOGIN);
    peer.write(OK);
    await client.until('ok');
    await stage.front.ending();
    peer.socket.end();
    await peer.closed();
    client.write('POST /again HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n');
    const fresh = await stage.backend.next();
    expect(readMessage(await fresh.until('\r\n\r\n')).startLine).toBe('POST /again HTTP/1.1');
  });
}

/** What an engine may go by that reads answers itself. */
export function describeToldBinding(stages: Stages): void {
  it.each([
    'WWW-Authenticate: NTLM',
    'WWW-Authenticate: Basic realm="a", Negotiate',
    'WWW-Authenticate: negotiate oRQwEqADCgEB',
    'Persistent-Auth: true',
  ])('a connection on which a client is told %s is its own, and ends with it', async (field) =>
    expectOwn(stages, ANONYMOUS, `${field}\r\n`),
  );
}
