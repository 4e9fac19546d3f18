// Verdict `respond`: an answer that the gateway gives by itself and that is no refusal, such as a redirect.
import type { Respond } from '../routing/decide.ts';
import type { RouteContext } from './context.ts';
import { completed, type Plain } from './forward.ts';
import { hasBody } from './reject.ts';

/** Answers, and reports it. */
export function respond(context: RouteContext, verdict: Respond, plain: Plain): void {
  const { res } = plain;
  const fields = verdict.fields(context.client, context.principal?.claims ?? null);
  const body = verdict.body === null ? null : Buffer.from(verdict.body);
  if (body !== null) fields.push('Content-Length', String(body.length));
  else if (verdict.status !== 204 && verdict.status !== 304) fields.push('Content-Length', '0');
  // Nobody will read the body of the request, and it may have no end.
  if (hasBody(res.req)) res.shouldKeepAlive = false;
  res.writeHead(verdict.status, fields);
  if (body === null) res.end();
  else res.end(body);
  completed(context, plain, { at: null, reason: null, detail: null });
}
