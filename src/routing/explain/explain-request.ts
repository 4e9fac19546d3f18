// What `upgate explain` is asked, made into the head that a client would send for it. Pure; the answer is explain.ts.
import { isIP } from 'node:net';
import { UNIX_PEERS } from '../../config/address.ts';
import { isToken, lowerNames, trimOws } from '../../http/fields.ts';
import { plainAddress } from '../../http/forwarding/addresses.ts';
import type { RequestHead } from '../../http/head.ts';
import { parseAuthority } from '../../http/target.ts';

/** The options of the command, as they were typed. */
export interface ExplainOptions {
  readonly origin?: string | undefined;
  /** Sec-WebSocket-Version; `13` where it is not given. Anything may be asked, also what is no number. */
  readonly version?: string | undefined;
  /** Sec-WebSocket-Protocol: one subprotocol or a list with commas. */
  readonly protocol?: string | undefined;
  /** Address of the peer, or `unix`; `127.0.0.1` where it is not given. */
  readonly from?: string | undefined;
  /** Further fields as `Name: value`, behind the others. */
  readonly header?: readonly string[] | undefined;
}

/** A question, ready to be answered. */
export interface ExplainRequest {
  readonly head: RequestHead;
}

const SCHEMES: ReadonlyMap<string, { readonly websocket: boolean; readonly secure: boolean; readonly port: number }> =
  new Map([
    ['ws', { websocket: true, secure: false, port: 80 }],
    ['wss', { websocket: true, secure: true, port: 443 }],
    ['http', { websocket: false, secure: false, port: 80 }],
    ['https', { websocket: false, secure: true, port: 443 }],
  ]);
const URL_FORM = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?#]*)([^#]*)(#.*)?$/s;
/** The key of RFC 6455 §1.3. */
const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

/**
 * Reads a URL and the options. `ws` and `wss` ask for a WebSocket, `http` and `https` for a plain GET. The path is taken
 * as it stands, so that `..` and escapes can be asked about too. A string says what is wrong with the question.
 */
export function parseExplainRequest(url: string, options: ExplainOptions): ExplainRequest | string {
  const [, schemeText, authority = '', rest = '', fragment] = URL_FORM.exec(url) ?? [];
  if (schemeText === undefined) return `${show(url)} is no URL; it starts with ws://, wss://, http:// or https://`;
  const scheme = SCHEMES.get(schemeText.toLowerCase());
  if (scheme === undefined) return `unknown scheme ${show(schemeText)}; use ws, wss, http or https`;
  if (fragment !== undefined) return `${show(fragment)} is a fragment, which no client sends`;
  const host = parseAuthority(authority);
  if (host === null)
    return `${show(authority)} is no host; write it in ASCII, without a user, an IPv6 address in brackets`;
  const fault = optionFault(options, scheme.websocket);
  if (fault !== null) return fault;

  const { from = '127.0.0.1' } = options;
  const port = host.port === null || host.port === scheme.port ? '' : `:${host.port}`;
  const fields = [
    'Host',
    `${host.host}${port}`,
    ...(scheme.websocket ? handshakeFields(options) : plainFields(options)),
    ...(options.header ?? []).flatMap(parseField),
  ];
  const head: RequestHead = {
    method: 'GET',
    target: toOctets(rest.startsWith('/') ? rest : `/${rest}`),
    version: '1.1',
    fields,
    names: lowerNames(fields),
    secure: scheme.secure,
    peer: from === UNIX_PEERS ? '' : plainAddress(from),
  };
  return { head };
}

function optionFault(
  { origin, version, protocol, from, header = [] }: ExplainOptions,
  websocket: boolean,
): string | null {
  if (!websocket && version !== undefined) return '--version is of WebSockets only; ask with ws:// or wss://';
  if (!websocket && protocol !== undefined) return '--protocol is of WebSockets only; ask with ws:// or wss://';
  if (from !== undefined && from !== UNIX_PEERS && isIP(from) === 0)
    return `--from ${show(from)} is no IP address, and not "unix"`;
  for (const line of header) if (!isToken(parseField(line)[0])) return `--header ${show(line)} is no "Name: value"`;
  const texts = Object.entries({ origin, version, protocol });
  for (const [option, value] of [...texts, ...header.map((line) => ['header', line] as const)]) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
    if (value !== undefined && /[\x00-\x08\x0a-\x1f\x7f]/.test(value))
      return `--${option} ${show(value)} holds a control character, which no field can`;
  }
  return null;
}

function handshakeFields({ origin, version = '13', protocol }: ExplainOptions): string[] {
  const fields = ['Connection', 'Upgrade', 'Upgrade', 'websocket', 'Sec-WebSocket-Key', KEY];
  fields.push('Sec-WebSocket-Version', toOctets(version));
  // As a client of that version names it.
  if (origin !== undefined) fields.push(version === '8' ? 'Sec-WebSocket-Origin' : 'Origin', toOctets(origin));
  if (protocol !== undefined) fields.push('Sec-WebSocket-Protocol', toOctets(protocol));
  return fields;
}

function plainFields({ origin }: ExplainOptions): string[] {
  return origin === undefined ? [] : ['Origin', toOctets(origin)];
}

/** The name and the value of a line; without a colon there is no name. */
function parseField(line: string): [name: string, value: string] {
  const colon = line.indexOf(':');
  return [line.slice(0, Math.max(colon, 0)), toOctets(trimOws(line.slice(colon + 1)))];
}

/** A head has octets, one a character. */
function toOctets(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

function show(text: string): string {
  return JSON.stringify(text);
}
