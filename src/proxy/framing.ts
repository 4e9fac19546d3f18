// The heads for both sides with their framing: how each end finds the end of a body (RFC 9112 §6). The header policy in
// http/policy/policy.ts has already removed hop-by-hop fields.
import type { Socket } from 'node:net';
import { GatewayError } from '../errors.ts';
import type { ResponseHead } from './client.ts';
import type { Exchange } from './http-engine.ts';
import type { ReceivedHead } from './upstream-stream.ts';

/** Methods for which content has no meaning: without framing they get none. */
const WITHOUT_CONTENT = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE']);

/** The characters of a reason phrase (RFC 9112 §4). */
const PHRASE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Whether a text may be a reason phrase. */
export function isPhrase(text: string): boolean {
  return PHRASE.test(text);
}

/**
 * For a connection on which node's outgoing messages write: a head that leaves before there is a body (`flushHeaders`,
 * `Expect`) would be written as UTF-8. Bodies are given as octets.
 */
export function writeOctets(socket: Socket): void {
  socket.setDefaultEncoding('latin1');
}

/**
 * The fields with Content-Length behind all others, where there is a Content-Disposition: node, once it knows the length,
 * takes that field's text for UTF-8 and damages or refuses octets beyond ASCII (nodejs/node#58240).
 */
export function lengthLast<T extends readonly string[]>(fields: T): T | string[] {
  if (!has(fields, 'content-disposition') || !has(fields, 'content-length')) return fields;
  const lengths: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    if ((fields[i] as string).toLowerCase() === 'content-length')
      lengths.push(fields[i] as string, fields[i + 1] as string);
  }
  return [...without(fields, 'content-length'), ...lengths];
}

/** The framing of a message; null if it has no framing field. */
interface Framing {
  readonly coding: string | null;
  readonly length: string | null;
}

/** Reads the framing fields; repeated ones are joined as a list. */
function framingOf(fields: readonly string[]): Framing {
  let coding: string | null = null;
  let length: string | null = null;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    // Convert to lower case only if the length fits: this runs for every field of every message.
    if (name.length === 17 && name.toLowerCase() === 'transfer-encoding')
      coding = join(coding, fields[i + 1] as string);
    else if (name.length === 14 && name.toLowerCase() === 'content-length')
      length = join(length, fields[i + 1] as string);
  }
  return { coding, length };
}

function join(list: string | null, value: string): string {
  return list === null ? value : `${list}, ${value}`;
}

/** A request's head for the server, and whether a body follows. */
export interface OutgoingRequestHead {
  readonly fields: readonly string[];
  readonly hasBody: boolean;
  readonly chunked: boolean;
}

/** The fields of the request for the server, framed as the client framed it. */
export function requestHead({ request, fields: given, preamble }: Exchange): OutgoingRequestHead {
  const { message } = request;
  const fields = preamble === null ? given : [...given, 'Connection', 'close'];
  const { coding, length } = framingOf(message.rawHeaders);
  if (coding !== null) {
    const head = [...without(fields, 'content-length'), 'Transfer-Encoding', coding];
    return { fields: head, hasBody: true, chunked: true };
  }
  const head = without(fields, 'trailer');
  const hasBody = length !== null && Number(length) > 0;
  if (has(head, 'content-length')) return { fields: head, hasBody, chunked: false };
  // Where the method expects content and none is announced, the length says so as RFC 9110 §8.6 asks for.
  const own = length ?? (WITHOUT_CONTENT.has(message.method ?? '') ? null : '0');
  return { fields: own === null ? head : [...head, 'Content-Length', own], hasBody, chunked: false };
}

/** An answer's head for the client. */
export interface OutgoingAnswerHead extends ResponseHead {
  /** How many bytes its body has; null where the head does not say, or there is none. */
  readonly length: number | null;
}

/** Builds the head; throws a GatewayError `bad_accept` if the framing is ambiguous. */
export function answerHead(exchange: Exchange, answer: ReceivedHead): OutgoingAnswerHead {
  const { status, phrase } = answer;
  if (status < 200) throw new GatewayError('bad_accept', `the answer's status ${status} is none`);
  if (answer.version !== '1.1' && answer.version !== '1.0')
    throw new GatewayError('bad_accept', 'the answer is not of HTTP/1.0 or 1.1');
  if (!isPhrase(phrase)) throw new GatewayError('bad_accept', "the answer's reason phrase is malformed");
  const { coding, length } = framingOf(answer.fields);
  if (coding !== null && (coding.toLowerCase() !== 'chunked' || answer.version !== '1.1')) {
    throw new GatewayError('bad_accept', 'the answer has an unknown Transfer-Encoding');
  }
  const fields = exchange.responseFields(answer.fields, answer.names);
  // The list belongs to the exchange and may be changed.
  for (const text of exchange.ownFields) fields.push(text);
  // RFC 9110 §8.6: a 204 has no length, whatever the server says; a HEAD and a 304 state the length that a GET would have.
  if (status === 204) {
    return { status, phrase, fields: interim(fields), length: null, framing: 'none' };
  }
  const { method, httpVersion } = exchange.request.message;
  if (length === null && method !== 'HEAD' && status !== 304 && httpVersion === '1.1')
    return { status, phrase, fields: without(fields, 'content-length'), length: null, framing: 'chunked' };
  const plain = without(fields, 'trailer');
  if (method === 'HEAD' || status === 304) return { status, phrase, fields: plain, length: null, framing: 'none' };
  if (length === null) return { status, phrase, fields: plain, length: null, framing: 'close' };
  return { status, phrase, fields: plain, length: Number(length), framing: 'length' };
}

/** What keeps a client waiting longer than any work takes: one each ten seconds for hours. */
const MAX_INTERIMS = 1000;

/** What is wrong with the interim answer of this status that is the `count`th of its exchange, or null. */
export function interimFault(status: number, count: number): string | null {
  if (status === 101) return 'the server switched protocols without being asked to';
  return count > MAX_INTERIMS ? 'the server sent interim answers without end' : null;
}

/** The fields of an interim answer. */
export function interimFields(exchange: Exchange, fields: readonly string[]): string[] {
  return interim(exchange.responseFields(fields));
}

function interim(fields: string[]): string[] {
  return without(without(fields, 'trailer'), 'content-length');
}

function has(fields: readonly string[], name: string): boolean {
  for (let i = 0; i < fields.length; i += 2) {
    const field = fields[i] as string;
    if (field.length === name.length && field.toLowerCase() === name) return true;
  }
  return false;
}

/** The fields without those of one name; the same list if there are none. */
function without<T extends readonly string[]>(fields: T, name: string): T | string[] {
  if (!has(fields, name)) return fields;
  const kept: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    if ((fields[i] as string).toLowerCase() !== name) kept.push(fields[i] as string, fields[i + 1] as string);
  }
  return kept;
}
