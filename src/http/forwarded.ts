// Who asks, and what a backend is told of it: the client's address as far as trusted proxies vouch for it, and the
// forwarding fields. Pure.
import { isIP } from 'node:net';
import { type AddressSet, compileAddresses, plainAddress } from './addresses.ts';
import { isToken, listElements, valuesOf } from './fields.ts';
import type { RequestHead } from './head.ts';

/** The peers whose forwarding fields are believed. */
export type TrustedProxies = AddressSet;

/** Compiles `trusted_proxies`. */
export const compileTrustedProxies: (entries: readonly string[]) => TrustedProxies = compileAddresses;

/** A client's certificate, signed by an authority that its listener trusts. */
export interface ClientCertificate {
  /** The distinguished name, as RFC 4514 writes it: `CN=alice,O=Example`. */
  readonly subject: string;
  /** SHA-256 of the certificate, in hex. */
  readonly fingerprint: string;
  /** When it ends, in milliseconds since 1970. */
  readonly notAfterMs: number;
}

/** Where a request comes from. */
export interface Client {
  /** The client's own address: the peer's, or what a chain of trusted proxies says. */
  readonly address: string;
  /** Whether the TCP peer is a trusted proxy. */
  readonly viaTrusted: boolean;
  /** The request's id: a trusted proxy's, if it is fit for a log, or a fresh one. */
  readonly id: string;
  /** Of the TLS connection itself: one behind a proxy has none. */
  readonly certificate?: ClientCertificate;
}

const REQUEST_ID = /^[A-Za-z0-9._-]{1,128}$/;

/** Reads the client from the peer and, where that is trusted, from X-Forwarded-For, right to left. */
export function readClient(head: RequestHead, trusted: TrustedProxies, freshId: () => string): Client {
  if (!trusted.has(head.peer)) return { address: head.peer, viaTrusted: false, id: freshId() };
  const [id] = valuesOf(head, 'x-request-id');
  return {
    address: clientAddress(head, trusted),
    viaTrusted: true,
    id: id !== undefined && REQUEST_ID.test(id) ? id : freshId(),
  };
}

function clientAddress(head: RequestHead, trusted: TrustedProxies): string {
  let address = head.peer;
  for (const element of listElements(head, 'x-forwarded-for').reverse()) {
    const hop = parseHop(element);
    // Whatever stands left of something unreadable could have been written by anyone.
    if (hop === null) return address;
    address = hop;
    if (!trusted.has(hop)) return address;
  }
  return address;
}

/** An element of X-Forwarded-For: an address, an address with a port, or a bracketed IPv6 address with or without one. */
function parseHop(element: string): string | null {
  const found = /^\[([^\]]+)\](?::\d+)?$/.exec(element) ?? /^([\d.]+)(?::\d+)?$/.exec(element);
  const address = plainAddress(found ? (found[1] as string) : element);
  return isIP(address) === 0 ? null : address;
}

const FORWARDING = new Set(['forwarded', 'x-real-ip', 'x-request-id']);

/** Whether a field, named in lower case, says where a request came from, also under an alias with `_` for `-`. */
export function isForwardingField(name: string): boolean {
  const plain = name.includes('_') ? name.replaceAll('_', '-') : name;
  return FORWARDING.has(plain) || plain.startsWith('x-forwarded-');
}

/** How a backend is told of the client. */
export type Forwarding = 'x-forwarded' | 'forwarded' | 'both';

/** The fields of this kind that the gateway writes itself; another one of a trusted proxy's goes on as it is. */
const REWRITTEN = new Set(['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-request-id']);

/** Whether a forwarding field of this request may go on to a backend as it came. */
export function mayPass(name: string, client: Client, forwarding: Forwarding = 'x-forwarded'): boolean {
  if (name === 'forwarded' && forwarding !== 'x-forwarded') return false;
  return client.viaTrusted && !name.includes('_') && !REWRITTEN.has(name);
}

const NONE: readonly string[] = [];

/** The forwarding fields for the backend, flat. The protocol is `http` or `https`, for WebSockets too. */
export function forwardingFields(
  head: RequestHead,
  client: Client,
  host: string,
  forwarding: Forwarding = 'x-forwarded',
): string[] {
  const given = (name: string): readonly string[] => (client.viaTrusted ? valuesOf(head, name) : NONE);
  // An empty value says nothing, and is as good as none.
  const chain = given('x-forwarded-for').filter((hop) => hop !== '');
  if (head.peer !== '') chain.push(head.peer);
  const proto = given('x-forwarded-proto')[0] || (head.secure ? 'https' : 'http');
  const forwardedHost = given('x-forwarded-host')[0] || host;
  const fields: string[] = [];
  if (forwarding !== 'forwarded') {
    if (chain.length > 0) fields.push('X-Forwarded-For', chain.join(', '));
    fields.push('X-Forwarded-Proto', proto);
    if (forwardedHost !== '') fields.push('X-Forwarded-Host', forwardedHost);
  }
  if (forwarding !== 'x-forwarded') {
    const before = given('forwarded');
    // A proxy before us that knows only X-Forwarded-For is put into the words of RFC 7239 (§7.4).
    const hops = before.length > 0 ? [] : chain.slice(0, -1).flatMap((hop) => hop.split(/[ \t]*,[ \t]*/));
    const elements = [...before, ...hops.map((hop) => `for=${forwardedNode(hop)}`)];
    elements.push(forwardedElement(head.peer, forwardedHost, proto));
    fields.push('Forwarded', elements.join(', '));
  }
  fields.push('X-Request-Id', client.id);
  return fields;
}

function forwardedElement(peer: string, host: string, proto: string): string {
  const of = `for=${peer === '' ? 'unknown' : forwardedNode(peer)}`;
  return `${of}${host === '' ? '' : `;host=${quoted(host)}`};proto=${quoted(proto)}`;
}

/** RFC 7239 §6: an IPv6 address stands in brackets, and so in quotes. */
function forwardedNode(address: string): string {
  return isIP(address) === 6 ? `"[${address}]"` : quoted(address);
}

function quoted(text: string): string {
  return isToken(text) ? text : `"${text.replace(/[\\"]/g, '\\$&')}"`;
}

/**
 * The head with its scheme as far as a trusted proxy vouches for it: TLS may have ended there, and routes and redirects
 * go by what the client used.
 */
export function vouchedScheme(head: RequestHead, trusted: TrustedProxies): RequestHead {
  if (!trusted.has(head.peer)) return head;
  const [proto] = valuesOf(head, 'x-forwarded-proto');
  const secure = proto === undefined || proto === '' ? head.secure : /^(?:https|wss)$/i.test(proto);
  return secure === head.secure ? head : { ...head, secure };
}
