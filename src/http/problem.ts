// The gateway's own answers: every refusal and every error is one whole HTTP response with a short problem+json body
// (RFC 9457) and its reason code. Pure.
import { REASON_FIELD } from './policy/policy.ts';

/** What is to be answered; a Rejection fits, and so does an error with its status. */
export interface Refusal {
  readonly reason: string;
  readonly status: number;
  readonly detail: string;
  /** Further fields, flat. */
  readonly fields: readonly string[];
  /** As in a Rejection. */
  readonly limit?: string;
}

const PHRASES: Readonly<Record<number, string>> = {
  101: 'Switching Protocols',
  204: 'No Content',
  308: 'Permanent Redirect',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  409: 'Conflict',
  410: 'Gone',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  421: 'Misdirected Request',
  422: 'Unprocessable Content',
  426: 'Upgrade Required',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
};

/** The reason phrase of a status that the gateway answers with. */
export function phraseOf(status: number): string {
  return PHRASES[status] ?? 'Unknown';
}

/**
 * A refusal as fields, flat, and body, with a newline at its end for terminals. `id` is the request's id, by which the log
 * line is found; null before there is one.
 */
export function buildRefusal(refusal: Refusal, id: string | null): { fields: string[]; body: string } {
  const problem = JSON.stringify({
    type: 'about:blank',
    title: phraseOf(refusal.status),
    status: refusal.status,
    reason: refusal.reason,
    detail: refusal.detail,
    ...(id === null ? {} : { request_id: id }),
  });
  const body = `${problem}\n`;
  const length = Buffer.byteLength(body);
  const fields = [
    'Content-Type',
    'application/problem+json',
    'Content-Length',
    `${length}`,
    'Cache-Control',
    'no-store',
  ];
  fields.push(...refusal.fields, REASON_FIELD, refusal.reason);
  return { fields, body };
}

/** The request that is answered; null where its head could not be read. */
export type AnsweredRequest = { readonly id: string; readonly method: string } | null;

/** Whether an answer to it ends behind its head, whatever length it states (RFC 9110 §9.3.2). */
export function headOnly(request: AnsweredRequest): boolean {
  return request?.method === 'HEAD';
}

/**
 * A refusal as the octets of a whole response, for a socket that no HTTP server writes to any more. The connection is
 * closed behind it; where Upgrade is among the fields, Connection names it (RFC 9110 §7.8).
 */
export function formatRefusal(refusal: Refusal, request: AnsweredRequest, now: Date): Buffer {
  const { fields, body } = buildRefusal(refusal, request?.id ?? null);
  const connection = refusal.fields.includes('Upgrade') ? 'Upgrade, close' : 'close';
  const head = formatHead(refusal.status, [...fields, 'Connection', connection, 'Date', now.toUTCString()]);
  return Buffer.concat([Buffer.from(head, 'latin1'), Buffer.from(headOnly(request) ? '' : body)]);
}

/** A status line and fields, flat, with the empty line at their end. */
export function formatHead(status: number, fields: readonly string[], phrase = phraseOf(status)): string {
  return `HTTP/1.1 ${status} ${phrase}\r\n${formatFields(fields)}\r\n`;
}

/** What no field line may hold: CR, LF, NUL and other control characters (RFC 9110 §5.5), and what is no octet. */
const NO_FIELD_TEXT = /[^\t\x20-\x7e\x80-\xff]/;

/**
 * Field lines, to be written as latin1: one character is one octet. Throws where a name or a value would end its line, or
 * is no text of octets: a character beyond them would be cut, and might become a CR.
 */
export function formatFields(fields: readonly string[]): string {
  let text = '';
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    const value = fields[i + 1] as string;
    if (NO_FIELD_TEXT.test(value) || NO_FIELD_TEXT.test(name))
      throw new Error(`the field ${JSON.stringify(name)} can't be written`);
    text += `${name}: ${value}\r\n`;
  }
  return text;
}
