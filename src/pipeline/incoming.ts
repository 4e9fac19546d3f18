// A received request: its head, its client as found through trusted proxies, and the snapshot that decides it. requests.ts and
// handshakes.ts process it.
import { randomUUID } from 'node:crypto';
import type { RouteContext } from '../actions/context.ts';
import { peerOf } from '../actions/peer.ts';
import { flatten } from '../base/own-text.ts';
import type { Subject } from '../events.ts';
import type { Rejection } from '../handshake/rejection.ts';
import { attribute } from '../http/forwarding/forwarded.ts';
import { type MessageLike, type RequestHead, readHead } from '../http/head.ts';
import { loggedPath } from '../http/target.ts';
import { readTraceParent } from '../http/trace.ts';
import type { Connection } from '../net/fd-connection.ts';
import { readCertificate } from '../net/peer-certificate.ts';
import type { Verdict } from '../routing/decide.ts';
import type { Snapshot } from '../runtime/snapshot.ts';

export interface Incoming {
  readonly snapshot: Snapshot;
  readonly head: RequestHead;
  readonly context: RouteContext;
  /** The refusal by the listener's own rules, which come before those of routes; null: none. */
  readonly refused: Rejection | null;
}

/** Reads a request against one snapshot, so that a reload can't mix two in it. */
export function readIncoming(message: MessageLike, connection: Connection, snapshot: Snapshot): Incoming {
  const peer = peerOf(connection);
  const received = readHead(message, 'encrypted' in connection, peer.address);
  const { head, client: known } = attribute(received, snapshot.trusted, freshId);
  const certificate = readCertificate(connection);
  const client = certificate === null ? known : { ...known, certificate };
  const subject = {
    id: client.id,
    route: null,
    client: client.address,
    method: head.method,
    host: fieldOf(head, 'host') ?? '',
    path: loggedPath(head.target),
    protocol: protocolOf(message),
    secure: head.secure,
    user: null,
    trace: readTraceParent(head),
  };
  const context = {
    services: snapshot.services,
    subject,
    client,
    principal: null,
    startedAt: performance.now(),
  };
  return { snapshot, head, context, refused: peer.listener?.refuse(head, connection, known.viaTrusted) ?? null };
}

/** The client's HTTP version. Any other version is refused, as HTTP/1.1. */
function protocolOf({ http2, httpVersion }: MessageLike): Subject['protocol'] {
  if (http2 !== undefined) return '2';
  return httpVersion === '1.0' ? '1.0' : '1.1';
}

function fieldOf(head: RequestHead, name: string): string | null {
  const i = head.names.indexOf(name);
  return i === -1 ? null : (head.fields[2 * i + 1] as string);
}

/** The context after a route is found. No spread here: it is slow, and this runs for every request. */
export function withRoute(context: RouteContext, { route }: Verdict): RouteContext {
  if (route === null) return context;
  const { services, subject, client, principal, startedAt } = context;
  const { id, client: address, method, host, path, protocol, secure, user, trace } = subject;
  const withName = { id, route: route.name, client: address, method, host, path, protocol, secure, user, trace };
  return { services, subject: withName, client, principal, startedAt };
}

/** An id as one flat string: node concatenates a UUID from twenty parts, which would all live as long as the id. */
function freshId(): string {
  const id = randomUUID();
  flatten(id);
  return id;
}
