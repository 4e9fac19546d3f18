// Refusing: the gateway's own answer, or another server's, whole, on an upgraded socket or as the response to a plain request.
import type { PassthroughResponse } from '../auth/authenticator.ts';
import { ERRORS, type GatewayError, statusOf } from '../errors.ts';
import {
  type AnsweredRequest,
  buildRefusal,
  formatHead,
  formatRefusal,
  headOnly,
  type Refusal,
} from '../http/problem.ts';
import { asStream, type Connection, type StreamConnection } from '../net/fd-connection.ts';
import { startReadingHandle } from '../net/node-internals.ts';
import type { ClientRequest, ClientResponse } from '../proxy/client.ts';
import { withListenerFields } from './listener-fields.ts';

/** How long a client that was refused may go on sending before its connection is cut. */
const LINGER_MS = 2000;

/** An error as the client gets it: its code, and no more of its cause than the table says. */
export function refusalOf(error: GatewayError): Refusal {
  return { reason: error.code, status: statusOf(error), detail: ERRORS[error.code].detail, fields: [] };
}

/** Answers on a connection that no HTTP server reads any more, and ends it. */
export function rejectUpgrade(connection: Connection, refusal: Refusal, request: AnsweredRequest): void {
  const socket = asStream(connection);
  if (!socket.writable) return void socket.destroy();
  const fields = withListenerFields(connection, refusal.fields);
  socket.write(formatRefusal({ ...refusal, fields }, request, new Date()));
  endAfterReading(socket);
}

/**
 * Sends FIN, then reads and drops what still comes, for a bounded time: closing with unread input would send a RST, and
 * that would take the answer from the client (RFC 9112 §9.6).
 */
export function endAfterReading(socket: StreamConnection): void {
  socket.end();
  startReading(socket);
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once('close', () => clearTimeout(timer));
}

/** Resumes a connection that was node's HTTP parser's. */
export function startReading(socket: StreamConnection): void {
  socket.resume();
  startReadingHandle(socket);
}

/** A plain request and its response. */
export interface Plain {
  readonly request: ClientRequest;
  readonly response: ClientResponse;
}

/** Answers a plain request that nothing was answered to yet; a response that has begun can only be broken off. */
export function rejectRequest({ request, response }: Plain, refusal: Refusal, id: string | null): void {
  if (response.headersSent) return void response.cut();
  const { fields, body } = buildRefusal(refusal, id);
  if (refusal.fields.includes('Upgrade')) fields.push('Connection', 'Upgrade, close');
  // Nobody will read the body, and it may have no end.
  if (request.hasBody) response.closeAfter();
  response.answer({ status: refusal.status, phrase: null, fields, framing: 'length' }, Buffer.from(body));
}

/** Passes another server's refusal to the client whole, on a connection that no HTTP server reads any more. */
export function passUpgrade(
  connection: Connection,
  { status, phrase, answer, body }: PassthroughResponse,
  request: AnsweredRequest,
): void {
  const socket = asStream(connection);
  const own = ['Content-Length', `${body.length}`, 'Connection', 'close'];
  const fields = withListenerFields(connection, [...answer, ...own]);
  const head = Buffer.from(formatHead(status, fields, phrase), 'latin1');
  socket.write(headOnly(request) ? head : Buffer.concat([head, body]));
  endAfterReading(socket);
}

/** The same for a plain request. */
export function passRequest({ request, response }: Plain, { status, phrase, answer, body }: PassthroughResponse): void {
  if (request.hasBody) response.closeAfter();
  const fields = [...answer, 'Content-Length', `${body.length}`];
  response.answer({ status, phrase, fields, framing: 'length' }, body);
}
