// TLS of the relay's threads in JavaScript: what their listeners serve, and the streams by which node reads and writes the
// plain bytes of a connection. How the handshake is done is in tls.c, listener.c; what passes between the thread and node is
// a tunnel like any other.
import { closeSync } from 'node:fs';
import type { Socket } from 'node:net';
import { getSystemErrorName } from 'node:util';
import { GatewayError } from '../../errors.ts';
import type { TlsSettings } from '../../net/acceptor.ts';
import { socketOf } from '../../net/fd-connection.ts';
import type { TlsConnection, TlsThreads } from '../../net/tls-connection.ts';
import type { TunnelEnd, TunnelOptions } from '../relay.ts';
import type { Addon, Engine, TlsContexts } from './addon.ts';

const VERSIONS = { '1.2': 0x303, '1.3': 0x304 } as const;

/** Contexts by these settings. Where OpenSSL says that something is `wrong` with them they are without a certificate. */
export function makeContexts(addon: Addon, settings: TlsSettings): { contexts: TlsContexts; wrong: string | null } {
  const { ciphers, cipherSuites, groups, minVersion, sessionIdContext, ticketKeys } = settings;
  const { serverOrder, strictSni, http2, certificates } = settings;
  const contexts = addon.tlsContexts(
    ciphers,
    cipherSuites,
    groups,
    VERSIONS[minVersion],
    sessionIdContext,
    ticketKeys,
    serverOrder,
    strictSni,
    http2,
    settings.sessionSeconds,
  );
  for (const { chain, key, names } of certificates) {
    const wrong = addon.tlsAdd(contexts, chain, key, names.join('\n').toLowerCase());
    if (wrong !== null) return { ...makeContexts(addon, { ...settings, certificates: [] }), wrong };
  }
  return { contexts, wrong: null };
}

/** A tunnel of plain bytes has no limits of its own: node reads what it carries, and enforces them. */
export const STREAM: TunnelOptions = {
  route: '',
  inspect: false,
  idleMs: 0,
  maxLifetimeMs: null,
  ping: null,
  limits: { fromClient: null, toClient: null },
};

export interface TlsStreamsOptions {
  readonly addon: Addon;
  readonly engine: Engine;
  /** Opens the tunnel between a connection and a descriptor; below 0 an errno, negated. */
  readonly open: (connection: TlsConnection, fd: number, onEnd: (end: TunnelEnd) => void) => number;
}

export class TlsStreams implements TlsThreads {
  readonly #options: TlsStreamsOptions;

  constructor(options: TlsStreamsOptions) {
    this.#options = options;
  }

  stream(connection: TlsConnection, buffer: Buffer | null): Socket {
    const { addon, open: openTunnel } = this.#options;
    // Once the thread has the connection, its descriptor may be closed at any time.
    const local = addon.localAddress(connection.fd);
    const pair = addon.pair();
    if (typeof pair === 'number') throw noDescriptor(pair);
    const [ours, theirs] = pair;
    const socket = socketOf(ours, buffer);
    // A tunnel may have its descriptor by then, and live long.
    let open: Socket | null = socket;
    socket.once('close', () => {
      open = null;
    });
    const opened = openTunnel(connection, theirs, ({ initiator, reason }) => {
      // A reset can't pass between two descriptors of one machine; node would take it for the end of the stream.
      if (initiator === 'client' && reason === 'reset') open?.destroy();
    });
    if (opened < 0) {
      closeSync(theirs);
      socket.destroy();
      throw noDescriptor(opened);
    }
    connection.take();
    if (local === null) return socket;
    return Object.defineProperties(socket, { localAddress: { value: local[0] }, localPort: { value: local[1] } });
  }

  drop({ place }: TlsConnection): void {
    const { addon, engine } = this.#options;
    addon.tlsDrop(engine, place);
  }
}

function noDescriptor(errno: number): GatewayError {
  return new GatewayError('limit', `no stream can be made: ${getSystemErrorName(errno)}`);
}
