// The protocol of RFC 8555 with one authority and one account: directory, nonces, signed requests and responses. The requests
// of an order are in order.ts.
import { AcmeError, problemError } from './acme-error.ts';
import type { AccountKey, ExternalAccount, ProtectedHeader } from './jws.ts';
import type { Transport, TransportAnswer } from './transport.ts';

/** The URLs of the directory (RFC 8555 §7.1.1). */
export interface Directory {
  readonly newNonce: string;
  readonly newAccount: string;
  readonly newOrder: string;
  /** RFC 9773 §4.1; null: the authority has none. */
  readonly renewalInfo: string | null;
  readonly externalAccountRequired: boolean;
}

export interface Answer {
  readonly status: number;
  /** The URL of the created resource (Location); null: none was created. */
  readonly location: string | null;
  readonly retryAfterMs: number | null;
  /** Parsed from JSON; empty if it is no JSON object. */
  readonly json: Json;
  readonly text: string;
}

export type Json = Readonly<Record<string, unknown>>;

export interface AccountTerms {
  readonly email: string | null;
  readonly eab: ExternalAccount | null;
}

/** Attempts: a client should retry with the nonce of the response that refused its own (RFC 8555 §6.5). */
const NONCE_TRIES = 5;
const MOST_NONCES = 8;
const NONCE = /^[A-Za-z0-9_-]{1,256}$/;
const CHAIN = 'application/pem-certificate-chain';

export class AcmeClient {
  readonly key: AccountKey;
  readonly #transport: Transport;
  readonly #directoryUrl: string;
  readonly #now: () => number;
  readonly #nonces: string[] = [];
  #directory: Directory | null = null;
  #account: string | null = null;

  constructor(directoryUrl: string, key: AccountKey, { transport, now }: { transport: Transport; now: () => number }) {
    this.key = key;
    this.#directoryUrl = directoryUrl;
    this.#transport = transport;
    this.#now = now;
  }

  async directory(): Promise<Directory> {
    if (this.#directory !== null) return this.#directory;
    const { json } = await this.get(this.#directoryUrl);
    const meta = isJson(json['meta']) ? json['meta'] : {};
    const renewalInfo = json['renewalInfo'];
    this.#directory = {
      newNonce: textOf(json, 'newNonce'),
      newAccount: textOf(json, 'newAccount'),
      newOrder: textOf(json, 'newOrder'),
      renewalInfo: typeof renewalInfo === 'string' ? renewalInfo : null,
      externalAccountRequired: meta['externalAccountRequired'] === true,
    };
    return this.#directory;
  }

  /** Uses this account from now on. */
  use(account: string): void {
    this.#account = account;
  }

  /** Creates the account of the key, or finds the existing one (RFC 8555 §7.3), and agrees to the terms. Returns its URL. */
  async register({ email, eab }: AccountTerms): Promise<string> {
    const { newAccount, externalAccountRequired } = await this.directory();
    if (externalAccountRequired && eab === null)
      throw new AcmeError('externalAccountRequired', 'the authority wants the keys of an account of its own: set eab');
    const payload = {
      termsOfServiceAgreed: true,
      contact: contactOf(email),
      ...(eab === null ? {} : { externalAccountBinding: this.key.bind(eab, newAccount) }),
    };
    const { location } = await this.#send(newAccount, payload, { jwk: this.key.jwk });
    if (location === null) throw new AcmeError('malformed', 'the authority does not say where the account is');
    this.#account = location;
    return location;
  }

  /** Sets the account's contact address. */
  async changeContact(email: string | null): Promise<void> {
    if (this.#account !== null) await this.post(this.#account, { contact: contactOf(email) });
  }

  /** Sends a request of the account; a null payload reads the resource (POST-as-GET). */
  post(url: string, payload: object | null): Promise<Answer> {
    if (this.#account === null) throw new Error('there is no account yet');
    return this.#send(url, payload, { kid: this.#account });
  }

  /** Sends a request without an account. */
  async get(url: string): Promise<Answer> {
    return this.#read(await this.#transport({ method: 'GET', url }));
  }

  async #send(url: string, payload: object | null, signer: Pick<ProtectedHeader, 'kid' | 'jwk'>): Promise<Answer> {
    for (let tried = 1; ; tried++) {
      const nonce = this.#nonces.pop() ?? (await this.#freshNonce());
      const body = JSON.stringify(this.key.sign({ url, nonce, ...signer }, payload));
      const answer = await this.#transport({ method: 'POST', url, body, accept: `${CHAIN}, application/json` });
      try {
        return this.#read(answer);
      } catch (error) {
        if (!(error instanceof AcmeError) || error.type !== 'badNonce' || tried === NONCE_TRIES) throw error;
      }
    }
  }

  async #freshNonce(): Promise<string> {
    const { newNonce } = await this.directory();
    this.#read(await this.#transport({ method: 'HEAD', url: newNonce }));
    const nonce = this.#nonces.pop();
    if (nonce === undefined) throw new AcmeError('malformed', 'the authority gives no nonce');
    return nonce;
  }

  /** Keeps the response's nonce, and throws an AcmeError if the response is a problem. */
  #read({ status, field, body }: TransportAnswer): Answer {
    const nonce = field('replay-nonce');
    // The newest nonce is used first: an old one may have expired.
    if (nonce !== null && NONCE.test(nonce)) this.#nonces.push(nonce);
    if (this.#nonces.length > MOST_NONCES) this.#nonces.shift();
    const retryAfterMs = readRetryAfter(field('retry-after'), this.#now());
    const json = /\bjson\b/.test(field('content-type') ?? '') ? parseJson(body) : {};
    if (status < 200 || status > 299) throw problemError(json, `the authority answers ${status}`, retryAfterMs);
    return { status, location: field('location'), retryAfterMs, json, text: body };
  }
}

const contactOf = (email: string | null): string[] => (email === null ? [] : [`mailto:${email}`]);

/** Retry-After (RFC 9110 §10.2.3): seconds or a date; null if it is missing or invalid. */
export function readRetryAfter(value: string | null, now: number): number | null {
  if (value === null) return null;
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000;
  const at = /^[A-Z][a-z]{2}, .{20,24} GMT$/.test(value) ? Date.parse(value) : Number.NaN;
  return Number.isNaN(at) ? null : Math.max(0, at - now);
}

function parseJson(text: string): Json {
  try {
    const value: unknown = JSON.parse(text);
    return isJson(value) ? value : {};
  } catch {
    return {};
  }
}

/** Whether it is a JSON object, and not a list or null. */
export function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A required text of a response; throws an AcmeError if it is missing. */
export function textOf(json: Json, name: string): string {
  const value = json[name];
  if (typeof value !== 'string') throw new AcmeError('malformed', `the authority's answer has no "${name}"`);
  return value;
}

/** A required list of objects of a response; throws an AcmeError if it is missing. */
export function listOf(json: Json, name: string): readonly unknown[] {
  const value = json[name];
  if (!Array.isArray(value)) throw new AcmeError('malformed', `the authority's answer has no list "${name}"`);
  return value;
}
