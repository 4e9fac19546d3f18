// What broke, as a value with a code, a source and a cause, and the one place that turns a code into a status.
// Not for expected refusals: those are values of the closed table in handshake/rejection.ts and are never thrown.
import { reportDefect, type Where } from './base/guard.ts';

/** Whose fault an error is: the client's side, the backend's side, or ours. */
export type ErrorSource = 'downstream' | 'upstream' | 'internal';

/**
 * The closed table of what can break. `status` is what the client gets while an answer is still possible, `detail` what
 * it is told; the cause is for the log alone.
 */
export const ERRORS = {
  /** The client left before it had its answer. 499 is nginx's number for it; it stands in the log and is never sent. */
  client_gone: { source: 'downstream', status: 499, detail: 'the client left' },
  /** A body in chunks grew larger than the route takes. */
  body_too_large: { source: 'downstream', status: 413, detail: 'the request body is too large' },
  /** The server refused or reset the connection, or ended it before a whole answer. */
  backend_refused: { source: 'upstream', status: 502, detail: 'the server could not be reached, or broke off' },
  /** The server's answer to a handshake is no valid 101 (RFC 6455 §4.1), or is no valid HTTP. */
  bad_accept: { source: 'upstream', status: 502, detail: 'the server gave no valid answer' },
  /** The server did not accept the connection, or did not answer, within the route's timeout. */
  backend_timeout: { source: 'upstream', status: 504, detail: 'the server did not answer in time' },
  /** The gateway has no descriptor left to reach the server with. */
  limit: { source: 'internal', status: 503, detail: 'no capacity for another connection' },
  /** A defect of the gateway: asGatewayError() makes it, of what nobody expected. */
  internal: { source: 'internal', status: 500, detail: 'the gateway could not serve this request' },
} as const satisfies Record<string, { source: ErrorSource; status: number; detail: string }>;

export type ErrorCode = keyof typeof ERRORS;

/** An error that knows its reason code; `cause` holds the system's own error where there is one. */
export class GatewayError extends Error {
  readonly code: ErrorCode;
  readonly source: ErrorSource;

  constructor(code: ErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'GatewayError';
    this.code = code;
    this.source = ERRORS[code].source;
  }
}

/** The one mapper from what broke to the status the client gets. */
export function statusOf(error: GatewayError): number {
  return ERRORS[error.code].status;
}

/**
 * Wraps anything thrown: a GatewayError stays as it is; everything else is a defect, is reported under `where` (with the id of
 * what it cost, if that is known), and becomes `internal`.
 */
export function asGatewayError(thrown: unknown, where: Where, id: string | null = null): GatewayError {
  if (thrown instanceof GatewayError) return thrown;
  reportDefect(where, thrown, id);
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new GatewayError('internal', message, thrown);
}

/** Lines of a stack and of what caused it, at most so many characters. */
const MAX_STACK = 16 * 1024;
const MAX_CAUSES = 8;

/** What was thrown, with where, and what caused it. Own properties of an error are left out: they may hold a request. */
export function stackOf(thrown: unknown): string {
  const parts: string[] = [];
  for (let one = thrown; parts.length < MAX_CAUSES; ) {
    const text = one instanceof Error ? (one.stack ?? `${one.name}: ${one.message}`) : String(one);
    parts.push(parts.length === 0 ? text : `caused by ${text}`);
    if (!(one instanceof Error) || one.cause === undefined) break;
    one = one.cause;
  }
  return parts.join('\n').slice(0, MAX_STACK);
}

/** The `code` of a system error (`ECONNREFUSED`, `EMFILE`, …), or undefined. */
export function systemCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}
