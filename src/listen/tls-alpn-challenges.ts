// Connections by which an authority sees that a name is ours (ACME by TLS, RFC 8737). They are told by their ClientHello, and
// only while such a challenge is open is any connection's read here: a certificate can't be picked by protocol in node, which
// asks for the protocol before the name or after it, as the version has it.
import type { Socket } from 'node:net';
import { createServer, type SecureContext, type Server } from 'node:tls';
import { guarded, ignore } from '../base/guard.ts';
import { ClientHelloReader } from '../net/client-hello.ts';
import { FirstBytes } from './first-bytes.ts';

/** The challenges that are open now. */
export interface OpenTlsChallenges {
  readonly awaitsTls: boolean;
  /** The certificate that proves a name; null: none is asked for. */
  contextFor(domain: string): SecureContext | null;
}

const PROTOCOL = 'acme-tls/1';
/** For a handshake with an authority; nothing follows it. */
const TIMEOUT_MS = 10_000;

export class TlsAlpnChallenges {
  readonly #challenges: OpenTlsChallenges;
  readonly #firstBytes = new FirstBytes();
  #server: Server | null = null;

  constructor(challenges: OpenTlsChallenges) {
    this.#challenges = challenges;
  }

  /** Takes a connection that comes for a challenge; else calls `otherwise`, with nothing of it read. */
  take(socket: Socket, timeoutMs: number, otherwise: () => void): void {
    if (!this.#challenges.awaitsTls) {
      otherwise();
      return;
    }
    const reader = new ClientHelloReader();
    this.#firstBytes.read(
      socket,
      timeoutMs,
      (part) => reader.read(part),
      (hello) => {
        // RFC 8737 §3: that protocol and no other.
        const [first, ...more] = hello === 'none' ? [] : hello.protocols;
        if (first === PROTOCOL && more.length === 0) this.#prove(socket);
        else otherwise();
      },
    );
  }

  /** Destroys the connections whose ClientHello is awaited. */
  cut(): void {
    this.#firstBytes.cut();
  }

  #prove(socket: Socket): void {
    this.#server ??= this.#createServer();
    socket.on('error', ignore);
    this.#server.emit('connection', socket);
  }

  /** It listens nowhere: connections are given to it. */
  #createServer(): Server {
    const server = createServer({
      handshakeTimeout: TIMEOUT_MS,
      ALPNProtocols: [PROTOCOL],
      minVersion: 'TLSv1.2',
      // Without a certificate for the name the handshake fails.
      SNICallback: (name, done) => done(null, this.#challenges.contextFor(name.toLowerCase()) ?? undefined),
    });
    server.on('tlsClientError', (_error, socket) => socket.destroy());
    server.on(
      'secureConnection',
      guarded('connection', (socket) => {
        socket.on('error', ignore);
        // The certificate was all there was to see (RFC 8737 §3).
        socket.resume().end();
        socket.setTimeout(TIMEOUT_MS, () => socket.destroy());
      }),
    );
    return server;
  }
}
