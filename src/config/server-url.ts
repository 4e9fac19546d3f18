// The address of one server of an upstream, from its text in the config. `ws` is `http` and `wss` is `https`: a server is
// reached the same way for a handshake and for a plain request.

import { isIPv6 } from 'node:net';
import { lookupTable } from '../base/lookup-table.ts';
import { isHost, normaliseHost } from './address.ts';

export interface ServerUrl {
  /** As in the config, in lower case and without a trailing slash: the `server` label of metrics and logs. */
  readonly url: string;
  readonly secure: boolean;
  /** A name or an IP address, without brackets. */
  readonly host: string;
  readonly port: number;
  /** The path of a unix socket; host and port mean nothing then. */
  readonly unix?: string;
}

/** Why a text is no server address. Never holds the text itself, which may carry a secret. */
export interface ServerUrlFault {
  readonly message: string;
  readonly hint: string;
}

const SCHEMES: Readonly<Record<string, { readonly secure: boolean; readonly port: number }>> = lookupTable({
  ws: { secure: false, port: 80 },
  http: { secure: false, port: 80 },
  wss: { secure: true, port: 443 },
  https: { secure: true, port: 443 },
});
const FORM = 'write it as ws://host:port or http://host:port, with wss or https for TLS, or as unix:/path';

/** Whether parseServerUrl() found a fault. */
export function isServerUrlFault(parsed: ServerUrl | ServerUrlFault): parsed is ServerUrlFault {
  return 'message' in parsed;
}

/** Reads `ws|wss|http|https://host[:port][/]`, an IPv6 address in brackets, or `unix:/path`. */
export function parseServerUrl(text: string): ServerUrl | ServerUrlFault {
  if (/^unix:/i.test(text)) return parseUnix(text.slice('unix:'.length));
  const [, schemeText, authority = '', tail = ''] = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?#]*)(.*)$/s.exec(text) ?? [];
  if (schemeText === undefined) return { message: 'must be a server address', hint: FORM };
  const schemeName = schemeText.toLowerCase();
  const scheme = Object.hasOwn(SCHEMES, schemeName) ? SCHEMES[schemeName] : undefined;
  if (scheme === undefined) return { message: 'must begin with ws, wss, http or https', hint: FORM };
  if (authority.includes('@')) {
    return { message: 'must hold no user or password', hint: 'take out all that stands before the "@"' };
  }
  if (tail !== '' && tail !== '/') {
    return { message: 'must hold no path, query or fragment', hint: 'the path of each request is passed on as it is' };
  }
  const address = parseAuthority(authority, scheme.port);
  return 'message' in address
    ? address
    : { url: `${schemeName}://${address.shown}`, secure: scheme.secure, ...address.at };
}

/** The longest path that fits sun_path on Linux, with its closing NUL (unix(7)). */
export const LONGEST_UNIX_PATH = 107;

function parseUnix(path: string): ServerUrl | ServerUrlFault {
  if (!/^\/(?!\/)[^\0]/.test(path) || path.includes('\0')) {
    return { message: 'must hold the path of a unix socket', hint: 'write it as unix:/run/app.sock' };
  }
  if (Buffer.byteLength(path) > LONGEST_UNIX_PATH) {
    return {
      message: `must hold a path of at most ${LONGEST_UNIX_PATH} bytes`,
      hint: 'the kernel takes no longer one',
    };
  }
  return { url: `unix:${path}`, secure: false, host: 'localhost', port: 80, unix: path };
}

interface Authority {
  /** As it was written: without a port where there was none. */
  readonly shown: string;
  readonly at: { readonly host: string; readonly port: number };
}

function parseAuthority(authority: string, defaultPort: number): Authority | ServerUrlFault {
  const [, bracketed, plain, portText] = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(.*))?$/s.exec(authority) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined) return { message: 'must be a server address', hint: 'an IPv6 address stands in [brackets]' };
  const valid = bracketed === undefined ? isHost(host) : isIPv6(host) && !host.includes('%');
  if (!valid)
    return { message: 'must hold a valid host', hint: 'a host is a name, an IPv4 address or an [IPv6] address' };
  const normal = normaliseHost(host);
  const shown = bracketed === undefined ? normal : `[${normal}]`;
  if (portText === undefined) return { shown, at: { host: normal, port: defaultPort } };
  const port = Number(portText);
  if (/^\d{1,5}$/.test(portText) && port >= 1 && port <= 65535) {
    return { shown: `${shown}:${port}`, at: { host: normal, port } };
  }
  return { message: 'must hold a valid port', hint: 'a port is a number from 1 to 65535' };
}
