// What a listener says on each answer over it, for the answers that are written as octets: those to handshakes and to what
// could not be read. Those to plain requests are proxy/hsts-response.ts.
import type { Connection } from '../net/fd-connection.ts';
import { withHsts } from '../proxy/hsts-response.ts';
import { peerOf } from './peer.ts';

/** The fields of an answer, flat, with those of the listener that they do not hold. */
export function withListenerFields(connection: Connection, fields: readonly string[]): readonly string[] {
  const hsts = peerOf(connection).listener?.hsts ?? null;
  return hsts === null ? fields : withHsts(fields, hsts);
}
