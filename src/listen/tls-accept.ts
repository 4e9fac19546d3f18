// TLS of a listener in the relay's threads: the certificates and keys that they have, and what they leave to node. The handshake
// is in C (relay/native/c); node's TLS is tls-server.ts.
import { guarded } from '../base/guard.ts';
import { lookupTable } from '../base/lookup-table.ts';
import { http2Of } from '../config/http2.ts';
import type { ListenerConfig } from '../config/schema/schema.ts';
import type { TlsHandshake } from '../events/connection.ts';
import type { Emit, GatewayEvent } from '../events.ts';
import type { AcceptHandle, Acceptor, TlsAccept, TlsSettings } from '../net/acceptor.ts';
import { ticketKeyOctets } from '../net/ticket-keys.ts';
import { groups, TLS12_SUITES, TLS13_SUITES } from '../runtime/tls/policy.ts';
import { failureOf } from './tls-result.ts';
import type { TlsServer } from './tls-server.ts';

/** Null: the threads do the TLS of a listener as far as they can; else the reason why node does all of it. */
export function withoutNativeTls(config: ListenerConfig, acceptor: Acceptor | null): string | null {
  if (config.tls?.engine === 'node') return 'tls.engine is node';
  if (config.unix !== undefined) return 'it is a unix socket';
  if (acceptor === null) return 'the native relay is not there';
  return acceptor.withoutTls;
}

/** A warning that node does the TLS although the config asks for the threads: a gateway without them must still serve. */
export function tlsFallback(listener: string, why: string): GatewayEvent {
  return { type: 'notice', level: 'warn', message: 'node does the TLS of a listener', data: { listener, why } };
}

/** How a handshake of the threads ended. */
export interface NativeHandshake {
  readonly client: string;
  readonly name: string | null;
  readonly resumed: boolean;
  /** The error in OpenSSL's words, or in those of listener.c; null: the handshake is done. */
  readonly failure: string | null;
}

/** Milliseconds between two looks at the keys of session tickets, which may have been rotated. */
const KEYS_MS = 3_600_000;

/** Node's default, where its options name none. */
const SESSION_SECONDS = 300;

export interface NativeTlsOptions {
  /** The listener's address. */
  readonly address: string;
  /** Node's server, which does the rest of its TLS with the same certificates and keys of session tickets. */
  readonly server: TlsServer;
  readonly config: () => ListenerConfig;
  readonly emit: Emit;
}

export class NativeTls {
  readonly #options: NativeTlsOptions;
  #handle: AcceptHandle | null = null;
  #timer: NodeJS.Timeout | null = null;
  /** The keys that the threads have. */
  #keys: Buffer = Buffer.alloc(0);

  constructor(options: NativeTlsOptions) {
    this.#options = options;
  }

  /** The settings to accept with. */
  accept(): TlsAccept {
    const { address, config, emit } = this.#options;
    const onRefused = (why: string): void => emit(tlsFallback(address, why));
    return { settings: this.#settings(), handshakeMs: config().timeouts.tls_handshake, onRefused };
  }

  /** Called once, with what accept() was opened with. */
  opened(handle: AcceptHandle): void {
    this.#handle = handle;
    const renew = guarded('connection', () => {
      if (!this.#ticketKeys().equals(this.#keys)) this.update();
    });
    this.#timer = setInterval(renew, KEYS_MS).unref();
  }

  /** The config, the certificates or the keys of session tickets have changed. */
  update(): void {
    this.#handle?.useTls(this.#settings());
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#handle = null;
  }

  /** Reports a handshake of the threads with the same event as one of node's. */
  report({ client, name, resumed, failure }: NativeHandshake): void {
    const { address: listener, emit } = this.#options;
    const event = { type: 'tls_handshake', listener, client, engine: 'native', name } as const;
    emit({ ...event, ...(failure === null ? { result: resumed ? 'resumed' : 'ok', detail: null } : failed(failure)) });
  }

  /**
   * Without a certificate the threads leave every client to node: where clients are asked for certificates, an OCSP response
   * is stapled, or a PROXY preamble comes before TLS.
   */
  #settings(): TlsSettings {
    const config = this.#options.config();
    const { clientAuth, strictSni, defaults, pairs, minVersion, staples } = this.#options.server.material;
    const plain = config.proxy_protocol === undefined && clientAuth === null && staples.size === 0;
    const threads = plain && config.tls?.engine !== 'node';
    this.#keys = this.#ticketKeys();
    return {
      ciphers: TLS12_SUITES.join(':'),
      cipherSuites: TLS13_SUITES.join(':'),
      groups: groups().join(':'),
      minVersion,
      // As tlsPolicy() has it for node.
      serverOrder: false,
      sessionIdContext: defaults.sessionIdContext ?? '',
      sessionSeconds: defaults.sessionTimeout ?? SESSION_SECONDS,
      ticketKeys: this.#keys,
      certificates: threads ? pairs : [],
      strictSni,
      http2: http2Of(config) !== null,
    };
  }

  #ticketKeys(): Buffer {
    return Buffer.concat(this.#options.server.ticketKeys().map(ticketKeyOctets));
  }
}

/** Node's codes for the failures of listener.c; the codes for OpenSSL's failures are made from their text. */
const CODES = lookupTable<string>({
  'connection closed': 'ECONNRESET',
  'handshake timeout': 'ERR_TLS_HANDSHAKE_TIMEOUT',
});

function failed(failure: string): Pick<TlsHandshake, 'result' | 'detail'> {
  if (failure === 'connection reset') return { result: 'reset', detail: failure };
  const code = CODES[failure] ?? `ERR_SSL_${failure.toUpperCase().replaceAll(' ', '_')}`;
  const error = Object.assign(new Error(failure), { code });
  return failureOf({ error, named: false, strictSni: false, certificateError: null });
}
