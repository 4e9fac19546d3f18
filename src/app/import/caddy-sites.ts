// The addresses of a Caddyfile's sites: which listeners they need, and which hosts their routes take.
import type { CaddyLine } from './caddy-syntax.ts';
import {
  type CertificateOptions,
  type CertificateSource,
  certificateSource,
  ListenerCertificates,
} from './caddy-tls.ts';
import type { DraftPart, NamesGiven } from './draft.ts';

export interface Site {
  /** Undefined: any. */
  readonly hosts: readonly string[] | undefined;
  readonly scheme: 'http' | 'https' | undefined;
  readonly remarks: readonly string[];
}

interface Listening {
  readonly port: number;
  readonly secure: boolean;
  readonly certificates: ListenerCertificates;
}

export class CaddyListeners {
  readonly options: CertificateOptions = {};
  readonly #found = new Map<number, Listening>();
  /** Hosts whose plain requests Caddy sends to https. */
  readonly #redirected = new Set<string>();

  add(port: number, secure: boolean): Listening {
    const found = this.#found.get(port) ?? { port, secure, certificates: new ListenerCertificates() };
    this.#found.set(port, found);
    return found;
  }

  redirect(host: string): void {
    this.add(80, false);
    this.#redirected.add(host);
  }

  parts(): DraftPart[] {
    const found = [...this.#found.values()];
    if (found.length === 0) return [{ remarks: [], value: { port: 80 } }];
    return found.map(({ port, secure, certificates }) => {
      if (!secure) return { remarks: [], value: { port } };
      const { remarks, value } = certificates.part(this.options);
      return { remarks, value: { port, tls: value } };
    });
  }

  /** What Caddy does on port 80 by itself. */
  redirects(names: NamesGiven): DraftPart[] {
    if (this.#redirected.size === 0) return [];
    const match = { host: [...this.#redirected], scheme: 'http' };
    const value = { name: names.take('to-https'), match, redirect: { scheme: 'https', status: 308 } };
    return [{ remarks: ['Caddy leads these to https by itself'], value }];
  }
}

/** A site of these addresses; `block` is what it does. */
export function siteOf(addresses: readonly string[], block: readonly CaddyLine[], listeners: CaddyListeners): Site {
  const remarks: string[] = [];
  const source = certificateSource(block, listeners.options);
  const found = addresses
    .flatMap((text) => text.split(','))
    .filter((text) => text !== '')
    .flatMap((text) => {
      const address = parseAddress(text);
      if (address === null) remarks.push(`site ${text} is not carried`);
      else if (address.path !== '') remarks.push(`site ${text}: its path is not carried`);
      return address === null ? [] : [address];
    });
  for (const address of found) listen(address, source, listeners);
  const [first] = found;
  const oneScheme = first !== undefined && found.every(({ secure }) => secure === first.secure);
  const anyHost = found.length === 0 || found.some(({ host }) => host === '');
  return {
    hosts: anyHost ? undefined : [...new Set(found.map(({ host }) => host))],
    scheme: oneScheme ? (first.secure ? 'https' : 'http') : undefined,
    remarks,
  };
}

interface Address {
  readonly secure: boolean;
  /** Empty: any. */
  readonly host: string;
  readonly port: number;
  readonly path: string;
  /** Whether Caddy leads plain requests for it to https. */
  readonly redirects: boolean;
}

function parseAddress(text: string): Address | null {
  const [whole, scheme, named = '', port, path = ''] =
    /^(?:(https?):\/\/)?(\[[^\]]+\]|[^:/]*)(?::(\d+))?(\/.*)?$/.exec(text) ?? [];
  if (whole === undefined || named.includes('{')) return null;
  const host = named === '*' ? '' : named.replace(/^\[|\]$/g, '');
  const secure = scheme === undefined ? host !== '' && port !== '80' : scheme === 'https';
  const usual = secure ? 443 : 80;
  const redirects = secure && scheme === undefined && port === undefined;
  return { secure, host, port: port === undefined ? usual : Number(port), path, redirects };
}

function listen(
  { secure, host, port, redirects }: Address,
  source: CertificateSource,
  listeners: CaddyListeners,
): void {
  const listening = listeners.add(port, secure);
  if (redirects) listeners.redirect(host);
  if (secure) listening.certificates.add(host, source);
}
