// A head written anew without its upgrade, and the connection given back to node's server as if it had just begun.
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { readHead } from '../../../../src/http/head.ts';
import { headWithoutUpgrade, replayAsPlainHttp } from '../../../../src/listen/node/downgrade.ts';
import { makeSelfSigned } from '../../../../src/runtime/tls/self-signed.ts';
import { handshakeHead, plainHead } from '../../../support/heads.ts';
import { connectRaw } from '../../../support/raw.ts';

const lines = (text: string) => text.split('\r\n');

describe('a head without its upgrade', () => {
  it('is what the client sent, less the upgrade and its names in Connection', () => {
    const head = plainHead({
      method: 'POST',
      target: '/a?b=%2f',
      fields: {
        uPgrade: 'h2c',
        Connection: ['Upgrade, X-Mine', 'http2-settings,keep-alive'],
        'HTTP2-Settings': 'AAM',
        'X-Mine': '1',
        Cookie: ['a=1', 'b=2'],
        'Content-Length': '4',
      },
    });
    expect(lines(headWithoutUpgrade(head))).toEqual([
      'POST /a?b=%2f HTTP/1.1',
      'Host: app.example.com',
      'X-Mine: 1',
      'Cookie: a=1',
      'Cookie: b=2',
      'Content-Length: 4',
      'Connection: X-Mine, keep-alive',
      '',
      '',
    ]);
  });

  it('has no Connection where nothing is left of it, and keeps the version', () => {
    const head = handshakeHead({ version: '1.0', fields: { Connection: 'UPGRADE' } });
    const text = headWithoutUpgrade(head);
    expect(lines(text)[0]).toBe('GET /ws/chat HTTP/1.0');
    expect(text).not.toMatch(/^(connection|upgrade):/im);
    expect(text).toContain('\r\nSec-WebSocket-Version: 13\r\n');
  });

  it('keeps octets beyond ASCII as they are', () => {
    const head = plainHead({ fields: { 'X-Name': 'caf\xc3\xa9' } });
    expect(Buffer.from(headWithoutUpgrade(head), 'latin1').includes(Buffer.from('café'))).toBe(true);
  });
});

describe('a connection that is put back', () => {
  let server: Server | undefined;
  afterEach(() => {
    server?.close();
    server?.closeAllConnections();
  });

  async function serve(create: () => Server) {
    const seen: { url: string; upgrade: string | undefined; body: string }[] = [];
    const own = create();
    server = own;
    own.on('request', (req: IncomingMessage, res: ServerResponse) => {
      let body = '';
      req.on('data', (chunk) => {
        body += chunk;
      });
      req.on('end', () => {
        seen.push({ url: req.url ?? '', upgrade: req.headers.upgrade, body });
        res.end(`<${req.url}>`);
      });
    });
    own.on('upgrade', (req: IncomingMessage, socket: Socket, rest: Buffer) => {
      replayAsPlainHttp(own, socket, headWithoutUpgrade(readHead(req, false, '')), rest);
    });
    await once(own.listen(0, '127.0.0.1'), 'listening');
    return { port: (own.address() as AddressInfo).port, seen };
  }

  it.each([
    ['plain', () => createServer(), {}],
    [
      'TLS',
      () => createSecureServer(makeSelfSigned(['localhost'], new Date())),
      { tls: true, rejectUnauthorized: false },
    ],
  ] as const)('%s: is answered, body, pipelined request and another upgrade too', async (_, create, secure) => {
    const { port, seen } = await serve(create);
    const client = await connectRaw({ port, host: '127.0.0.1', ...secure });
    const upgrade = 'Host: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n';
    // Node that keeps the body of an upgrade is not asked for one with a body (listener.ts).
    const body = Number(process.versions.node.split('.')[0]) < 26 ? 'body' : '';
    client.write(`POST /one HTTP/1.1\r\n${upgrade}Content-Length: ${body.length}\r\n\r\n${body.slice(0, 2)}`);
    client.write(`${body.slice(2)}GET /two HTTP/1.1\r\nHost: a\r\n\r\n`);
    await client.until('</two>');
    client.write(`GET /three HTTP/1.1\r\n${upgrade}\r\n`);
    await client.until('</three>');
    expect(seen).toEqual([
      { url: '/one', upgrade: undefined, body },
      { url: '/two', upgrade: undefined, body: '' },
      { url: '/three', upgrade: undefined, body: '' },
    ]);
    client.socket.destroy();
  });
});
