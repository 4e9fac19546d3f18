// The `listen` directives of all servers as listeners: each address once, with the certificates of all servers on it.
import type { DraftPart } from './draft.ts';
import type { Directive } from './nginx-syntax.ts';

interface Found {
  readonly host: string | undefined;
  readonly port: number | undefined;
  readonly unix: string | undefined;
  secure: boolean;
  proxied: boolean;
  readonly certificates: Map<string, { cert: string; key: string }>;
}

export class NginxListeners {
  readonly #found = new Map<string, Found>();

  /** Takes a server's in; tells which scheme its clients use, where it is one only. */
  add(server: readonly Directive[]): { scheme: 'http' | 'https' | undefined; remarks: string[] } {
    const remarks: string[] = [];
    const listens = server.filter(({ name }) => name === 'listen').map(({ args }) => args);
    const certificate = pairOf(server);
    const schemes = new Set<'http' | 'https'>();
    for (const [address = '80', ...flags] of listens.length === 0 ? [['80']] : listens) {
      const found = this.#at(address);
      if (found === null) {
        remarks.push(`listen ${address} is not carried`);
        continue;
      }
      const secure = flags.includes('ssl');
      schemes.add(secure ? 'https' : 'http');
      found.secure ||= secure;
      found.proxied ||= flags.includes('proxy_protocol');
      if (secure && certificate !== null) found.certificates.set(certificate.cert, certificate);
    }
    const [scheme] = schemes;
    return { scheme: schemes.size === 1 ? scheme : undefined, remarks };
  }

  parts(): DraftPart[] {
    const found = [...this.#found.values()];
    return (found.length === 0 ? [{ ...NOTHING, port: 80 }] : found).map(partOf);
  }

  #at(address: string): Found | null {
    const [, unix] = /^unix:(.+)$/.exec(address) ?? [];
    const [, host, port] = /^(?:(\[[^\]]+\]|[^:]+):)?(\d+)$/.exec(address) ?? [];
    if (unix === undefined && port === undefined) return this.#atHost(address);
    // Without a host a listener takes both families, as `listen 80` and `listen [::]:80` together.
    const any = host === undefined || host === '[::]' || host === '*' || host === '0.0.0.0';
    const named = any ? undefined : host.replace(/^\[|\]$/g, '');
    return this.#keep({ ...NOTHING, host: named, port: port === undefined ? undefined : Number(port), unix });
  }

  /** An address without a port means 80. */
  #atHost(address: string): Found | null {
    if (!/^(?:\[[0-9a-f:]+\]|[\w.-]+|\*)$/i.test(address)) return null;
    return this.#at(`${address}:80`);
  }

  #keep(found: Found): Found {
    const key = `${found.host} ${found.port} ${found.unix}`;
    const known = this.#found.get(key) ?? { ...found, certificates: new Map() };
    this.#found.set(key, known);
    return known;
  }
}

const NOTHING: Found = {
  host: undefined,
  port: undefined,
  unix: undefined,
  secure: false,
  proxied: false,
  certificates: new Map(),
};

function partOf({ host, port, unix, secure, proxied, certificates }: Found): DraftPart {
  const named = [...certificates.values()];
  const tls = named.length > 0 ? { certificates: named } : { self_signed: ['localhost'] };
  const remarks = [
    ...(secure && named.length === 0 ? ['no certificate was named: one for trying out is made at the start'] : []),
    ...(proxied ? ['name the balancers that send a PROXY preamble in `from`'] : []),
  ];
  const from = { from: ['127.0.0.1'] };
  return {
    remarks,
    value: { host, port, unix, tls: secure ? tls : undefined, proxy_protocol: proxied ? from : undefined },
  };
}

function pairOf(server: readonly Directive[]): { cert: string; key: string } | null {
  const of = (wanted: string): string | undefined => server.find(({ name }) => name === wanted)?.args[0];
  const [cert, key] = [of('ssl_certificate'), of('ssl_certificate_key')];
  return cert === undefined || key === undefined ? null : { cert, key };
}
