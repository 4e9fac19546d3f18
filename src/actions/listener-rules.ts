// What a listener refuses before a route is looked for, whatever the request is and whatever it came by: that it came without
// TLS, or over a connection that was made for another name or that is not of its scheme. And what every answer on it carries.
import type { TLSSocket } from 'node:tls';
import type { ListenerConfig } from '../config/schema/schema.ts';
import { type Rejection, reject } from '../handshake/rejection.ts';
import { type Request, type RequestHead, readRequest } from '../http/head.ts';
import type { Connection } from '../net/fd-connection.ts';

/** Which certificate serves a name, as TLS picks it; what it is, is compared only. */
export interface CertificateChoice {
  /** With the default one for names that are nobody's. */
  contextFor(name: string): object | null;
  /** Null for names that are nobody's. */
  namedContext(name: string): object | null;
}

/** Who proves that a name is ours asks without TLS, and before there is a certificate (RFC 8555 §8.3). */
const CHALLENGES = '/.well-known/acme-challenge/';

const HTTPS = 443;
const WRONG_SCHEME = 'the scheme that is asked for is not the one of this connection';

export class ListenerRules {
  #config: Pick<ListenerConfig, 'redirect_to_https' | 'hsts' | 'unix' | 'proxy_protocol'>;
  #certificates: CertificateChoice | null;

  /** Without TLS there are no certificates. */
  constructor(config: ListenerConfig, certificates: CertificateChoice | null) {
    this.#config = config;
    this.#certificates = certificates;
  }

  /** Holds for requests from now on, also on connections that are open. */
  configure(config: ListenerConfig, certificates: CertificateChoice | null): void {
    this.#config = config;
    this.#certificates = certificates;
  }

  /** The value of Strict-Transport-Security (RFC 6797 §6.1); null: none is sent, as without TLS (§7.2). */
  get hsts(): string | null {
    return this.#certificates === null ? null : (this.#config.hsts ?? null);
  }

  /**
   * The refusal; null where there is none, or the request is none that could be judged, which its route's judge says.
   * `head` has its scheme as trusted proxies vouch for it.
   */
  refuse(head: RequestHead, connection: Connection, fromTrustedProxy: boolean): Rejection | null {
    if (!fromTrustedProxy && this.#wrongScheme(head)) return reject('misdirected', WRONG_SCHEME);
    const port = head.secure ? null : (this.#config.redirect_to_https ?? null);
    // A proxy has one connection for all of its clients.
    const asked = fromTrustedProxy ? null : serverNameOf(connection);
    if (port === null && (asked === null || this.#certificates === null)) return null;
    const request = readRequest(head);
    if ('fault' in request || request.authority === null) return null;
    if (port !== null) return redirect(request, port);
    return asked !== null && this.#misdirected(asked, request.authority.host) ? reject('misdirected') : null;
  }

  /**
   * RFC 9110 §7.4: what is asked for by https must have come over TLS, and what is asked for by http is another resource. A
   * proxy may say what its own client has asked for, whatever it has connected by.
   */
  #wrongScheme(head: RequestHead): boolean {
    if (this.#config.unix !== undefined || this.#config.proxy_protocol !== undefined) return false;
    const scheme = head.http2?.scheme ?? schemeOf(head.target);
    return scheme !== null && (scheme === 'https') !== head.secure;
  }

  /** RFC 9110 §7.4: a client may use a connection for every name of its certificate, and this name has another one. */
  #misdirected(asked: string, host: string): boolean {
    if (asked.toLowerCase() === host) return false;
    const wanted = this.#certificates?.namedContext(host) ?? null;
    return wanted !== null && wanted !== this.#certificates?.contextFor(asked);
  }
}

/** Of a target in absolute-form (RFC 9112 §3.2.2), the scheme of HTTP that it stands for; null: it says none. */
function schemeOf(target: string): 'http' | 'https' | null {
  const said = target.startsWith('/') ? undefined : /^(?:http|ws)(s?):/i.exec(target)?.[1];
  return said === undefined ? null : said === '' ? 'http' : 'https';
}

/** What the client asked for by SNI; null: nothing, or there is no TLS. */
function serverNameOf(connection: Connection): string | null {
  const { servername } = connection as Partial<TLSSocket>;
  return typeof servername === 'string' && servername !== '' ? servername : null;
}

function redirect({ target, authority }: Request, port: number): Rejection | null {
  if (authority === null || !target.raw.startsWith('/') || target.path.startsWith(CHALLENGES)) return null;
  const location = `https://${authority.host}${port === HTTPS ? '' : `:${port}`}${target.raw}`;
  return reject('https_required', undefined, ['Location', location]);
}
