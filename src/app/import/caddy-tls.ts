// The certificates of a Caddyfile's sites: files that it names, or what Caddy gets by itself, from an authority for public names
// and from its own one for all others.
import { isHostName } from '../../config/address.ts';
import { acme } from '../../config/schema/schema-acme.ts';
import type { CaddyLine } from './caddy-syntax.ts';
import type { DraftPart, Value } from './draft.ts';

/** How a site says that it gets its certificates. */
export interface CertificateSource {
  readonly files: { readonly cert: string; readonly key: string } | null;
  /** From Caddy's own authority, whatever its name. */
  readonly internal: boolean;
}

/** What holds for all sites; undefined: Caddy's default. */
export interface CertificateOptions {
  email?: string;
  directory?: string;
  /** Every certificate comes from Caddy's own authority. */
  internal?: boolean;
}

const STORAGE = '/var/lib/upgate/acme';
const TERMS =
  "Caddy agrees to the authority's terms by itself; here terms_agreed says that you do: https://letsencrypt.org/repository/";
const NO_EMAIL = 'email: where the authority may write to';
const SELF_SIGNED = 'Caddy gets certificates by itself; these are for trying out: name yours in tls.certificates';
const INTERNAL = /(?:^|\.)(?:localhost|local|internal|home\.arpa)$/i;

/** What a site's block says of its certificates; an address for the authority goes to the options. */
export function certificateSource(block: readonly CaddyLine[], options: CertificateOptions): CertificateSource {
  const [, first, second] = block.find(({ words }) => words[0] === 'tls')?.words ?? [];
  if (first !== undefined && second !== undefined) return { files: { cert: first, key: second }, internal: false };
  if (first?.includes('@')) options.email ??= first;
  return { files: null, internal: first === 'internal' };
}

/** Takes what of the global options is about certificates; returns the lines that are not. */
export function takeGlobalOptions(block: readonly CaddyLine[], options: CertificateOptions): CaddyLine[] {
  return block.filter(({ words: [name, value], block: inner }) => {
    if (inner !== null) return true;
    if (name === 'local_certs') options.internal = true;
    else if (name === 'email' && acme.shape.email.safeParse(value).success) options.email ??= value as string;
    else if (name === 'acme_ca' && value !== undefined && acme.shape.directory.safeParse(value).success)
      options.directory = value;
    else return true;
    return false;
  });
}

/** Collects the certificates of one listener. */
export class ListenerCertificates {
  readonly #files = new Map<string, { cert: string; key: string }>();
  /** Names that an authority can issue for, and that others can't. */
  readonly #domains = new Set<string>();
  readonly #others = new Set<string>();

  add(host: string, { files, internal }: CertificateSource): void {
    if (files !== null) this.#files.set(files.cert, files);
    else if (host !== '') (!internal && isPublic(host) ? this.#domains : this.#others).add(host);
  }

  /** The value of `tls`. */
  part({ email, directory, internal }: CertificateOptions): DraftPart {
    const [files, domains, others] = [[...this.#files.values()], [...this.#domains], [...this.#others]];
    const certificates = files.length > 0 ? files : undefined;
    const value: Record<string, Value | undefined> = { certificates };
    if (internal || domains.length === 0 || !acme.shape.domains.safeParse(domains).success) {
      if (certificates !== undefined) return { remarks: [], value };
      const names = [...domains, ...others];
      return { remarks: [SELF_SIGNED], value: { self_signed: names.length === 0 ? ['localhost'] : names } };
    }
    const address = acme.shape.email.safeParse(email).success ? email : undefined;
    value['acme'] = { domains, email: address, directory, storage: STORAGE, terms_agreed: true };
    const remarks = [TERMS, ...(address === undefined ? [NO_EMAIL] : [])];
    if (others.length > 0)
      remarks.push(`no authority proves these by HTTP or TLS, they have no certificate here: ${others.join(', ')}`);
    return { remarks, value };
  }
}

/** Whether Caddy asks a public authority for a name, and one can be had without a proof by DNS. */
function isPublic(host: string): boolean {
  return isHostName(host) && host.includes('.') && !host.endsWith('.') && !INTERNAL.test(host);
}
