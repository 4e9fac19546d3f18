// The octets of heads that go out through node's outgoing messages: each field that node has a case of its own for, with
// each octet beyond ASCII, in front of and behind the others, in an answer and in a request.
import { once } from 'node:events';
import { createServer, request, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { NodeResponse } from '../../../../src/listen/node/client.ts';
import { lengthLast, writeOctets } from '../../../../src/proxy/framing.ts';
import { exchange } from '../../../support/raw.ts';

const NAMES = [
  ...['Content-Disposition', 'Date', 'Set-Cookie', 'Link', 'Expect', 'Trailer', 'X-Name', 'Content-Type', 'Location'],
  ...['ETag', 'Server', 'Vary', 'Age', 'content-disposition'],
];
const OCTETS = Array.from({ length: 128 }, (_, i) => String.fromCharCode(0x80 + i)).join('');
/** Latin1, valid UTF-8, and everything. */
const VALUES = ['a\xe9', 'a\xc3\xa9', OCTETS];
const ORDERS = ['before', 'behind'] as const;
const ENDINGS = ['whole', 'at once', 'flushed'] as const;

const CASES = NAMES.flatMap((name) => VALUES.flatMap((value) => ORDERS.map((order) => ({ name, value, order }))));

/** The fields with a Content-Length; a Trailer is only where there are chunks. */
function fieldsOf({ name, value, order }: (typeof CASES)[number]): string[] {
  if (name === 'Trailer') return [name, value, 'Transfer-Encoding', 'chunked'];
  return order === 'before' ? [name, value, 'Content-Length', '3'] : ['Content-Length', '3', name, value];
}

async function send(res: ServerResponse, one: (typeof CASES)[number], ending: (typeof ENDINGS)[number]): Promise<void> {
  const response = new NodeResponse(res);
  const framing = one.name === 'Trailer' ? 'chunked' : 'length';
  const head = { status: 200, phrase: 'F\xefne', fields: fieldsOf(one), framing } as const;
  if (ending === 'at once') return response.answer(head, Buffer.from('abc'));
  response.head(head);
  if (ending === 'flushed') await new Promise((resolve) => setImmediate(resolve));
  response.end(Buffer.from('abc'), []);
}

describe('an answer', () => {
  it.each(ENDINGS)('%s: every octet arrives as it is, whatever the field and its place', async (ending) => {
    let at = 0;
    const server = createServer((_, res) => {
      void send(res, CASES[at]!, ending);
    });
    server.on('connection', writeOctets).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    for (; at < CASES.length; at++) {
      const { name, value } = CASES[at]!;
      const text = (await exchange(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')).toString('latin1');
      expect(text.split('\r\n')[0]).toBe('HTTP/1.1 200 F\xefne');
      expect(text).toContain(`\r\n${name}: ${value}\r\n`);
      expect(text).toMatch(name === 'Trailer' ? /\r\n3\r\nabc\r\n0\r\n\r\n$/ : /\r\n\r\nabc$/);
    }
    server.close();
  });
});

describe('a request', () => {
  it.each([false, true])('every octet arrives as it is; its head flushed alone: %s', async (alone) => {
    const heads: string[] = [];
    const server = createTcpServer((socket) => {
      let text = '';
      socket.on('data', (part) => {
        text += part.toString('latin1');
        if (!text.includes('abc')) return;
        heads.push(text);
        socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    for (const one of CASES) {
      const headers = lengthLast(['Host', 'a', ...fieldsOf(one)]) as unknown as Record<string, string>;
      const sent = request({ port, host: '127.0.0.1', method: 'POST', headers, agent: false });
      sent.once('socket', writeOctets);
      if (alone) sent.flushHeaders();
      sent.end(Buffer.from('abc'));
      const [answer] = await once(sent, 'response');
      answer.resume();
      expect(heads.at(-1)).toContain(`\r\n${one.name}: ${one.value}\r\n`);
    }
    server.close();
  });
});
