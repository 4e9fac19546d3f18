// Which connections are taken for a challenge by ALPN, and that all others reach the server as they came, while one is open.
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect as connectPlain, createServer, type Server, type Socket } from 'node:net';
import { connect, createSecureContext, createServer as createTlsServer, type Server as TlsServer } from 'node:tls';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { makeChallengeCertificate } from '../../../src/acme/challenge-certificate.ts';
import { TlsAlpnChallenges } from '../../../src/listen/tls-alpn-challenges.ts';
import { makeSelfSigned } from '../../../src/runtime/tls/self-signed.ts';

const proof = makeChallengeCertificate('a.example', 'token.thumbprint', new Date());
const context = createSecureContext(proof);
const own = makeSelfSigned(['a.example'], new Date());
const open = { awaitsTls: true, contextFor: (name: string) => (name === 'a.example' ? context : null) };
const challenges = new TlsAlpnChallenges(open);
/** Sockets that were not taken, before anything of them was read again. */
let others = 0;
let behind: TlsServer;
let server: Server;
let timeoutMs: number;

beforeAll(async () => {
  behind = createTlsServer({ ...own, ALPNProtocols: ['h2', 'http/1.1'] }, (socket) => socket.end('hello'));
  behind.on('tlsClientError', (_error, socket) => socket.destroy());
  server = createServer((socket: Socket) =>
    challenges.take(socket, timeoutMs, () => {
      others++;
      behind.emit('connection', socket);
    }),
  );
  await once(server.listen(0, '127.0.0.1'), 'listening');
});
beforeEach(() => {
  others = 0;
  timeoutMs = 60_000;
  open.awaitsTls = true;
});
afterAll(() => server.close());

const at = () => ({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });

/** What a client sees: the certificate, the protocol, and what it is told. */
async function seenBy(ALPNProtocols: string[], maxVersion: 'TLSv1.2' | 'TLSv1.3', servername = 'a.example') {
  const socket = connect({ ...at(), servername, ALPNProtocols, maxVersion, rejectUnauthorized: false });
  let text = '';
  socket.on('data', (chunk) => (text += String(chunk)));
  await once(socket, 'secureConnect');
  const { raw } = socket.getPeerCertificate();
  const protocol = socket.alpnProtocol;
  await once(socket, 'close');
  return { cert: raw.equals(new X509Certificate(proof.cert).raw) ? 'proof' : 'own', protocol, text };
}

describe.each(['TLSv1.2', 'TLSv1.3'] as const)('a client of %s', (version) => {
  it('that offers acme-tls/1 alone gets the proof, and nothing else', async () => {
    expect(await seenBy(['acme-tls/1'], version)).toEqual({ cert: 'proof', protocol: 'acme-tls/1', text: '' });
    expect(others).toBe(0);
  });

  it.each<[string, string[], string | false]>([
    ['nothing', [], false],
    ['HTTP', ['h2', 'http/1.1'], 'h2'],
    ['acme-tls/1 beside HTTP', ['acme-tls/1', 'http/1.1'], 'http/1.1'],
  ])('that offers %s is served as ever', async (_, protocols, protocol) => {
    expect(await seenBy(protocols, version)).toEqual({ cert: 'own', protocol, text: 'hello' });
    expect(others).toBe(1);
  });

  it('that asks for a name without a challenge is refused', async () => {
    await expect(seenBy(['acme-tls/1'], version, 'b.example')).rejects.toThrow();
    expect(others).toBe(0);
  });
});

it('while no challenge is open nothing is read', async () => {
  open.awaitsTls = false;
  expect(await seenBy(['h2'], 'TLSv1.3')).toMatchObject({ cert: 'own' });
  const silent = connectPlain(at());
  await once(silent, 'connect');
  await expect.poll(() => others).toBe(2);
  silent.destroy();
});

it('what is no TLS goes on, and what says nothing is destroyed at its time', async () => {
  const http = connectPlain(at());
  http.on('error', () => {});
  http.write('GET / HTTP/1.1\r\n\r\n');
  await once(http, 'close');
  expect(others).toBe(1);
  timeoutMs = 20;
  const silent = connectPlain(at());
  await once(silent.resume(), 'close');
  expect(others).toBe(1);
});

it('those that are waited for are destroyed when the listener is cut', async () => {
  const silent = connectPlain(at());
  const connected = once(server, 'connection');
  await once(silent, 'connect');
  await connected;
  challenges.cut();
  await once(silent.resume(), 'close');
});
