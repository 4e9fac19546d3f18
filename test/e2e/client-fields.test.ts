// What of a message a client and a server get to see of each other, octet for octet, through the built gateway, with both
// HTTP engines, by HTTP/1.1 and by HTTP/2: fields that node's outgoing messages treat by their names, fields that are empty, that there are two of, and
// what a message has to have that is written in another version. Beside them what is no handshake, and what nobody forwards.
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Backend, type Peer, startBackend } from '../support/forwarding.ts';
import { type Gateway, OWN_SERVER, startGateway } from '../support/gateway.ts';
import { bothListeners, PROTOCOLS, targetOf } from '../support/protocols.ts';
import { ACCEPT, acceptOf, connectRaw, exchange, handshake, type RawConnection, readAnswer } from '../support/raw.ts';

const NAMES = ['Content-Disposition', 'Set-Cookie', 'Link', 'Date', 'Location', 'X-Name', 'Server', 'ETag'];
const OCTETS = Array.from({ length: 128 }, (_, i) => String.fromCharCode(0x80 + i)).join('');
const VALUES = ['a\xe9', 'a\xc3\xa9', OCTETS];

const ENGINES = [
  { engine: 'auto', relay: 'native' },
  { engine: 'http-proxy', relay: 'js' },
] as const;
const CASES = ENGINES.flatMap((engines) => PROTOCOLS.map((protocol) => ({ ...engines, protocol })));

