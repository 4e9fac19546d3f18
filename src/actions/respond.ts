// Verdict `respond`: an answer that the gateway gives by itself and that is no refusal, such as a redirect.
import { STATUS_CODES } from 'node:http';
import { formatHead, headOnly } from '../http/problem.ts';
import { asStream, type Connection } from '../net/fd-connection.ts';
import type { Respond } from '../routing/decide.ts';
import type { RouteContext } from './context.ts';
import { completed } from './forward.ts';
import { withListenerFields } from './listener-fields.ts';
import { endAfterReading, type Plain } from './reject.ts';

/** Answers, and reports it. */
export function respond(context: RouteContext, verdict: Respond, plain: Plain): void {
  const { request, response } = plain;
  const { fields, body } = buildAnswer(context, verdict);
  // Nobody will read the body of the request, and it may have no end.
  if (request.hasBody) response.closeAfter();
  response.answer({ status: verdict.status, phrase: null, fields, framing: body === null ? 'none' : 'length' }, body);
  completed(context, plain, { at: null, reason: null, detail: null });
}

/** The same for a handshake, on a connection that no HTTP server reads any more; it is closed behind it. */
export function respondUpgrade(context: RouteContext, verdict: Respond, connection: Connection): void {
  const socket = asStream(connection);
  const { fields: own, body } = buildAnswer(context, verdict);
  own.push('Connection', 'close', 'Date', new Date().toUTCString());
  const fields = withListenerFields(connection, own);
  const head = Buffer.from(formatHead(verdict.status, fields, STATUS_CODES[verdict.status] ?? ''), 'latin1');
  const bodiless = body === null || headOnly(context.subject);
  const answer = bodiless ? head : Buffer.concat([head, body]);
  socket.write(answer);
  endAfterReading(socket);
  const durationMs = performance.now() - context.startedAt;
  const told = {
    status: verdict.status,
    reason: null,
    detail: null,
    at: null,
    bytesFromClient: 0,
    bytesToClient: answer.length,
    durationMs,
  };
  context.services.emit({ ...context.subject, type: 'request_completed', ...told });
}

function buildAnswer(context: RouteContext, verdict: Respond): { fields: string[]; body: Buffer | null } {
  const fields = verdict.fields(context.client, context.principal?.claims ?? null);
  const body = verdict.body === null ? null : Buffer.from(verdict.body);
  if (body !== null) fields.push('Content-Length', String(body.length));
  else if (verdict.status !== 204 && verdict.status !== 304) fields.push('Content-Length', '0');
  return { fields, body };
}
