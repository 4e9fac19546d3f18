// The promise of our request reader beside llhttp: what it takes llhttp takes, as the same requests, ending at the same octets.

import { LLHTTP_METHODS, type ReadRequests, readByLlhttp } from './llhttp.ts';
import { LARGEST_HEAD, octetsOf, readByOurs } from './requests.ts';

/**
 * Where ours takes what llhttp refuses, and why that is sound. Nothing that is not listed here may be taken by ours alone.
 */
export const APART: readonly (readonly [what: string, applies: (bytes: Buffer, ours: ReadRequests) => boolean])[] = [
  // RFC 9110 §9.1: a method is a token, and what one means is the backend's.
  [
    'a method that llhttp does not know',
    (_, { requests }) => requests.some(({ method }) => !LLHTTP_METHODS.has(method)),
  ],
  // RFC 9110 §5.6.3: white space around a value is SP or HTAB. llhttp knows SP only around a length, a coding and an option.
  ['a tab around a value', (bytes) => bytes.includes('\t')],
  // RFC 9112 §7.1.1: a recipient ignores extensions that it does not know. They are dropped here, and hold no control.
  ['what a chunk extension holds', (bytes) => bytes.includes(';')],
];

/** What ours makes of the bytes, after everything was held that is promised of it; throws what is broken. */
export function checkRequests(bytes: Buffer, cuts: readonly number[] = []): ReadRequests & { fault?: string } {
  const whole = readByOurs([bytes]);
  const pieces = [octetsOf(bytes), ...cuts.map((at) => [bytes.subarray(0, at), bytes.subarray(at)])];
  for (const cut of pieces) same('in pieces', shown(readByOurs(cut)), shown(whole), bytes);
  if (APART.some(([, applies]) => applies(bytes, whole))) return whole;
  const theirs = readByLlhttp(bytes, LARGEST_HEAD);
  for (const [i, request] of whole.requests.entries()) {
    const other = theirs.requests[i];
    if (other === undefined) throw new Error(`llhttp has no request ${i}: ${show(bytes)}`);
    const { method, target, version, fields } = request;
    const head = { method, target, version, fields };
    same(
      'head',
      head,
      { method: other.method, target: other.target, version: other.version, fields: other.fields },
      bytes,
    );
    // Where llhttp has stopped at an upgrade, the body is nobody's but the backend's.
    if (theirs.end === 'over' && i === theirs.requests.length - 1) break;
    if (request.complete) same('message', request, other, bytes);
  }
  return whole;
}

function shown({ requests, end, fault }: ReadRequests & { fault?: string }): unknown {
  return { requests, end, fault };
}

const show = (bytes: Buffer): string => JSON.stringify(bytes.toString('latin1'));

function same(what: string, ours: unknown, theirs: unknown, bytes: Buffer): void {
  const [one, other] = [JSON.stringify(ours), JSON.stringify(theirs)];
  if (one !== other) throw new Error(`${what}: ${one} is not ${other}, of ${show(bytes)}`);
}
