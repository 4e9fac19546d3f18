// The head of an answer as octets of HTTP/1.1 (RFC 9112 §4, §6), with what every answer of a server says: how its body
// ends, the date, and whether the connection stays. Pure.
import { STATUS_CODES } from 'node:http';
import { splitList } from '../../http/fields.ts';
import { formatFields } from '../../http/problem.ts';
import type { ResponseHead } from '../../proxy/client.ts';
import { isPhrase } from '../../proxy/framing.ts';

/** What the server adds to an answer. */
export interface Added {
  /** For an answer without Date (RFC 9110 §6.6.1). */
  readonly date: string;
  /** Field lines that say whether the connection stays, for an answer without Connection. */
  readonly connection: string;
  /** Whether the body comes in chunks. */
  readonly chunked: boolean;
}

/** A head, to be written as latin1. Throws where a field or the phrase can't be written. */
export function formatAnswerHead({ status, phrase, fields }: ResponseHead, added: Added): string {
  const said = phrase ?? STATUS_CODES[status] ?? 'Unknown';
  if (!isPhrase(said)) throw new Error('the reason phrase can not be written');
  let text = `HTTP/1.1 ${status} ${said}\r\n${formatFields(fields)}`;
  if (firstValue(fields, 'date') === null) text += `Date: ${added.date}\r\n`;
  if (firstValue(fields, 'connection') === null) text += added.connection;
  return added.chunked ? `${text}Transfer-Encoding: chunked\r\n\r\n` : `${text}\r\n`;
}

/** Whether an answer says by itself that it is the last one of its connection. */
export function saysClose(fields: readonly string[]): boolean {
  const connection = firstValue(fields, 'connection');
  return connection !== null && splitList(connection.toLowerCase()).includes('close');
}

/** The first value of a field, its name in lower case; null where there is none. */
function firstValue(fields: readonly string[], name: string): string | null {
  for (let i = 0; i < fields.length; i += 2) {
    const field = fields[i] as string;
    if (field.length === name.length && field.toLowerCase() === name) return fields[i + 1] as string;
  }
  return null;
}

/** Date of an answer, put together once a second. */
export class DateField {
  #second = Number.NaN;
  #text = '';

  /** The time now, as RFC 9110 §5.6.7 writes it. */
  now(): string {
    const ms = Date.now();
    const second = Math.floor(ms / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#text = new Date(ms).toUTCString();
    }
    return this.#text;
  }
}
