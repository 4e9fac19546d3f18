// Which fields the gateway forwards, in both directions, for plain requests and handshakes (RFC 9110 §7.6.1), and the fields
// that a route adds. Pure.
import { type FieldSection, type Fields, listElements, lowerNames, trimOws, without } from '../fields.ts';
import { type Forwarding, forwardingFields, isForwardingField, mayPass } from '../forwarding/forwarded.ts';
import { isEndToEnd, type Request, type RequestHead } from '../head.ts';
import { type PathView, type RewrittenTarget, showCookie, showLocation } from './rewrite.ts';
import type { Facts, FieldTemplate } from './template.ts';

/** Hop-by-hop fields, besides those that Connection names. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
]);

/** The names, in lower case, of fields that are not forwarded: hop-by-hop fields and those that Connection names. */
function connectionFields(section: FieldSection): ReadonlySet<string> {
  if (!section.names.includes('connection')) return HOP_BY_HOP;
  let dropped: Set<string> | null = null;
  for (const element of listElements(section, 'connection')) {
    const name = element.toLowerCase();
    // If a backend names Sec-WebSocket-Accept, its removal would make the 101 invalid for the client.
    if (HOP_BY_HOP.has(name) || isEndToEnd(name)) continue;
    dropped ??= new Set(HOP_BY_HOP);
    dropped.add(name);
  }
  return dropped ?? HOP_BY_HOP;
}

/** A route's changes to the fields of one direction; names in lower case. */
export interface FieldRules {
  /** Fields that are removed, and fields that are set. */
  readonly dropped: ReadonlySet<string>;
  /** Fields that are set or appended. */
  readonly added: readonly { readonly name: string; readonly value: FieldTemplate }[];
}

/** A route's header policy. */
export interface Policy {
  readonly forwarding: Forwarding;
  /** The name in Via; null: none. */
  readonly via: string | null;
  /** Host for the backend: the client's, the server's own, or a configured one. */
  readonly host: 'keep' | 'upstream' | { readonly given: string };
  readonly request: FieldRules | null;
  readonly response: FieldRules | null;
  /** Whether the backend gets another path than the client sent. */
  readonly movesPaths: boolean;
}

const PLAIN_POLICY: Policy = {
  forwarding: 'x-forwarded',
  via: null,
  host: 'keep',
  request: null,
  response: null,
  movesPaths: false,
};

/** The Host for a backend; `own` is the server's authority, used if the client sends none. */
function hostFor(policy: Policy, request: Request, own: string): string {
  // HTTP/1.1 requires Host, HTTP/1.0 does not.
  if (policy.host === 'keep') return request.host || own;
  return policy.host === 'upstream' ? own : policy.host.given;
}

/**
 * The fields of a request for the backend: Host first, then the forwarded ones in their order, then the gateway's. `skip` has
 * more names to leave out, in lower case; `own` is the server's authority.
 */
export function requestFields(
  facts: Facts,
  skip: ReadonlySet<string>,
  policy: Policy = PLAIN_POLICY,
  own = '',
): string[] {
  const { request, client } = facts;
  const { head } = request;
  const dropped = connectionFields(head);
  const set = replaced(policy.request, facts.granted);
  const host = hostFor(policy, request, own);
  const fields: string[] = host === '' ? [] : ['Host', host];
  for (let i = 0; i < head.names.length; i++) {
    const name = head.names[i] as string;
    // A backend that reads `_` as `-` (CGI, WSGI) would mistake an alias for the field itself.
    const plain = name.includes('_') ? name.replaceAll('_', '-') : name;
    if (plain === 'host' || dropped.has(plain) || dropped.has(name) || skip.has(plain)) continue;
    if (set !== undefined && (set.has(plain) || set.has(name))) continue;
    if (isForwardingField(name) && !mayPass(name, client, policy.forwarding)) continue;
    fields.push(head.fields[2 * i] as string, trimOws(head.fields[2 * i + 1] as string));
  }
  const ours = forwardingFields(head, client, request.host, policy.forwarding);
  if (policy.via !== null) ours.push('Via', `${receivedBy(head)} ${policy.via}`);
  for (const field of set === undefined ? ours : without(ours, set)) fields.push(field);
  grant(fields, facts.granted);
  add(fields, policy.request, facts);
  return fields;
}

