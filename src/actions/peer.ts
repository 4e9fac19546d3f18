// Who is at the other end of a client's connection: recorded once, when the connection is accepted, and read here from then
// on. The system can't be asked later: of a connection that was reset meanwhile it knows no address any more.
import { isIP, type Socket } from 'node:net';
import { plainAddress } from '../http/forwarding/addresses.ts';
import { formatPreamble, type Proxied, type SocketEndpoint } from '../http/proxy-protocol.ts';
import type { Endpoint } from '../net/endpoint.ts';
import { asStream, type Connection, FdConnection, type StreamConnection } from '../net/fd-connection.ts';
import { connectionBelow } from '../net/node-internals.ts';
import type { ListenerRules } from './listener-rules.ts';

/** The peer of a connection, or the one that a believed PROXY preamble names in its place. */
export interface Peer extends SocketEndpoint {
  /** Of the listener that accepted it; undefined: it has none. */
  readonly listener?: ListenerRules;
  /** What it connected to, where a preamble says it; null: this end of the connection. */
  readonly destination: SocketEndpoint | null;
}

const PEER = Symbol('peer');

type PeerHolder = Connection & { [PEER]?: Peer };

/** Fits no list of addresses, and belongs to no connection that was accepted as it should be. */
const NOBODY: Peer = { address: 'unknown', port: 0, destination: null };

/** Reads the peer from the system, where the connection is not closed already. On a unix socket it has no address. */
export function readPeer(socket: Socket, over: 'tcp' | 'unix'): Peer | 'gone' {
  if (over === 'unix') return { address: '', port: 0, destination: null };
  const { remoteAddress, remotePort = 0 } = socket;
  if (remoteAddress === undefined) return 'gone';
  return { address: plainAddress(remoteAddress), port: remotePort, destination: null };
}

/** Records who is at the other end. */
export function setPeer(connection: Connection, peer: Peer): void {
  (connection as PeerHolder)[PEER] = peer;
}

/** Whether it has been recorded. */
export function hasPeer(socket: Socket): boolean {
  return (socket as PeerHolder)[PEER] !== undefined;
}

/** Who is at the other end; of TLS, of the connection below it. */
export function peerOf(connection: Connection): Peer {
  const known = (connection as PeerHolder)[PEER];
  if (known !== undefined) return known;
  const below: PeerHolder | null = connection instanceof FdConnection ? null : connectionBelow(connection);
  return below?.[PEER] ?? NOBODY;
}

/**
 * The PROXY preamble for a server of an upstream with `proxy_protocol`: it names the client as far as trusted proxies vouch
 * for it, and what the client connected to. Null where the server wants no preamble.
 */
export function preambleFor({ proxyProtocol }: Endpoint, client: string, connection: Connection): Buffer | null {
  if (proxyProtocol === undefined) return null;
  return formatPreamble(proxyProtocol, isIP(client) === 0 ? null : proxiedFor(client, connection));
}

function proxiedFor(client: string, connection: Connection): Proxied {
  const peer = peerOf(connection);
  // A chain of trusted proxies names no port.
  const source = { address: client, port: client === peer.address ? peer.port : 0 };
  return { source, destination: peer.destination ?? localEnd(asStream(connection)) };
}

/** This end; of a unix socket, and of a closed connection, no address is known. */
function localEnd({ localAddress, localPort = 0 }: StreamConnection): SocketEndpoint {
  return { address: plainAddress(localAddress ?? '0.0.0.0'), port: localPort };
}
