// One order from beginning to end (RFC 8555 §7.4): challenges for the authorizations, the certificate signing request, the
// chain. Every wait ends at the order's deadline.
import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { type Clock, elapsed } from '../base/clock.ts';
import { AcmeError, problemError } from './acme-error.ts';
import { type AcmeClient, type Answer, isJson, type Json, listOf, textOf } from './client.ts';
import { makeSigningRequest } from './signing-request.ts';

export type ChallengeType = 'http-01' | 'tls-alpn-01';

/** A challenge that the gateway answers until the authority has validated a name. */
export interface OpenChallenge {
  readonly type: ChallengeType;
  readonly domain: string;
  readonly token: string;
  readonly keyAuthorization: string;
}

export interface OrderOptions {
  readonly domains: readonly string[];
  /** The types of challenge, preferred ones first. */
  readonly challenges: readonly ChallengeType[];
  /** Answers a challenge until the returned function is called. */
  readonly present: (challenge: OpenChallenge) => Promise<() => void>;
  /** The identifier of the certificate that this one replaces (RFC 9773 §5); null: none, or the authority does not support it. */
  readonly replaces: string | null;
  readonly clock: Clock;
  /** Aborts the order. */
  readonly signal: AbortSignal;
}

/** A private key and the chain of its certificate, as PEM. */
export type IssuedPem = string;

/** Milliseconds for a whole order. */
const ORDER_MS = 10 * 60_000;
const FIRST_POLL_MS = 500;
const LAST_POLL_MS = 10_000;

/**
 * Orders a certificate and answers its challenges (RFC 8555 §7.4). Rejects with an AcmeError where the authority refuses, does not
 * answer, or has not issued it within ten minutes.
 */
export async function order(client: AcmeClient, options: OrderOptions): Promise<IssuedPem> {
  return new Ordering(client, options).run();
}

class Ordering {
  readonly #client: AcmeClient;
  readonly #options: OrderOptions;
  readonly #deadline: number;

  constructor(client: AcmeClient, options: OrderOptions) {
    this.#client = client;
    this.#options = options;
    this.#deadline = options.clock.now() + ORDER_MS;
  }

  async run(): Promise<IssuedPem> {
    const { domains } = this.#options;
    const { location, json } = await this.#create();
    if (location === null) throw new AcmeError('malformed', 'the authority does not say where the order is');
    const authorizations = listOf(json, 'authorizations');
    if (authorizations.length > domains.length)
      throw new AcmeError(
        'malformed',
        `the authority wants ${authorizations.length} proofs of ${domains.length} names`,
      );
    for (const url of authorizations) await this.#authorize(typeof url === 'string' ? url : '');
    const ready = await this.#poll(location, ['pending'], 'the order');
    if (statusOf(ready) === 'invalid') throw problemError(ready['error'], 'the order is invalid');
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const csr = makeSigningRequest(domains, privateKey).toString('base64url');
    await this.#client.post(textOf(ready, 'finalize'), { csr });
    const done = await this.#poll(location, ['pending', 'ready', 'processing'], 'the order');
    if (statusOf(done) !== 'valid') throw problemError(done['error'], `the order is ${statusOf(done)}`);
    const { text } = await this.#client.post(textOf(done, 'certificate'), null);
    const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    return `${key}${checkedChain(text, key, domains)}`;
  }

