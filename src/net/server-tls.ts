// TLS toward a server: which name it must have, and that the session of an earlier connection is resumed (RFC 8446 §2.2),
// without certificates and signatures. nginx (proxy_ssl_session_reuse) and HAProxy do so by default.
import net from 'node:net';
import tls from 'node:tls';
import type { Endpoint } from './endpoint.ts';

/**
 * Starts TLS to a server as its client. `more` says where it is reached, as tls.connect() takes it. A server whose session
 * can't be resumed makes a full handshake of it; only one that breaks off costs this connection, and the next has no session.
 */
export function connectTls(server: Endpoint, more: tls.ConnectionOptions): tls.TLSSocket {
  const { resumable } = server;
  const resumed = resumable?.latest == null ? {} : { session: resumable.latest };
  const socket = tls.connect({ ALPNProtocols: ['http/1.1'], ...more, ...tlsOptions(server), ...resumed });
  if (resumable === undefined) return socket;
  // Node gives none before the server's name is verified, which a resumed session leaves out.
  socket.once('session', (session: Buffer) => {
    resumable.latest = session;
  });
  const forget = (): void => {
    resumable.latest = null;
  };
  return socket.once('error', forget).once('secureConnect', () => socket.off('error', forget));
}

/** What TLS to a server is spoken with: its name is asked for (SNI) and verified, an address is verified only. */
export function tlsOptions({ host, serverName, tls: backend }: Endpoint): tls.ConnectionOptions {
  const name = backend?.serverName ?? serverName ?? host;
  if (net.isIP(name) === 0) return { ...backend?.options, servername: name };
  return { ...backend?.options, checkServerIdentity: (_, certificate) => tls.checkServerIdentity(name, certificate) };
}
