// Values of header fields with variables in them, `{client_ip}` and the like: compiled at load, filled in for each request.
// What a variable holds comes from a request that was judged already, or is written as claims.ts has it, so that no value
// can break out of its field. Pure.
import { type Claims, claimOf, formatClaim } from '../claims.ts';
import type { Fields } from '../fields.ts';
import type { Client } from '../forwarding/forwarded.ts';
import type { Request } from '../head.ts';

/** What variables are filled from. */
export interface Facts {
  readonly request: Request;
  readonly client: Client;
  readonly route: string;
  /** The parameters of the route's path. */
  readonly params: Readonly<Record<string, string>>;
  /** What the client's credentials say; null where none were asked for. */
  readonly claims: Claims | null;
  /** Fields that came with the credentials, flat, in place of the client's own of these names. */
  readonly granted: Fields;
}

/** Gives null where the value names a claim that is missing or can't be written: there is no such field then. */
export type FieldTemplate = (facts: Facts) => string | null;

/** What a route has beside the variables that all have. */
export interface TemplateScope {
  /** The names of the parameters of its path. */
  readonly params: readonly string[];
  /** Whether it asks for credentials, so that there are claims. */
  readonly claims: boolean;
}

const VARIABLES = {
  client_ip: ({ client }) => client.address,
  client_cert_subject: ({ client }) => formatClaim(client.certificate?.subject),
  client_cert_fingerprint: ({ client }) => formatClaim(client.certificate?.fingerprint),
  request_id: ({ client }) => client.id,
  connection_id: ({ client }) => client.connection,
  host: ({ request }) => request.host,
  path: ({ request }) => rawPath(request.target.raw),
  query: ({ request }) => request.target.query,
  scheme: ({ request }) => (request.head.secure ? 'https' : 'http'),
  method: ({ request }) => request.head.method,
  route: ({ route }) => route,
} as const satisfies Record<string, FieldTemplate>;

const PART = /\{\{|\}\}|\{([^{}]*)\}|[{}]/g;
/** What may stand in a value (RFC 9110 §5.5); half a surrogate pair is no character. */
const VALUE = /^[\t\x20-\x7e\x80-\u{d7ff}\u{e000}-\u{10ffff}]*$/u;

/**
 * Compiles a value; a string says what is wrong with it. What is beyond ASCII goes out as the config file has it, in octets
 * of UTF-8: in the text of a field one character is one octet.
 */
export function compileTemplate(configured: string, known: TemplateScope): FieldTemplate | string {
  if (!VALUE.test(configured)) return 'a field holds no control characters, and no halves of characters';
  const text = Buffer.from(configured, 'utf8').toString('latin1');
  const parts: (string | FieldTemplate)[] = [];
  let at = 0;
  for (const found of text.matchAll(PART)) {
    if (found.index > at) parts.push(text.slice(at, found.index));
    at = found.index + found[0].length;
    const part = compilePart(found[0], found[1], known);
    if (part === null) return faultOf(found[0], known);
    parts.push(part);
  }
  if (at < text.length) parts.push(text.slice(at));
  const [only = ''] = parts;
  if (parts.length < 2) return typeof only === 'string' ? () => only : only;
  return (facts) => {
    const texts = parts.map((part) => (typeof part === 'string' ? part : part(facts)));
    return texts.includes(null) ? null : texts.join('');
  };
}

const CLAIM = /^claim\.(.+)$/;

function compilePart(
  text: string,
  name: string | undefined,
  { params, claims }: TemplateScope,
): string | FieldTemplate | null {
  if (text === '{{' || text === '}}') return text.slice(1);
  if (name === undefined) return null;
  const [, claim] = CLAIM.exec(name) ?? [];
  if (claim !== undefined) return claims ? (facts) => formatClaim(claimOf(facts.claims ?? {}, claim)) : null;
  if (params.includes(name)) return (facts) => facts.params[name] ?? '';
  return Object.hasOwn(VARIABLES, name) ? VARIABLES[name as keyof typeof VARIABLES] : null;
}

function faultOf(text: string, { params }: TemplateScope): string {
  if (text.length === 1) return `a "${text}" that stands for itself is written twice`;
  if (text.startsWith('{claim.')) return `${text} is of credentials, and the route asks for none`;
  return `${text} is no variable; there is ${[...Object.keys(VARIABLES), ...params].map((name) => `{${name}}`).join(', ')}`;
}

function rawPath(raw: string): string {
  const query = raw.indexOf('?');
  return query === -1 ? raw : raw.slice(0, query);
}
