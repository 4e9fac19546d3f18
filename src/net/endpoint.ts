// Where a connection toward a server goes, and how it is spoken to there. Which server is chosen is upstream/.
import type { LookupFunction } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import type { ProxyVersion } from '../http/proxy-protocol.ts';

/** How TLS is spoken to the servers of an upstream; one value as long as its files and settings stay the same. */
export interface BackendTls {
  /** Identifies it: a digest of its files and settings. */
  readonly id: string;
  readonly options: Pick<ConnectionOptions, 'secureContext' | 'rejectUnauthorized'>;
  /** The name to ask for and to verify in place of the address's own. */
  readonly serverName: string | null;
}

/** The TLS session of one server, for its next connection. */
export class ResumableSession {
  /** As node gives it; null: none yet, or the last connection with it failed. */
  latest: Buffer | null = null;
}

/** Where a connection goes. */
export interface Endpoint {
  /** As in the config: the `server` label of metrics and logs. */
  readonly url: string;
  readonly secure: boolean;
  /** A name or an IP address, without brackets. */
  readonly host: string;
  readonly port: number;
  /** The path of a unix socket, in place of host and port. */
  readonly unix?: string;
  readonly tls?: BackendTls | null;
  /** Its TLS session; unset: each connection makes a full handshake. */
  readonly resumable?: ResumableSession;
  /** The name that its certificate must be for, where it is not `host`. */
  readonly serverName?: string;
  /** The version of the PROXY preamble that each connection begins with; unset: none. */
  readonly proxyProtocol?: ProxyVersion;
  /** How a name that is `host` is looked up; unset: by node. */
  readonly lookup?: LookupFunction;
}
