// The heads of both sides with their framing decided: how each end finds the end of a body (RFC 9112 §6). Not the header
// policy, which is http/policy.ts.
import type { IncomingMessage } from 'node:http';
import { GatewayError } from '../errors.ts';
import { without } from '../http/fields.ts';
import type { Exchange } from './http-engine.ts';

/** Framing and connection are each side's own matter. */
const ENGINE_FIELDS = ['transfer-encoding', 'connection', 'keep-alive'];
const OF_UNCHUNKED_REQUEST = new Set([...ENGINE_FIELDS, 'trailer']);
const OF_CHUNKED_REQUEST = new Set([...ENGINE_FIELDS, 'content-length']);
const OF_CHUNKED_ANSWER = new Set(ENGINE_FIELDS);
const OF_UNCHUNKED_ANSWER = new Set([...ENGINE_FIELDS, 'trailer']);
const OF_NO_CONTENT = new Set([...OF_UNCHUNKED_ANSWER, 'content-length']);

/** Methods that give content no meaning: for them node invents no framing where there is none. */
const WITHOUT_CONTENT = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE']);

/** What may stand in a reason phrase (RFC 9112 §4). */
const PHRASE = /^[\t\x20-\x7e\x80-\xff]*$/;

export function isPhrase(text: string): boolean {
  return PHRASE.test(text);
}

/** Whether the client's request has a body, be it an empty one in chunks. */
export function hasBody(req: IncomingMessage): boolean {
  return req.headers['transfer-encoding'] !== undefined || Number(req.headers['content-length'] ?? 0) > 0;
}

/** The fields of the request for the server, framed as the client framed it. */
export function requestHead({ req, fields }: Exchange): string[] {
  const coding = req.headers['transfer-encoding'];
  if (coding !== undefined) return [...without(fields, OF_CHUNKED_REQUEST), 'Transfer-Encoding', coding];
  const head = without(fields, OF_UNCHUNKED_REQUEST);
  if (has(head, 'content-length')) return head;
  const length = req.headers['content-length'];
  if (length !== undefined) head.push('Content-Length', length);
  // Where the method expects content and none is announced, node would send an empty body in chunks; the length says the
  // same in the way that RFC 9110 §8.6 asks for.
  else if (!WITHOUT_CONTENT.has(req.method ?? '')) head.push('Content-Length', '0');
  return head;
}

/** An answer's head for the client. */
export interface AnswerHead {
  readonly status: number;
  readonly phrase: string;
  readonly fields: string[];
  /** Whether the client finds the end of the body by the end of the connection only. */
  readonly untilClose: boolean;
}

/** Builds it, or throws a GatewayError `bad_accept` where two readers could disagree about the answer. */
export function answerHead({ req, responseFields, ownFields }: Exchange, answer: IncomingMessage): AnswerHead {
  const { statusCode: status = 0, statusMessage: phrase = '' } = answer;
  if (status < 200) throw new GatewayError('bad_accept', `the answer's status ${status} is none`);
  if (!isPhrase(phrase)) throw new GatewayError('bad_accept', "the answer's reason phrase is malformed");
  const coding = answer.headers['transfer-encoding'];
  if (coding !== undefined && (coding.toLowerCase() !== 'chunked' || answer.httpVersion !== '1.1')) {
    throw new GatewayError('bad_accept', 'the answer has an unknown Transfer-Encoding');
  }
  // RFC 9110 §8.6: a 204 has no length, whatever the server says; a HEAD and a 304 tell the length that a GET would have.
  const fields = [...responseFields(answer.rawHeaders), ...ownFields];
  if (status === 204) return { status, phrase, fields: without(fields, OF_NO_CONTENT), untilClose: false };
  const framed = req.method === 'HEAD' || status === 304 || has(fields, 'content-length');
  const chunked = !framed && req.httpVersion === '1.1';
  return {
    status,
    phrase,
    fields: without(fields, chunked ? OF_CHUNKED_ANSWER : OF_UNCHUNKED_ANSWER),
    untilClose: !framed && !chunked,
  };
}

/** The fields of an interim answer. */
export function interimFields({ responseFields }: Exchange, fields: readonly string[]): string[] {
  return without(responseFields(fields), OF_NO_CONTENT);
}

function has(fields: readonly string[], name: string): boolean {
  for (let i = 0; i < fields.length; i += 2) if (fields[i]?.toLowerCase() === name) return true;
  return false;
}
