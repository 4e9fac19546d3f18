// Connecting to one server by TCP and TLS: within its time, with the certificate checked, and without anything left where
// it fails. A certificate that is trusted needs a process told to trust it: that is e2e/listener-tls.test.ts.
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server as NetServer, type Socket } from 'node:net';
import { createSecureContext, createServer as createTlsServer, type TLSSocket, type TlsOptions } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { ClientClosed } from '../../../src/net/client-closed.ts';
import { dial, upstreamError } from '../../../src/net/dial.ts';
import { type Endpoint, ResumableSession } from '../../../src/net/endpoint.ts';
import { makeSelfSigned } from '../../../src/runtime/tls/self-signed.ts';
import { closedPort } from '../../support/scripted.ts';
import { TEST_TIMEOUT_MS } from '../../support/test-timeout.ts';

const never = new ClientClosed();
const open: { close(): void }[] = [];
afterEach(() => {
  for (const closable of open.splice(0)) closable.close();
});

/** Listens on a free port of 127.0.0.1; its connections live until the test ends. */
async function listen(secure?: TlsOptions): Promise<{ listening: NetServer; port: number; sockets: Socket[] }> {
  const listening = secure === undefined ? createServer({ allowHalfOpen: true }) : createTlsServer(secure);
  const sockets: Socket[] = [];
  listening.on('connection', (socket: Socket) => sockets.push(socket.on('error', () => {})));
  await once(listening.listen(0, '127.0.0.1'), 'listening');
  open.push({
    close: () => {
      listening.close();
      for (const socket of sockets) socket.destroy();
    },
  });
  return { listening, port: (listening.address() as AddressInfo).port, sockets };
}

const server = (port: number, change: Partial<Endpoint> = {}): Endpoint => ({
  url: `ws://127.0.0.1:${port}`,
  secure: false,
  host: '127.0.0.1',
  port,
  ...change,
});

describe('by TCP', () => {
  it('gives a socket from which nothing was read', async () => {
    const { listening, port } = await listen();
    listening.on('connection', (socket: Socket) => socket.write('early'));
    const socket = await dial(server(port), 2000, never);
    open.push({ close: () => socket.destroy() });
    expect(socket.readableFlowing).toBeNull();
    expect(socket.allowHalfOpen).toBe(true);
    expect(socket.listenerCount('error')).toBeGreaterThan(0);
    expect(String((await once(socket, 'data'))[0])).toBe('early');
  });

  it('sends a preamble before anything else', async () => {
    const { listening, port } = await listen();
    const arrived = once(listening, 'connection');
    const socket = await dial(server(port, { host: 'localhost' }), 2000, never, Buffer.from('first,'));
    open.push({ close: () => socket.destroy() });
    socket.end('then');
    const chunks: Buffer[] = [];
    for await (const chunk of (await arrived)[0] as Socket) chunks.push(chunk as Buffer);
    expect(Buffer.concat(chunks).toString()).toBe('first,then');
  });

  it('finds a host by its name', async () => {
    const { port } = await listen();
    const socket = await dial(server(port, { host: 'localhost' }), 2000, never);
    expect(socket.remotePort).toBe(port);
    socket.destroy();
  });

  it('is backend_refused where nobody listens', async () => {
    const to = server(await closedPort());
    await expect(dial(to, 2000, never)).rejects.toMatchObject({
      code: 'backend_refused',
      message: expect.stringContaining(`connecting to ${to.url}: `),
      cause: { code: 'ECONNREFUSED' },
    });
  });

  it('is backend_refused where the name is nobody’s', async () => {
    await expect(dial(server(1, { host: 'nobody.invalid' }), TEST_TIMEOUT_MS, never)).rejects.toMatchObject({
      code: 'backend_refused',
    });
  });

  it('is client_gone where the client has left, before or meanwhile', async () => {
    const { port } = await listen();
    const left = new ClientClosed();
    left.notify();
    await expect(dial(server(port), 2000, left)).rejects.toMatchObject({ code: 'client_gone' });
    const gone = new ClientClosed();
    const outcome = dial(server(port), 2000, gone);
    gone.notify();
    await expect(outcome).rejects.toMatchObject({ code: 'client_gone' });
  });

  it('hears an error that comes later', async () => {
    const { port, sockets } = await listen();
    const socket = await dial(server(port), 2000, never);
    await expect.poll(() => sockets.length).toBe(1);
    socket.resume();
    const closed = new Promise((resolve) => socket.once('close', resolve));
    sockets[0]!.resetAndDestroy();
    expect(await closed).toBe(true);
  });
});

