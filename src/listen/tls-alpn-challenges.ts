// Connections of an authority that validates a name by TLS (ACME's TLS-ALPN-01, RFC 8737). They are recognized by their
// ClientHello, which is read here only while such a challenge is open. Node can't choose a certificate by protocol: depending on
// its version it asks for the protocol before or after the name.
import type { Socket } from 'node:net';
import { createServer, type SecureContext, type Server } from 'node:tls';
import { guarded, ignore } from '../base/guard.ts';
import { ClientHelloReader } from '../net/client-hello.ts';
import { FirstBytes } from './first-bytes.ts';

/** The challenges that are open now. */
export interface OpenTlsChallenges {
  readonly awaitsTls: boolean;
  /** The certificate that proves control of a name; null: no challenge is open for it. */
  contextFor(domain: string): SecureContext | null;
}

const PROTOCOL = 'acme-tls/1';
/** Milliseconds for the handshake with an authority; nothing follows it. */
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

  /** A server that does not listen: connections are given to it. */
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
        // The authority needs nothing but the certificate (RFC 8737 §3).
        socket.resume().end();
        socket.setTimeout(TIMEOUT_MS, () => socket.destroy());
      }),
    );
    return server;
  }
}
