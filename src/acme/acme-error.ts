// Errors of ACME: the problem documents of an authority (RFC 7807, RFC 8555 §6.7), and errors on the way to it.

/** Our own types, beside those of RFC 8555 §6.7. */
type OwnType = 'connection' | 'timeout' | 'malformed' | 'storage';

/** The types of RFC 8555 §6.7 and RFC 9773 §7.4, without their prefix. */
const TYPES = [
  'accountDoesNotExist',
  'alreadyReplaced',
  'alreadyRevoked',
  'badCSR',
  'badNonce',
  'badPublicKey',
  'badRevocationReason',
  'badSignatureAlgorithm',
  'caa',
  'compound',
  'connection',
  'dns',
  'externalAccountRequired',
  'incorrectResponse',
  'invalidContact',
  'malformed',
  'orderNotReady',
  'rateLimited',
  'rejectedIdentifier',
  'serverInternal',
  'tls',
  'unauthorized',
  'unsupportedContact',
  'unsupportedIdentifier',
  'userActionRequired',
] as const;

const PREFIX = 'urn:ietf:params:acme:error:';
/** Most characters of an authority's text in the log. */
const LONGEST_DETAIL = 500;

export type AcmeErrorType = OwnType | (typeof TYPES)[number] | 'other';

/** An order has failed. `message` says why, in the authority's words if the error is the authority's: one line of bounded length. */
export class AcmeError extends Error {
  readonly type: AcmeErrorType;
  /** Milliseconds that the authority asks to wait (Retry-After); null if it does not say. */
  readonly retryAfterMs: number | null;

  constructor(type: AcmeErrorType, message: string, retryAfterMs: number | null = null) {
    super(clean(message));
    this.name = 'AcmeError';
    this.type = type;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The error for the body of a response, a problem document or not. */
export function problemError(problem: unknown, fallback: string, retryAfterMs: number | null = null): AcmeError {
  const { type, detail, subproblems } = fieldsOf(problem);
  const name = typeof type === 'string' && type.startsWith(PREFIX) ? type.slice(PREFIX.length) : null;
  const known = TYPES.find((each) => each === name) ?? 'other';
  const said = [sayingOf(detail), ...(Array.isArray(subproblems) ? subproblems.slice(0, 10).map(subproblem) : [])];
  const text = said.filter((each) => each !== '').join('; ');
  return new AcmeError(known, `${name ?? 'error'}: ${text === '' ? fallback : text}`, retryAfterMs);
}

/** The names and descriptions of subproblems (RFC 8555 §6.7.1). */
function subproblem(problem: unknown): string {
  const { detail, identifier } = fieldsOf(problem);
  const { value } = fieldsOf(identifier);
  return [sayingOf(value), sayingOf(detail)].filter((each) => each !== '').join(': ');
}

const fieldsOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
const sayingOf = (value: unknown): string => (typeof value === 'string' ? value : '');

/** One line of bounded length, whatever the other side wrote. */
function clean(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these characters are removed
  const line = text.slice(0, LONGEST_DETAIL).replace(/[\x00-\x1f\x7f]+/g, ' ');
  return text.length > LONGEST_DETAIL ? `${line}…` : line;
}