  async #create(): Promise<Answer> {
    const { newOrder } = await this.#client.directory();
    const { domains, replaces } = this.#options;
    const identifiers = domains.map((value) => ({ type: 'dns', value }));
    if (replaces === null) return this.#client.post(newOrder, { identifiers });
    try {
      return await this.#client.post(newOrder, { identifiers, replaces });
    } catch (error) {
      // An order whose certificate was lost may have replaced it, or it belongs to another account (RFC 9773 §5).
      if (!(error instanceof AcmeError) || !REPLACES_REFUSED.has(error.type)) throw error;
      return this.#client.post(newOrder, { identifiers });
    }
  }

  async #authorize(url: string): Promise<void> {
    const { json } = await this.#client.post(url, null);
    if (statusOf(json) === 'valid') return;
    if (statusOf(json) !== 'pending') throw new AcmeError('unauthorized', `an authorization is ${statusOf(json)}`);
    const domain = isJson(json['identifier']) ? textOf(json['identifier'], 'value') : '';
    const challenge = this.#pick(listOf(json, 'challenges'), domain);
    const close = await this.#options.present(challenge.open);
    try {
      await this.#client.post(challenge.url, {});
      const settled = await this.#poll(url, ['pending'], `the authorization of ${domain}`);
      if (statusOf(settled) !== 'valid') throw failureOf(settled, domain);
    } finally {
      close();
    }
  }

  /** The preferred one of the challenges that the authority offers. */
  #pick(offered: readonly unknown[], domain: string): { readonly url: string; readonly open: OpenChallenge } {
    // The gateway answers only for the names that it ordered, whatever the authority lists.
    if (!this.#options.domains.includes(domain))
      throw new AcmeError('malformed', `the authority asks about ${JSON.stringify(domain)}, which was not ordered`);
    const known = offered.filter(isJson);
    for (const type of this.#options.challenges) {
      const found = known.find((each) => each['type'] === type);
      if (found === undefined) continue;
      const token = textOf(found, 'token');
      if (!TOKEN.test(token)) throw new AcmeError('malformed', "a challenge's token is not of base64url");
      const keyAuthorization = this.#client.key.keyAuthorization(token);
      return { url: textOf(found, 'url'), open: { type, domain, token, keyAuthorization } };
    }
    const types = known.map(({ type }) => (typeof type === 'string' ? type : 'unnamed')).join(', ');
    throw new AcmeError('unauthorized', `${domain} can't be proved: the authority offers ${types || 'nothing'}`);
  }

  /** Polls the resource until its status is none of these. */
  async #poll(url: string, whileIn: readonly string[], what: string): Promise<Json> {
    const { clock, signal } = this.#options;
    for (let wait = FIRST_POLL_MS; ; wait = Math.min(2 * wait, LAST_POLL_MS)) {
      const { json, retryAfterMs } = await this.#client.post(url, null);
      if (!whileIn.includes(statusOf(json))) return json;
      const left = this.#deadline - clock.now();
      if (left <= 0) throw new AcmeError('timeout', `${what} is ${statusOf(json)} after ${ORDER_MS / 60_000} minutes`);
      await elapsed(clock, Math.min(Math.max(retryAfterMs ?? wait, FIRST_POLL_MS), left), signal);
    }
  }
}

const REPLACES_REFUSED: ReadonlySet<string> = new Set(['alreadyReplaced', 'malformed', 'unauthorized', 'conflict']);
/** A token (RFC 8555 §8.1): base64url, and no longer than a file name may be. */
const TOKEN = /^[A-Za-z0-9_-]{16,200}$/;

const statusOf = (json: Json): string => textOf(json, 'status');

/** Why an authorization is not valid: the error of its challenge. */
function failureOf(authorization: Json, domain: string): AcmeError {
  const failed = listOf(authorization, 'challenges').find((each) => isJson(each) && each['error'] !== undefined);
  const { type, message, retryAfterMs } = problemError(isJson(failed) ? failed['error'] : null, 'it says no more');
  return new AcmeError(type, `${domain}: ${message}`, retryAfterMs);
}

/** The chain to serve; throws an AcmeError if it is not what was ordered. */
function checkedChain(text: string, key: string, domains: readonly string[]): string {
  const blocks = text.match(CERTIFICATE) ?? [];
  const [first] = blocks;
  if (first === undefined) throw new AcmeError('malformed', 'the authority gave no certificate');
  try {
    const leaf = new X509Certificate(first);
    if (!leaf.checkPrivateKey(createPrivateKey(key)))
      throw new AcmeError('malformed', 'the certificate is of another key');
    const missing = domains.find((domain) => leaf.checkHost(domain) === undefined);
    if (missing !== undefined) throw new AcmeError('malformed', `the certificate is not for ${missing}`);
  } catch (error) {
    if (error instanceof AcmeError) throw error;
    throw new AcmeError('malformed', 'the certificate cannot be read');
  }
  return `${blocks.join('\n')}\n`;
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;
