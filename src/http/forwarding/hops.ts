// The hops of a request as proxies write them, in X-Forwarded-For or in Forwarded (RFC 7239), last first: the nearest proxy
// wrote the right end, and nothing that stands left of it can change how it is read. forwarded.ts says which are believed.
// Pure.
import { isIP } from 'node:net';
import { type FieldSection, isToken, listElements, splitOutsideQuotes, trimOws, valuesOf } from '../fields.ts';
import { plainAddress } from './addresses.ts';

/** What one proxy says of its client. */
export interface Hop {
  /** Null where it is hidden (`unknown`, `_name`), missing or no address. */
  readonly address: string | null;
  /** As it was written; null where it is not said, which X-Forwarded-For never does. */
  readonly proto: string | null;
  readonly host: string | null;
}

/** The elements of X-Forwarded-For, right to left. */
export function xForwardedHops(section: FieldSection): Hop[] {
  return listElements(section, 'x-forwarded-for')
    .reverse()
    .map((element) => ({ address: parseNode(element), proto: null, host: null }));
}

/** The elements of Forwarded, right to left, down to the first that is malformed. */
export function forwardedHops(section: FieldSection): Hop[] {
  const hops: Hop[] = [];
  for (const line of valuesOf(section, 'forwarded').reverse()) {
    for (const element of elementsOf(line)) {
      if (trimOws(element) === '') continue;
      const pairs = parseElement(element);
      if (pairs === null) return hops;
      const value = (name: string): string | null => pairs.get(name) || null;
      hops.push({ address: parseNode(value('for') ?? ''), proto: value('proto'), host: value('host') });
    }
  }
  return hops;
}

/** An address, one with a port, or an IPv6 address in brackets with or without one; the port may be hidden (§6.3). */
function parseNode(node: string): string | null {
  const found = /^\[([^\]]+)\](?::(?:\d+|_[\w.-]+))?$/.exec(node) ?? /^([\d.]+)(?::(?:\d+|_[\w.-]+))?$/.exec(node);
  const address = plainAddress(found ? (found[1] as string) : node);
  return isIP(address) === 0 ? null : address;
}

/** Splits a line at the commas outside of quotes, from its end: a quote that was left open earlier swallows nothing. */
function elementsOf(line: string): string[] {
  const elements: string[] = [];
  let end = line.length;
  let quoted = false;
  for (let i = line.length - 1; i >= 0; i--) {
    if (line[i] === '"' && !isEscaped(line, i)) quoted = !quoted;
    if (line[i] !== ',' || quoted) continue;
    elements.push(line.slice(i + 1, end));
    end = i;
  }
  elements.push(line.slice(0, end));
  return elements;
}

function isEscaped(line: string, at: number): boolean {
  let before = at;
  while (line[before - 1] === '\\') before--;
  return (at - before) % 2 === 1;
}

/** A value in quotes, with its escapes (RFC 9110 §5.6.4). */
const QUOTED = /^"((?:[^"\\]|\\.)*)"$/;
/** Values that should be quoted, such as an address with a port, are often not. */
const PLAIN = /^[^ \t;,"]*$/;

/**
 * The pairs of an element, by their names in lower case, empty ones left out; null where it is malformed (RFC 7239 §4).
 * It is split before it is read, and never by one expression: the field may be the client's own, passed on by a proxy, and
 * has to be read in linear time.
 */
function parseElement(element: string): ReadonlyMap<string, string> | null {
  const pairs = new Map<string, string>();
  for (const pair of splitOutsideQuotes(element, ';').map(trimOws)) {
    if (pair === '') continue;
    const cut = pair.indexOf('=');
    const name = pair.slice(0, Math.max(cut, 0)).toLowerCase();
    const value = parseValue(pair.slice(cut + 1));
    if (!isToken(name) || value === null || pairs.has(name)) return null;
    pairs.set(name, value);
  }
  return pairs;
}

function parseValue(text: string): string | null {
  const [, quoted] = QUOTED.exec(text) ?? [];
  if (quoted !== undefined) return quoted.replace(/\\(.)/g, '$1');
  return PLAIN.test(text) ? text : null;
}