describe.each(CASES)('with engine $engine and relay $relay by HTTP/$protocol', ({ engine, relay, protocol }) => {
  const http1 = protocol === '1.1';
  // Of some names node's HTTP/2 takes one value (docs/http2.md).
  const values = http1 ? VALUES : [OCTETS];
  /** A field line as the server gets it: HTTP/2 has names in lower case. */
  const sent = (line: string) => (http1 ? line : line.replace(/^[^:]+/, (name) => name.toLowerCase()));
  let backend: Backend;
  let gateway: Gateway;

  beforeAll(async () => {
    backend = await startBackend();
    gateway = await startGateway({
      listeners: bothListeners(),
      upstreams: { scripted: { servers: [`http://127.0.0.1:${backend.port}`] } },
      relay: { engine: relay },
      http: { engine },
      routes: [
        {
          name: 'listed',
          match: { path: '/listed/*' },
          websocket: { mode: 'splice', upstream: 'scripted', origins: 'any', subprotocols: ['chat'] },
        },
        { name: 'own', match: { path: '/own' }, respond: { status: 200, body: 'ol\u00e9' } },
        {
          name: 'all',
          match: { path: '/*' },
          http: { upstream: 'scripted' },
          websocket: { mode: 'splice', upstream: 'scripted', origins: 'any' },
        },
      ],
    });
  });

  afterAll(async () => {
    expect(await gateway?.stop()).toBe(0);
    backend?.close();
  });

  const clients: RawConnection[] = [];
  const peers: Peer[] = [];
  afterEach(async () => {
    for (const client of clients.splice(0)) client.socket.destroy();
    for (const peer of peers.splice(0)) {
      peer.socket.end();
      await peer.closed();
    }
  });

  let count = 0;
  const freshPath = (prefix = '') => `${prefix}/${++count}`;

  /** Sends a request, and waits for its head at the backend. */
  async function send(text: string): Promise<{ client: RawConnection; peer: Peer; head: string }> {
    const client = await connectRaw(targetOf(gateway, protocol));
    clients.push(client);
    client.write(Buffer.from(text, 'latin1'));
    const peer = await backend.next();
    peers.push(peer);
    const head = (await peer.until('\r\n\r\n')).split('\r\n\r\n')[0]!;
    return { client, peer, head };
  }

  const text = (client: RawConnection) => client.received().toString('latin1');
  const ask = async (bytes: string) =>
    readAnswer(await exchange(targetOf(gateway, protocol), Buffer.from(bytes, 'latin1')));

  describe('octets beyond ASCII', () => {
    it.each(['before', 'behind'] as const)(
      'in an answer with Content-Length %s them arrive as they are',
      async (order) => {
        const fields = NAMES.flatMap((name) => values.map((value) => `${name}: ${value}`));
        const lines = order === 'before' ? ['Content-Length: 2', ...fields] : [...fields, 'Content-Length: 2'];
        const { client, peer } = await send(`GET ${freshPath()} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
        peer.write(`HTTP/1.1 200 F\xefne\r\n${lines.join('\r\n')}\r\n\r\nok`);
        await client.closed();
        const [head = '', body] = text(client).split('\r\n\r\n');
        expect(head.split('\r\n').filter((line) => fields.includes(line))).toEqual(fields);
        // HTTP/2 has no phrase.
        expect([head.split('\r\n')[0], body]).toEqual([`HTTP/1.1 200 ${http1 ? 'F\xefne' : 'OK'}`, 'ok']);
      },
    );

    it('in the head of an answer that is sent before its body', async () => {
      const { client, peer } = await send(`GET ${freshPath()} HTTP/1.1\r\nHost: a\r\n\r\n`);
      const fields = ['Content-Type: text/event-stream', ...NAMES.map((name) => `${name}: ${OCTETS}`)];
      peer.write(`HTTP/1.1 200 F\xefne\r\n${fields.join('\r\n')}\r\nTransfer-Encoding: chunked\r\n\r\n`);
      await client.until('\r\n\r\n');
      expect(
        text(client)
          .split('\r\n')
          .filter((line) => fields.includes(line)),
      ).toEqual(fields);
      peer.write('0\r\n\r\n');
      await client.until('0\r\n\r\n');
    });

    it.each([
      ['without a body', 'GET', '', ''],
      ['with a length', 'POST', 'Content-Length: 2\r\n', 'ok'],
      ['in chunks', 'POST', 'Transfer-Encoding: chunked\r\n', '2\r\nok\r\n0\r\n\r\n'],
    ])('in a request %s', async (_, method, framing, body) => {
      const fields = NAMES.filter((name) => name !== 'Date').flatMap((name) =>
        values.map((value) => `${name}: ${value}`),
      );
      const start = `${method} ${freshPath()} HTTP/1.1\r\nHost: a\r\n`;
      const { client, peer, head } = await send(`${start}${framing}${fields.join('\r\n')}\r\n\r\n${body}`);
      const expected = fields.map(sent);
      expect(head.split('\r\n').filter((line) => expected.includes(line))).toEqual(expected);
      await peer.until(body);
      peer.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      await client.until('\r\n\r\nok');
    });

    it('in the body of an own answer are UTF-8, as its length says', async () => {
      const { body, fields } = await ask('GET /own HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
      expect(Buffer.from(body, 'latin1').toString('utf8')).toBe('ol\u00e9');
      expect(fields).toContainEqual(['Content-Length', '4']);
    });
  });

  if (http1)
    describe('a request in another version', () => {
      it('of HTTP/1.0 without Host gets the name of the server', async () => {
        const { client, peer, head } = await send(`GET ${freshPath()} HTTP/1.0\r\n\r\n`);
        expect(head).toContain(`\r\nHost: 127.0.0.1:${backend.port}\r\n`);
        expect(head).not.toMatch(/X-Forwarded-Host/i);
        peer.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
        await client.until('\r\n\r\nok');
      });
      it('of HTTP/1.0 with a Host keeps it', async () => {
        const { head } = await send(`GET ${freshPath()} HTTP/1.0\r\nHost: mine.test\r\n\r\n`);
        expect(head).toContain('\r\nHost: mine.test\r\n');
      });
    });

  describe('TE', () => {
    it.each<[string, string, string | undefined]>([
      ['HTTP/1.1', 'trailers', 'TE: trailers'],
      ['HTTP/1.1', 'deflate, Trailers;q=0.5, trailers', 'TE: trailers'],
      ['HTTP/1.1', 'deflate', undefined],
      ...(http1 ? [['HTTP/1.0', 'trailers', undefined] as [string, string, undefined]] : []),
    ])('of %s: %s', async (version, value, sent) => {
      const { head } = await send(`GET ${freshPath()} ${version}\r\nHost: a\r\nConnection: TE\r\nTE: ${value}\r\n\r\n`);
      expect(head.split('\r\n').find((line) => /^te:/i.test(line))).toBe(sent);
      expect(/^connection:.*\bte\b/im.test(head)).toBe(sent !== undefined);
    });
  });

  describe('what is not forwarded', () => {
    const plain = (start: string, ...lines: string[]) =>
      [`${start} HTTP/1.1`, 'Host: a', 'Connection: close', ...lines, '', ''].join('\r\n');
    const everywhere = [['TRACE', plain('TRACE /x'), 405, 'method', 'TRACE is not forwarded']] as const;
    const byHttp1 = [
      [
        'a coding beside chunked',
        `${plain('POST /x', 'Transfer-Encoding: gzip, chunked')}0\r\n\r\n`,
        501,
        'transfer_encoding',
        'the only supported Transfer-Encoding is chunked',
      ],
      [
        'two Authorizations',
        plain('GET /x', 'Authorization: Bearer a', 'Authorization: Basic b'),
        400,
        'malformed',
        'there is more than one Authorization',
      ],
      [
        'raw UTF-8 in a target',
        plain('GET /\xc3\xa9'),
        400,
        'malformed',
        'the target holds an octet that must be percent-encoded, such as one beyond ASCII or a blank',
      ],
    ] as const;
    it.each([...everywhere, ...(http1 ? byHttp1 : [])])('%s', async (_, bytes, status, reason, detail) => {
      const before = backend.connections();
      const answer = await ask(bytes);
      expect([answer.status, JSON.parse(answer.body).reason, JSON.parse(answer.body).detail]).toEqual([
        status,
        reason,
        detail,
      ]);
      await gateway.log({ status, reason, detail });
      expect(backend.connections()).toBe(before);
    });
  });

  it.each(['LIST', 'RDG_OUT_DATA'])(
    'a method that only a backend knows reaches it by our own server: %s',
    async (method) => {
      const bytes = `${method} ${freshPath()} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`;
      if (http1 && !OWN_SERVER) {
        const answer = await ask(bytes);
        const { reason, detail } = JSON.parse(answer.body);
        expect([answer.status, reason, detail]).toEqual([501, 'method', `the method ${method} is not known here`]);
        return;
      }
      const { client, peer, head } = await send(bytes);
      expect(head).toMatch(new RegExp(`^${method} /`));
      peer.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      expect((await client.closed()).bytes.toString()).toMatch(/^HTTP\/1\.1 200 OK/);
    },
  );

  if (http1)
    describe('an Upgrade to something else', () => {
      it.each(['tcp', 'SPDY/3.1'])('%s is dropped, and the log says so', async (protocol) => {
        const path = freshPath();
        const { client, peer, head } = await send(
          `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\n`,
        );
        expect(head).not.toMatch(/upgrade/i);
        peer.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
        await client.until('\r\n\r\nok');
        expect((await gateway.log({ event: 'upgrade_dropped', path }))['upgrade']).toBe(protocol);
      });
    });

  describe('a 101', () => {
    const switching = (...lines: string[]) =>
      ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Sec-WebSocket-Accept: ACCEPT', ...lines, '', ''].join(
        '\r\n',
      );
    async function open(answer: string, fields: Parameters<typeof handshake>[0] = {}, prefix = '') {
      const path = freshPath(prefix);
      const sent = await send(handshake(fields, `GET ${path} HTTP/1.1`));
      // By HTTP/2 the gateway has a key of its own.
      const key = /^sec-websocket-key: *(.*)$/im.exec(sent.head)?.[1] ?? '';
      sent.peer.write(answer.replace('ACCEPT', acceptOf(key)));
      await sent.client.until('\r\n\r\n');
      return { ...sent, path, answer: text(sent.client).split('\r\n\r\n')[0]!.split('\r\n') };
    }

    it('with an empty subprotocol, as Kubernetes sends one for exec, chooses none', async () => {
      const { answer, path } = await open(
        switching('Connection: Upgrade', 'Sec-WebSocket-Protocol: ', 'Sec-WebSocket-Extensions:'),
        { 'Sec-WebSocket-Protocol': 'v4.channel.k8s.io' },
      );
      expect(answer[0]).toBe('HTTP/1.1 101 Switching Protocols');
      expect(answer.filter((line) => /^sec-websocket-(protocol|extensions)/i.test(line))).toEqual([]);
      expect((await gateway.log({ event: 'session_opened', path }))['subprotocol']).toBeNull();
    });

    it('whose Connection names the accept key loses nothing by it', async () => {
      const { answer } = await open(switching('Connection: Upgrade, Sec-WebSocket-Accept, X-Hop', 'X-Hop: 1'));
      expect(answer).toContain(`Sec-WebSocket-Accept: ${ACCEPT}`);
      expect(answer).not.toContain('X-Hop: 1');
    });

    it.each([
      [{}, 'permessage-deflate'],
      [{ 'Sec-WebSocket-Extensions': 'permessage-deflate' }, 'permessage-deflate, x-mux'],
    ])('with an extension that was not offered is 502: offered %j, agreed %s', async (fields, agreed) => {
      const { answer, path } = await open(
        switching('Connection: Upgrade', `Sec-WebSocket-Extensions: ${agreed}`),
        fields,
      );
      expect(answer[0]).toBe('HTTP/1.1 502 Bad Gateway');
      const line = await gateway.log({ event: 'handshake_failed', path });
      expect(line['detail']).toMatch(/which was not offered$/);
    });

    it('with a subprotocol that the route does not list is passed on, and not logged', async () => {
      const secret = 'token.s3cret';
      const fields = { 'Sec-WebSocket-Protocol': secret };
      const { answer, path } = await open(
        switching('Connection: Upgrade', `Sec-WebSocket-Protocol: ${secret}`),
        fields,
      );
      expect(answer).toContain(`Sec-WebSocket-Protocol: ${secret}`);
      expect((await gateway.log({ event: 'session_opened', path }))['subprotocol']).toBeNull();
      expect((await gateway.admin('/connections')).text).not.toContain(secret);
      expect(gateway.output()).not.toContain('s3cret');
    });

    it('with one that it lists is logged', async () => {
      const fields = { 'Sec-WebSocket-Protocol': 'chat' };
      const { path } = await open(switching('Connection: Upgrade', 'Sec-WebSocket-Protocol: chat'), fields, '/listed');
      expect((await gateway.log({ event: 'session_opened', path }))['subprotocol']).toBe('chat');
    });
  });

  describe('a handshake', () => {
    it('with an empty offer of extensions and subprotocols offers none', async () => {
      const fields = { 'Sec-WebSocket-Protocol': '', 'Sec-WebSocket-Extensions': '' };
      const { head } = await send(handshake(fields, `GET ${freshPath()} HTTP/1.1`));
      expect(head).not.toMatch(/sec-websocket-(protocol|extensions)/i);
    });

    it('without a version is told which ones are spoken', async () => {
      const answer = await ask(handshake({ 'Sec-WebSocket-Version': null }, `GET ${freshPath()} HTTP/1.1`));
      expect(answer.status).toBe(400);
      expect(answer.fields).toContainEqual(['Sec-WebSocket-Version', '13']);
    });

    if (http1)
      it("with a tab behind its Connection is taken, but by node's server on node 20, where it has seen it", async () => {
        const bytes = handshake({ Connection: 'Upgrade\t' }, `GET ${freshPath()} HTTP/1.1`);
        // From node 24 on its parser strips the tab as well.
        const node20 = process.versions.node.startsWith('20.');
        if (OWN_SERVER || relay === 'native') expect((await send(bytes)).head).toMatch(/^Connection: Upgrade$/im);
        else if (node20) expect((await ask(bytes)).status).toBe(400);
      });
  });
});