/** A server whose certificate is trusted, and whose session is kept. */
const trusting = (port: number, ca: string): Endpoint => {
  const options = { secureContext: createSecureContext({ ca }), rejectUnauthorized: true };
  const tls = { id: '', serverName: null, options };
  return server(port, { secure: true, host: 'localhost', tls, resumable: new ResumableSession() });
};

describe('by TLS', () => {
  it('is backend_timeout where the server never shakes hands, and the connection ends', async () => {
    const { listening, port } = await listen();
    const ended = new Promise<void>((resolve) => {
      // Reading lets the end show; what it says is a ClientHello.
      listening.once('connection', (socket: Socket) => socket.resume().once('end', resolve));
    });
    await expect(dial(server(port, { secure: true }), 50, never)).rejects.toMatchObject({ code: 'backend_timeout' });
    await ended;
  });

  it.each([
    ['of an unknown issuer', 'localhost', /self.signed|unable to verify/i],
    ['for another name', '127.0.0.1', /self.signed|unable to verify|altname/i],
  ])('refuses a certificate %s', async (_, host, why) => {
    const { port } = await listen(makeSelfSigned(['localhost'], new Date()));
    const to = server(port, { host, secure: true, url: `wss://${host}:${port}` });
    await expect(dial(to, 5000, never)).rejects.toMatchObject({
      code: 'backend_refused',
      message: expect.stringMatching(why),
    });
  });

  it('is backend_refused where the server speaks no TLS', async () => {
    const { listening, port } = await listen();
    listening.on('connection', (socket: Socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    await expect(dial(server(port, { secure: true }), 5000, never)).rejects.toMatchObject({ code: 'backend_refused' });
  });

  describe.each([['TLSv1.2'], ['TLSv1.3']] as const)('%s', (version) => {
    it('resumes the session of the connection before, until one with it fails', async () => {
      const { cert, key } = makeSelfSigned(['localhost'], new Date());
      const { listening, port, sockets } = await listen({ cert, key, maxVersion: version });
      const resumed: boolean[] = [];
      listening.on('secureConnection', (socket: TLSSocket) => {
        resumed.push(socket.isSessionReused());
        socket.on('error', () => {}).write('x');
      });
      const to = trusting(port, cert);
      const connect = async () => {
        const socket = await dial(to, 5000, never);
        open.push({ close: () => socket.destroy() });
        // With TLS 1.3 the session comes before the first byte of the server, and is seen when that is read.
        await once(socket, 'data');
      };
      await connect();
      await connect();
      // A server of node's before 26 refuses the tickets of its first connection of TLS 1.3, and takes all others.
      await connect();
      listening.once('connection', (socket: Socket) => socket.destroy());
      await expect(dial(to, 5000, never)).rejects.toMatchObject({ code: 'backend_refused' });
      await connect();
      const second = version === 'TLSv1.2' ? true : resumed[1];
      expect(resumed).toEqual([false, second, true, false]);
      expect(sockets.length).toBe(5);
    });

    it('keeps no session of a server that has another name', async () => {
      const { cert, key } = makeSelfSigned(['other.example'], new Date());
      const { port } = await listen({ cert, key, maxVersion: version });
      const to = trusting(port, cert);
      for (let i = 0; i < 3; i++) {
        await expect(dial(to, 5000, never)).rejects.toMatchObject({ message: expect.stringMatching(/altnames/) });
      }
      expect(to.resumable?.latest).toBeNull();
    });
  });
});

describe('what broke', () => {
  it.each(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'EADDRNOTAVAIL'])('%s is our own shortage', (code) => {
    expect(upstreamError(Object.assign(new Error('no'), { code }), 'connecting')).toMatchObject({
      code: 'limit',
      source: 'internal',
      message: 'connecting: no',
    });
  });

  it.each([Object.assign(new Error('no'), { code: 'ECONNRESET' }), new Error('no'), 'no'])(
    '%s is the server’s',
    (error) => {
      expect(upstreamError(error, 'reading')).toMatchObject({ code: 'backend_refused', message: 'reading: no' });
      expect(upstreamError(error, 'reading').cause).toBe(error);
    },
  );
});
