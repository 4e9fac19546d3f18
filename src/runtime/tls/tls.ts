// TLS of one listener: certificates read, checked and turned into contexts that SNI picks from. Built anew at each reload
// and swapped as one reference; a connection that is open keeps the context it began with. What a server makes of it is
// listen/tls-server.ts.
import { createHash, type KeyObject, X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import { certificateFile } from '../../config/acme.ts';
import { normaliseHost } from '../../config/address.ts';
import type { ConfigPath, Problem } from '../../config/problem.ts';
import type { ListenerConfig } from '../../config/schema/schema.ts';
import type { AcmeConfig } from '../../config/schema/schema-acme.ts';
import type { TicketKey } from '../../net/ticket-keys.ts';
import { type ClientAuthMode, type ClientAuthority, loadClientAuth } from './client-auth.ts';
import { loadStaple, type Staple } from './ocsp.ts';
import { fail, parseChain, parseKey, readPem, TlsConfigError } from './pem.ts';
import { tlsPolicy } from './policy.ts';
import { type KeyPair, makeSelfSigned } from './self-signed.ts';
import { whyUnwritable } from './storage-access.ts';
import { loadTicketKeys } from './tickets.ts';

export type TlsConfig = NonNullable<ListenerConfig['tls']>;

export interface CertificateInfo {
  /** DNS names and addresses of its subjectAltName. */
  readonly names: readonly string[];
  readonly notAfterMs: number;
}

/** The TLS material of a listener; immutable. */
export interface TlsMaterial {
  /**
   * The context for a server name: exact, then `*.suffix` over one label, else the first certificate's; null in place of
   * that with `strict_sni`.
   */
  contextFor(servername: string): SecureContext | null;
  /** The same without a fallback: null for a name that is nobody's. */
  namedContext(servername: string): SecureContext | null;
  readonly certificates: readonly CertificateInfo[];
  /** What the default context is made of, for a client that names no server; without a certificate with `strict_sni`. */
  readonly defaults: SecureContextOptions;
  /** Every context that contextFor() can give. */
  readonly contexts: readonly SecureContext[];
  /** OCSP responses for clients that ask for one, by the SHA-256 of their certificate in hexadecimal. */
  readonly staples: ReadonlyMap<string, Staple>;
  /** Keys of session tickets: the first encrypts, all decrypt; null: the server's own. */
  readonly ticketKeys: readonly TicketKey[] | null;
  /** The certificates as PEM with their keys, for an engine that makes contexts of its own. */
  readonly pairs: readonly { readonly chain: string; readonly key: string; readonly names: readonly string[] }[];
  readonly minVersion: TlsConfig['min_version'];
  /** Whether a client has to name a server that a certificate is for. */
  readonly strictSni: boolean;
  /**
   * Whether clients are asked for certificates, and those without a valid one admitted; null: no certificate is
   * requested.
   */
  readonly clientAuth: ClientAuthMode | null;
  /** Warnings for the operator about what still works, such as an expired certificate; paths count from the `tls` block. */
  readonly warnings: readonly Problem[];
}

/** Self-signed pairs by their names; the caller keeps it over reloads so that a trusted one stays trusted. */
export type SelfSignedCache = Map<string, KeyPair>;

export interface TlsSources {
  /** The directory that relative paths of the config are relative to. */
  readonly baseDir: string;
  readonly selfSigned: SelfSignedCache;
  readonly now: Date;
}

/** A self-signed pair with less left than this is made anew at the next reload. */
const RENEW_BEFORE_MS = 30 * 86_400_000;

/** How long a session can be resumed: that of a WebSocket began with its connection, which lives for hours. */
const SESSION_SECONDS = 86_400;

/** What a listener has beside its certificates. */
interface Whole extends Pick<TlsMaterial, 'ticketKeys'> {
  readonly common: Common;
  readonly config: TlsConfig;
}

/** What all contexts of a listener have in common; no authorities where they are invalid, and then nothing is served. */
type Common = ReturnType<typeof tlsPolicy> & { readonly sessionTimeout?: number } & Partial<ClientAuthority>;

interface Loaded {
  readonly info: CertificateInfo;
  readonly context: SecureContext;
  readonly options: SecureContextOptions;
  readonly pair: KeyPair;
  readonly warnings: readonly Problem[];
  readonly sha256: string;
  readonly staple: Staple | null;
}

/** Reads and checks every certificate. Rejects with a TlsConfigError that holds all that is wrong. */
export async function buildTls(config: TlsConfig, sources: TlsSources): Promise<TlsMaterial> {
  const problems: Problem[] = [];
  const collect = (error: unknown): undefined => {
    if (!(error instanceof TlsConfigError)) throw error;
    problems.push(...error.problems);
  };
  const loaded: Loaded[] = [];
  const authority = await loadClientAuth(config.client_auth, sources.baseDir).catch(collect);
  const ticketKeys = await loadTicketKeys(config.ticket_key_file, sources.baseDir).catch(collect);
  // A session brings its client's certificate along, which is not verified again: those have node's five minutes.
  const sessions = config.client_auth === undefined ? { sessionTimeout: SESSION_SECONDS } : {};
  const common = { ...tlsPolicy(config.min_version), ...sessions, ...authority };
  const { now, baseDir } = sources;
  for (const [index, { cert, key, ocsp_file }] of (config.certificates ?? []).entries()) {
    const files = {
      cert: resolve(baseDir, cert),
      key: resolve(baseDir, key),
      ocsp: ocsp_file && resolve(baseDir, ocsp_file),
    };
    const at = { path: ['certificates', index], now, common };
    await loadPair(files, at).then((pair) => loaded.push(pair), collect);
  }
  if (config.acme !== undefined)
    await loadIssued(config.acme, sources, common).then((one) => loaded.push(one), collect);
  if (config.self_signed !== undefined) {
    try {
      loaded.push(loadSelfSigned(config.self_signed, sources, common));
    } catch (error) {
      collect(error);
    }
  }
  if (problems.length > 0) throw new TlsConfigError(problems);
  return materialOf(loaded, { common, config, ticketKeys: ticketKeys ?? null });
}

function materialOf(loaded: readonly Loaded[], { common, config, ticketKeys }: Whole): TlsMaterial {
  const first = loaded[0];
  if (first === undefined) throw fail([], 'no certificate', 'name `certificates`, `acme` or `self_signed`');
  const { strict_sni: strictSni } = config;
  const contexts = new Map<string, SecureContext>();
  for (const { context, info } of loaded) {
    // Where two certificates hold a name, the one written first serves it.
    for (const name of info.names) if (!contexts.has(name)) contexts.set(name, context);
  }
  const namedContext = (servername: string): SecureContext | null => {
    const name = servername.toLowerCase();
    return contexts.get(name) ?? contexts.get(wildcardOver(name)) ?? null;
  };
  return {
    contextFor: (servername) => namedContext(servername) ?? (strictSni ? null : first.context),
    namedContext,
    certificates: loaded.map(({ info }) => info),
    defaults: strictSni ? common : first.options,
    contexts: loaded.map(({ context }) => context),
    staples: new Map(loaded.flatMap(({ sha256, staple }) => (staple === null ? [] : [[sha256, staple]]))),
    ticketKeys,
    pairs: loaded.map(({ info, pair: { cert, key } }) => ({ chain: cert, key, names: info.names })),
    minVersion: config.min_version,
    strictSni,
    clientAuth: config.client_auth?.mode ?? null,
    warnings: loaded.flatMap(({ warnings }) => warnings),
  };
}

/** The wildcard that would match a name: its first label replaced (RFC 9525 §6.3); empty where there is one label only. */
function wildcardOver(name: string): string {
  const dot = name.indexOf('.');
  return dot < 0 ? '' : `*${name.slice(dot)}`;
}

/** The position of a pair in the config, and what else its context is made of. */
interface PairAt {
  readonly path: ConfigPath;
  readonly now: Date;
  readonly common: Common;
}

/** Paths; the last one undefined: none. */
interface Files extends KeyPair {
  readonly ocsp?: string | undefined;
}

async function loadPair(files: Files, at: PairAt): Promise<Loaded> {
  const { path } = at;
  const [cert, key] = await Promise.allSettled([
    readPem(files.cert, [...path, 'cert']),
    readPem(files.key, [...path, 'key']),
  ]);
  if (cert.status === 'rejected' || key.status === 'rejected') throw allOf([cert, key]);
  const chain = parseChain(cert.value, files.cert, [...path, 'cert']);
  const privateKey = parseKey(key.value, files.key, [...path, 'key']);
  const leaf = chain[0];
  if (!leaf?.checkPrivateKey(privateKey)) throw mismatch(chain, privateKey, { files, path });
  const loaded = loadedOf({ cert: cert.value, key: key.value }, leaf, { ...at, path: [...path, 'cert'] });
  if (files.ocsp === undefined) return loaded;
  const { staple, warnings } = await loadStaple(files.ocsp, leaf, { path: [...path, 'ocsp_file'], now: at.now });
  return { ...loaded, staple, warnings: [...loaded.warnings, ...warnings] };
}

/** What an authority has issued; until then, or where it can't be used, one of our own for the same names. */
async function loadIssued(acme: AcmeConfig, sources: TlsSources, common: Common): Promise<Loaded> {
  const file = resolve(sources.baseDir, certificateFile(acme));
  const warnings: Problem[] = [];
  const warn = (message: string, hint: string, key?: string): void => {
    warnings.push({ severity: 'warning', path: key === undefined ? ['acme'] : ['acme', key], message, hint });
  };
  const unwritable = await whyUnwritable(dirname(file));
  if (unwritable !== null) warn(`cannot be written to: ${unwritable}`, 'nothing can be ordered', 'storage');
  try {
    const issued = await loadPair({ cert: file, key: file }, { path: ['acme'], now: sources.now, common });
    return { ...issued, warnings: [...warnings, ...issued.warnings] };
  } catch (error) {
    if (!(error instanceof TlsConfigError)) throw error;
    const hint = 'one of our own is served until another one is issued';
    if (existsSync(file)) for (const { message } of error.problems) warn(message, hint);
    return { ...loadSelfSigned(acme.domains, sources, common), warnings };
  }
}

function loadSelfSigned(names: readonly string[], { selfSigned, now }: TlsSources, common: Common): Loaded {
  const id = names.join(' ');
  const kept = selfSigned.get(id);
  const keptUntil = kept === undefined ? 0 : Date.parse(new X509Certificate(kept.cert).validTo);
  const pair = kept !== undefined && keptUntil - now.getTime() > RENEW_BEFORE_MS ? kept : makeOrFail(names, now);
  selfSigned.set(id, pair);
  return loadedOf(pair, new X509Certificate(pair.cert), { path: ['self_signed'], now, common });
}

function makeOrFail(names: readonly string[], now: Date): KeyPair {
  try {
    return makeSelfSigned(names, now);
  } catch (error) {
    if (error instanceof RangeError) throw fail(['self_signed'], error.message, 'such as localhost or 192.0.2.1');
    throw error;
  }
}

function loadedOf(pair: KeyPair, leaf: X509Certificate, at: PairAt): Loaded {
  const names = namesOf(leaf);
  const warnings: Problem[] = [];
  const warn = (message: string, hint: string): void => {
    warnings.push({ severity: 'warning', path: at.path, message, hint });
  };
  if (Date.parse(leaf.validTo) <= at.now.getTime())
    warn(`the certificate expired on ${leaf.validTo}`, 'renew it, then reload');
  if (Date.parse(leaf.validFrom) > at.now.getTime()) {
    warn(`the certificate is not valid before ${leaf.validFrom}`, "is this machine's clock right?");
  }
  if (names.length === 0) warn('the certificate holds no name', 'clients read names from its subjectAltName only');
  const options = { cert: pair.cert, key: pair.key, ...at.common };
  const info = { names, notAfterMs: Date.parse(leaf.validTo) };
  const sha256 = createHash('sha256').update(leaf.raw).digest('hex');
  return { info, context: contextOf(options, at.path), options, pair, warnings, sha256, staple: null };
}

function contextOf(options: SecureContextOptions, path: ConfigPath): SecureContext {
  try {
    return createSecureContext(options);
  } catch (error) {
    // OpenSSL's own policy, such as a key too small for its security level.
    const why = error instanceof Error ? error.message : String(error);
    throw fail(path, `TLS does not take this certificate: ${why}`);
  }
}

/** Entries of subjectAltName as node prints them: `DNS:a, IP Address:b`, an entry with odd characters as a JSON string. */
const SAN_ENTRY = /(?:^|, )(DNS|IP Address):("(?:[^"\\]|\\.)*"|[^,]*)/g;

function namesOf(certificate: X509Certificate): string[] {
  const names: string[] = [];
  for (const [, , value = ''] of (certificate.subjectAltName ?? '').matchAll(SAN_ENTRY)) {
    if (!value.startsWith('"')) names.push(normaliseHost(value));
  }
  return names;
}

function mismatch(
  chain: readonly X509Certificate[],
  key: KeyObject,
  { files, path }: { files: KeyPair; path: ConfigPath },
): TlsConfigError {
  const hint = chain.some((certificate) => certificate.checkPrivateKey(key))
    ? 'the certificate of that key stands later in the file; it must be the first, its issuers after it'
    : undefined;
  return fail(
    [...path, 'key'],
    `the private key in ${files.key} is not that of the first certificate in ${files.cert}`,
    hint,
  );
}

/** One error of all those that were rejected with a TlsConfigError. */
function allOf(results: readonly PromiseSettledResult<string>[]): TlsConfigError {
  const reasons = results.flatMap((result): unknown[] => (result.status === 'rejected' ? [result.reason] : []));
  return new TlsConfigError(reasons.flatMap((reason) => (reason instanceof TlsConfigError ? reason.problems : [])));
}
