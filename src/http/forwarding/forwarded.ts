// Who the client is, and what a backend learns of it: the client's address as far as trusted proxies vouch for it, and the
// forwarding fields. Pure.
import { isIP } from 'node:net';
import { ownText } from '../../base/own-text.ts';
import { isToken, splitList, valuesOf } from '../fields.ts';
import type { RequestHead } from '../head.ts';
import { type AddressSet, compileAddresses } from './addresses.ts';
import { forwardedHops, type Hop, xForwardedHops } from './hops.ts';

/** Which fields of a trusted proxy are believed: those it writes. It may hand on what a client wrote into the others. */
export type TrustedSource = 'x-forwarded' | 'forwarded';

/** The peers whose forwarding fields are believed, and which fields. */
export interface TrustedProxies extends AddressSet {
  readonly source: TrustedSource;
}

/** Compiles `trusted_proxies`, already checked by the config; `auto` is `x-forwarded`, which is what nearly every proxy writes. */
export function compileTrustedProxies(
  entries: readonly string[],
  believe: TrustedSource | 'auto' = 'auto',
): TrustedProxies {
  return { source: believe === 'auto' ? 'x-forwarded' : believe, ...compileAddresses(entries) };
}

/** A client's certificate, signed by an authority that its listener trusts. */
export interface ClientCertificate {
  /** The distinguished name, as RFC 4514 writes it: `CN=alice,O=Example`. */
  readonly subject: string;
  /** SHA-256 of the certificate, in hex. */
  readonly fingerprint: string;
  /** When it ends, in milliseconds since 1970. */
  readonly notAfterMs: number;
}

/** What trusted proxies say of a request. */
interface Claimed {
  readonly source: TrustedSource;
  /** Null where it is not said. */
  readonly proto: string | null;
  readonly host: string | null;
  /** Everybody before the peer, as X-Forwarded-For names them. */
  readonly chain: readonly string[];
}

/** Where a request comes from. */
export interface Client {
  /** The client's own address: the peer's, or what a chain of trusted proxies says. */
  readonly address: string;
  /** Whether the TCP peer is a trusted proxy. */
  readonly viaTrusted: boolean;
  /** The request's id: a trusted proxy's, if it is fit for a log, or a fresh one. */
  readonly id: string;
  /**
   * The id of the connection that a handshake opens: the gateway's own, even where a trusted proxy names the request. It
   * is the request's id where that is fresh.
   */
  readonly connection: string;
  /** Of the TLS connection itself: one behind a proxy has none. */
  readonly certificate?: ClientCertificate;
  /** What else a trusted peer says, for the backend. */
  readonly claimed?: Claimed;
}

const REQUEST_ID = /^[A-Za-z0-9._-]{1,128}$/;

/** A request as far as it can be believed of where it comes from. */
export interface Attributed {
  /**
   * With its scheme as a trusted proxy vouches for it: TLS may have ended there, and routes and redirects go by what the
   * client used.
   */
  readonly head: RequestHead;
  readonly client: Client;
}

/** Reads who asks from the peer and, where that is trusted, from what it says, right to left. */
export function attribute(head: RequestHead, trusted: TrustedProxies, freshId: () => string): Attributed {
  const own = freshId();
  if (!trusted.has(head.peer))
    return { head, client: { address: head.peer, viaTrusted: false, id: own, connection: own } };
  const [id] = valuesOf(head, 'x-request-id');
  const { address, ...claimed } = readClaimed(head, trusted);
  const secure = claimed.proto === null ? head.secure : /^(?:https|wss)$/i.test(claimed.proto);
  const kept = id !== undefined && REQUEST_ID.test(id) ? id : own;
  return {
    head: secure === head.secure ? head : { ...head, secure },
    // Limits and sessions keep it.
    client: { address: ownText(address), viaTrusted: true, id: kept, connection: own, claimed },
  };
}

/** Of a trusted peer. */
function readClaimed(head: RequestHead, trusted: TrustedProxies): Claimed & Pick<Client, 'address'> {
  const { source } = trusted;
  if (source === 'forwarded') {
    const hops = forwardedHops(head);
    const chain = hops.map(({ address }) => address ?? 'unknown').reverse();
    return { source, chain, ...believe(hops, head.peer, trusted) };
  }
  // An empty value says nothing, and is as good as none.
  const values = (name: string): string[] => valuesOf(head, name).filter((value) => value !== '');
  return {
    source,
    address: believe(xForwardedHops(head), head.peer, trusted).address,
    proto: values('x-forwarded-proto')[0] ?? null,
    host: values('x-forwarded-host')[0] ?? null,
    chain: values('x-forwarded-for'),
  };
}

/** How far the hops can be believed: the last that a trusted one speaks of is the client. */
function believe(hops: readonly Hop[], peer: string, trusted: TrustedProxies): Hop & { readonly address: string } {
  let known = { address: peer, proto: null as string | null, host: null as string | null };
  for (const { address, proto, host } of hops) {
    known = { address: address ?? known.address, proto: proto ?? known.proto, host: host ?? known.host };
    // Whatever stands left of something unreadable could have been written by anyone.
    if (address === null || !trusted.has(address)) break;
  }
  return known;
}

const FORWARDING = new Set(['forwarded', 'x-real-ip', 'x-request-id']);

/** Whether a field, named in lower case, says where a request came from, also under an alias with `_` for `-`. */
export function isForwardingField(name: string): boolean {
  const plain = name.includes('_') ? name.replaceAll('_', '-') : name;
  return FORWARDING.has(plain) || plain.startsWith('x-forwarded-');
}

/** Which forwarding fields a backend gets. */
export type Forwarding = 'x-forwarded' | 'forwarded' | 'both';

/** The fields of this kind that the gateway writes itself; another one of a trusted proxy's goes on as it is. */
const REWRITTEN = new Set(['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-request-id']);

/** Whether a forwarding field of this request may go on to a backend as it came. */
export function mayPass(name: string, client: Client, forwarding: Forwarding = 'x-forwarded'): boolean {
  if (!client.viaTrusted || name.includes('_') || REWRITTEN.has(name)) return false;
  const source = client.claimed?.source;
  if (name === 'forwarded') return forwarding === 'x-forwarded' && source === 'forwarded';
  return source !== 'forwarded';
}

/** The forwarding fields for the backend, flat. The protocol is `http` or `https`, for WebSockets too. */
export function forwardingFields(
  head: RequestHead,
  client: Client,
  host: string,
  forwarding: Forwarding = 'x-forwarded',
): string[] {
  const { claimed } = client;
  const chain = claimed === undefined ? [] : [...claimed.chain];
  if (head.peer !== '') chain.push(head.peer);
  const proto = claimed?.proto ?? (head.secure ? 'https' : 'http');
  const forwardedHost = claimed?.host ?? host;
  const fields: string[] = [];
  if (forwarding !== 'forwarded') {
    if (chain.length > 0) fields.push('X-Forwarded-For', chain.join(', '));
    fields.push('X-Forwarded-Proto', proto);
    if (forwardedHost !== '') fields.push('X-Forwarded-Host', forwardedHost);
  }
  if (forwarding !== 'x-forwarded') {
    const before = claimed?.source === 'forwarded' ? valuesOf(head, 'forwarded') : [];
    // A proxy before us that knows only X-Forwarded-For is put into the words of RFC 7239 (§7.4).
    const hops = before.length > 0 ? [] : chain.slice(0, -1).flatMap(splitList);
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
