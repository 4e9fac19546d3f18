// What the admin listener answers with: whole answers as values, or a stream that goes on by itself.
import type { Writable } from 'node:stream';
import { phraseOf } from '../http/problem.ts';

export interface AdminResponse {
  readonly status: number;
  /** Null where there is no body. */
  readonly contentType: string | null;
  readonly body: string | Buffer;
  readonly fields?: Readonly<Record<string, string>>;
  /** The reason code of a problem. */
  readonly reason?: string;
  /** Writes the answer to a GET in place of `body`, for as long as it takes. */
  readonly stream?: (to: Writable) => void;
}

/** Answers a GET; the query stands without its `?`. */
export type AdminPage = (query: string) => AdminResponse | Promise<AdminResponse>;

/** A plain text; a line end is added. */
export function text(status: number, body: string): AdminResponse {
  return { status, contentType: 'text/plain; charset=utf-8', body: `${body}\n` };
}

/** A value as JSON; a line end is added. */
export function json(status: number, value: unknown): AdminResponse {
  return { status, contentType: 'application/json', body: `${JSON.stringify(value)}\n` };
}

/** 204, without a body. */
export function nothing(): AdminResponse {
  return { status: 204, contentType: null, body: '' };
}

/** A problem of RFC 9457, with a reason code as the gateway's other answers have. */
export function problem(
  status: number,
  reason: string,
  detail: string,
  fields: AdminResponse['fields'] = {},
): AdminResponse {
  return problemOf({ status, reason, detail }, {}, fields);
}

/** One that lists what is wrong. */
export function problemList(
  status: number,
  reason: string,
  detail: string,
  problems: readonly string[],
): AdminResponse {
  return problemOf({ status, reason, detail }, { problems }, {});
}

function problemOf(
  { status, reason, detail }: { status: number; reason: string; detail: string },
  members: object,
  fields: Readonly<Record<string, string>>,
): AdminResponse {
  const body = { type: 'about:blank', title: phraseOf(status), status, reason, detail, ...members };
  return { status, contentType: 'application/problem+json', body: `${JSON.stringify(body)}\n`, fields, reason };
}
