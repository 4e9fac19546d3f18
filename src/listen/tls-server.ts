// TLS of one listener in node's server: each handshake uses the certificates and keys that are current then. Certificates are
// in runtime/tls/tls.ts; the protocols behind the handshake are in http1/, node/ and http2/.
import { createHash } from 'node:crypto';
import { type Server, TLSSocket, type TlsOptions } from 'node:tls';
import { peerOf } from '../actions/peer.ts';
import { guarded } from '../base/guard.ts';
import type { TlsResult } from '../events/connection.ts';
import type { Emit } from '../events.ts';
import {
  connectionBelow,
  findSniCallbackSetter,
  findTicketKeysSetter,
  sharedContext,
  sniCallback,
} from '../net/node-internals.ts';
import { RandomTicketKeys, type TicketKey, ticketKeyOctets } from '../net/ticket-keys.ts';
import type { TlsMaterial } from '../runtime/tls/tls.ts';
import { failureOf, UNKNOWN_NAME } from './tls-result.ts';

/** The protocol for a client that offers these by ALPN; undefined refuses the handshake (RFC 7301 §3.2). */
export type ChooseProtocol = (offered: { protocols: string[] }) => string | undefined;

export interface TlsServerOptions {
  /** The listener's name in events. */
  readonly address: string;
  readonly chooseProtocol: ChooseProtocol;
  readonly emit: Emit;
}

export class TlsServer {
  #material: TlsMaterial;
  readonly #options: TlsServerOptions;
  /** Used where the config names none. */
  readonly #random = new RandomTicketKeys();
  /** The keys of session tickets: the first encrypts, all decrypt. */
  readonly ticketKeys = (): readonly TicketKey[] => this.#material.ticketKeys ?? this.#random.current();

  constructor(material: TlsMaterial, options: TlsServerOptions) {
    this.#material = material;
    this.#options = options;
  }

  get material(): TlsMaterial {
    return this.#material;
  }

  /** For `https.createServer`. */
  options(): TlsOptions {
    const { defaults, clientAuth } = this.#material;
    return {
      ...defaults,
      requestCert: clientAuth !== null,
      // With `optional` an invalid certificate counts as none: net/peer-certificate.ts.
      rejectUnauthorized: clientAuth === 'required',
      ALPNCallback: this.#options.chooseProtocol,
      ...(picks(this.#material) || findSniCallbackSetter() === null ? { SNICallback: this.#pick } : {}),
    };
  }

  /** Called once, after the listener for its connections was added. */
  attach(server: Server): void {
    // While it shakes hands, a connection ends as soon as one side has ended it; behind that it may be half-open, as
    // HTTP without TLS has it.
    server.prependListener('secureConnection', (socket) => {
      // Of the threads' TLS, only decrypted bytes come here.
      if (!(socket instanceof TLSSocket)) return;
      socket.allowHalfOpen = true;
      this.#ended(socket, { result: socket.isSessionReused() ? 'resumed' : 'ok', detail: null });
    });
    this.#setTicketKeys(server);
    this.#setStapling(server);
    const onFailed = guarded('connection', (error: Error, socket: TLSSocket) => this.#failed(error, socket));
    server.on('tlsClientError', onFailed);
  }

  /**
   * Makes `next` current on a listening server. Earlier sessions can be resumed as long as the key of their tickets is kept; if
   * the rules for client certificates change, sessionIdContext prevents it.
   */
  swap(server: Server, next: TlsMaterial): void {
    this.#material = next;
    server.setSecureContext(next.defaults);
    this.#setTicketKeys(server);
    this.#setStapling(server);
    findSniCallbackSetter()?.(server, picks(next) ? this.#pick : undefined);
  }

  #setTicketKeys(server: Server): void {
    const setTicketKeys = findTicketKeysSetter();
    for (const context of [sharedContext(server), ...this.#material.contexts])
      setTicketKeys?.(context, this.ticketKeys);
    const [first] = this.ticketKeys();
    if (setTicketKeys === null && first !== undefined) server.setTicketKeys(ticketKeyOctets(first));
  }

  /** Without a response to staple there is no listener: each handshake that asks would wait for one. */
  #setStapling(server: Server): void {
    server.off('OCSPRequest', this.#staple);
    if (this.#material.staples.size > 0) server.on('OCSPRequest', this.#staple);
  }

  readonly #staple = guarded(
    'connection',
    (certificate: Buffer, _issuer: Buffer, done: (error: Error | null, octets: Buffer | null) => void) => {
      const staple = this.#material.staples.get(createHash('sha256').update(certificate).digest('hex'));
      // With an expired response clients refuse a certificate that they would take without one.
      done(null, staple !== undefined && staple.untilMs > Date.now() ? staple.octets : null);
    },
    (_certificate, _issuer, done) => done(null, null),
  );

  /** A failed handshake affects only its client. */
  #failed(error: Error, socket: TLSSocket): void {
    socket.destroy();
    const { strictSni } = this.#material;
    // Node adds a code to the error.
    const certificateError = socket.authorizationError ? String(socket.authorizationError) : null;
    const failed = failureOf({ error, named: nameOf(socket) !== null, strictSni, certificateError });
    // A check of the port, as load balancers make it, ends without a byte.
    const silent = connectionBelow(socket)?.bytesRead === 0;
    if (!silent || failed.result === 'timeout') this.#ended(socket, failed);
  }

  #ended(socket: TLSSocket, how: { result: TlsResult; detail: string | null }): void {
    const { address: listener, emit } = this.#options;
    const { address: client } = peerOf(socket);
    emit({ type: 'tls_handshake', listener, client, engine: 'node', name: nameOf(socket), ...how });
  }

  /** The context for the name that a client asks for. */
  readonly #pick = sniCallback(
    guarded(
      'connection',
      (name, socket, done) => {
        const context = this.#material.contextFor(name);
        if (context !== null) return done(null, context);
        // Node would close the connection without an alert. Nothing is encrypted yet.
        connectionBelow(socket)?.write(UNRECOGNIZED_NAME);
        done(Object.assign(new Error(`no certificate is for ${name}`), { code: UNKNOWN_NAME }));
      },
      (_name, socket) => socket.destroy(),
    ),
  );
}

/** The name that the client asked for (SNI). */
function nameOf({ servername }: TLSSocket): string | null {
  return typeof servername === 'string' ? servername : null;
}

/** A TLS record with the fatal alert `unrecognized_name` (RFC 6066 §3, RFC 8446 §6). */
const UNRECOGNIZED_NAME = Buffer.from([0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 112]);

/** Whether node must ask for the certificate of each handshake, which costs a tenth of it. */
function picks({ certificates, strictSni }: TlsMaterial): boolean {
  return certificates.length > 1 || strictSni;
}