/** The received-protocol of Via (RFC 9110 §7.6.3). */
function receivedBy({ http2, version }: RequestHead): string {
  return http2 === undefined ? version : '2.0';
}

/** The field of the gateway's own refusals; it is removed from a backend's answer. */
export const REASON_FIELD = 'X-Gateway-Reason';

/** The fields of a backend's answer for the client: the forwarded ones, in their order. `names`: theirs in lower case. */
export function responseFields(fields: Fields, names: readonly string[] = lowerNames(fields)): string[] {
  const section = { fields, names };
  const dropped = connectionFields(section);
  const kept: string[] = [];
  for (let i = 0; i < section.names.length; i++) {
    const name = section.names[i] as string;
    if (dropped.has(name) || name === 'x-gateway-reason') continue;
    kept.push(fields[2 * i] as string, fields[2 * i + 1] as string);
  }
  return kept;
}

/** The parts of a request that the policy for its answer needs. */
export interface Answering {
  readonly facts: Facts;
  readonly sent: RewrittenTarget;
  /** The server's authority. */
  readonly own: string;
}

/** The same with a route's policy. Returns a function, because an exchange may have several response heads. */
export function responsePolicy(policy: Policy, answering: Answering): typeof responseFields {
  const { response, via } = policy;
  const moves = policy.movesPaths || policy.host !== 'keep';
  if (response === null && via === null && !moves) return responseFields;
  const view = moves ? viewOf(policy, answering) : null;
  return (fields, names) => {
    let kept = responseFields(fields, names);
    if (view !== null) kept = show(kept, view);
    if (response !== null) kept = without(kept, response.dropped);
    if (via !== null) kept.push('Via', `1.1 ${via}`);
    add(kept, response, answering.facts);
    return kept;
  };
}

function viewOf(policy: Policy, { facts, sent, own }: Answering): PathView {
  const { request } = facts;
  const scheme = request.head.secure ? 'https' : 'http';
  const host = hostFor(policy, request, own);
  return {
    shown: sent.shown,
    sent: sent.sent,
    own: [host, own],
    origin: policy.host === 'keep' || request.host === '' ? null : `${scheme}://${request.host}`,
  };
}

function show(fields: readonly string[], view: PathView): string[] {
  return fields.map((text, i) => {
    if (i % 2 === 0) return text;
    const name = (fields[i - 1] as string).toLowerCase();
    if (name === 'location' || name === 'content-location') return showLocation(text, view);
    return name === 'set-cookie' ? showCookie(text, view) : text;
  });
}

/** The names of fields that are dropped if the client sends them, because the gateway sets them. */
function replaced(rules: FieldRules | null, granted: Fields): ReadonlySet<string> | undefined {
  const dropped = rules === null ? undefined : rules.dropped;
  if (granted.length === 0) return dropped;
  // `_` counts as `-`: backends that treat them alike would use the client's field.
  return new Set([...lowerNames(granted).map((name) => name.replaceAll('_', '-')), ...(dropped ?? [])]);
}

/** A field without a value is not sent; it is listed so that the client's own is dropped. */
function grant(fields: string[], granted: Fields): void {
  for (let i = 0; i < granted.length; i += 2) {
    const value = granted[i + 1] as string;
    if (value !== '') fields.push(granted[i] as string, value);
  }
}

function add(fields: string[], rules: FieldRules | null, facts: Facts): void {
  for (const { name, value } of rules?.added ?? []) {
    const text = value(facts);
    if (text !== null) fields.push(name, text);
  }
}
