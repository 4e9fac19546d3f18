// Connections over loopback whose TLS is done by the native relay's threads.
import { EventEmitter, once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import type { AcceptedConnection, TlsSettings } from '../../src/net/acceptor.ts';
import { descriptorOf } from '../../src/net/node-internals.ts';
import { TlsConnection } from '../../src/net/tls-connection.ts';
import type { NativeListeners } from '../../src/relay/native/acceptor.ts';
import type { RelayEngine } from '../../src/relay/relay.ts';
import { groups, TLS12_SUITES, TLS13_SUITES } from '../../src/runtime/tls/policy.ts';
import { makeSelfSigned } from '../../src/runtime/tls/self-signed.ts';

/** Longer than any test moves the threads' clock while it connects. */
const WAIT_MS = 60_000;

/** What a listener serves for localhost, as the program would say it. */
function settingsFor(...names: string[]): TlsSettings {
  const { cert, key } = makeSelfSigned(names, new Date());
  return {
    ciphers: TLS12_SUITES.join(':'),
    cipherSuites: TLS13_SUITES.join(':'),
    groups: groups().join(':'),
    minVersion: '1.2',
    serverOrder: false,
    sessionIdContext: 'test',
    sessionSeconds: 300,
    ticketKeys: Buffer.alloc(48, 7),
    certificates: [{ chain: cert, key, names }],
    strictSni: false,
    http2: true,
  };
}

interface Threads {
  readonly port: number;
  /** What was accepted of the client with this port. */
  of(port: number): Promise<AcceptedConnection>;
}

const open = new WeakMap<RelayEngine, Promise<Threads>>();

export interface ConnectedThreads {
  readonly dialled: net.Socket;
  /** What the client's TLS runs over. */
  readonly below: net.Socket;
  readonly accepted: TlsConnection;
}

/** A client and what the threads have accepted of it; their listener is one for the engine, and ends with it. */
export async function connectThreads(engine: RelayEngine): Promise<ConnectedThreads> {
  const threads = await (open.get(engine) ?? start(engine));
  const below = net.connect({ port: threads.port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
  const dialled = tls.connect({
    socket: below,
    allowHalfOpen: true,
    rejectUnauthorized: false,
  } as tls.ConnectionOptions);
  await once(dialled, 'secureConnect');
  // Stands for the handshake's request: a connection is accepted with its first bytes.
  dialled.write('first bytes');
  const { connection } = await threads.of(below.localPort ?? 0);
  if (!(connection instanceof TlsConnection)) throw new Error('the threads have left it to node');
  return { dialled, below, accepted: connection };
}

function start(engine: RelayEngine): Promise<Threads> {
  const started = listen(engine.acceptor as NativeListeners);
  open.set(engine, started);
  return started;
}

async function listen(acceptor: NativeListeners): Promise<Threads> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  // Clients that connect at once are accepted in any order.
  const accepted = new Map<number, AcceptedConnection>();
  const events = new EventEmitter().setMaxListeners(0);
  const handler = {
    accepted: (one: AcceptedConnection) => {
      accepted.set(one.port, one);
      events.emit('accepted');
    },
    failed: () => {},
    tlsEnded: () => {},
  };
  const accept = { settings: settingsFor('localhost'), handshakeMs: WAIT_MS, onRefused: () => {} };
  acceptor.open(descriptorOf(server), handler, accept, WAIT_MS);
  server.close();
  const of = async (client: number): Promise<AcceptedConnection> => {
    for (;;) {
      const one = accepted.get(client);
      if (one !== undefined) return one;
      await once(events, 'accepted');
    }
  };
  return { port, of };
}
