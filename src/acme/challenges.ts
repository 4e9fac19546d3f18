// The challenges that are open now, and what answers them: a text over HTTP (RFC 8555 §8.3), a certificate by ALPN (RFC 8737).
// The texts are in the shared directory too, for the authority may reach another gateway than the one that has ordered.
import { join } from 'node:path';
import { createSecureContext, type SecureContext } from 'node:tls';
import type { Clock } from '../base/clock.ts';
import { makeChallengeCertificate } from './challenge-certificate.ts';
import type { OpenChallenge } from './order.ts';
import { type AcmeStorage, readOrNull } from './storage.ts';

/** RFC 8555 §8.3: base64url, and no longer than we take it from an authority. */
const TOKEN = /^[A-Za-z0-9_-]{16,200}$/;
/** Files that are looked for at a time; who asks for more at once gets what a route says. */
const MOST_LOOKUPS = 16;

export class Challenges {
  readonly #clock: Clock;
  readonly #texts = new Map<string, string>();
  readonly #contexts = new Map<string, SecureContext>();
  /** Where other gateways may have put texts. */
  #folders: readonly string[] = [];
  #lookups = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Texts of other gateways are in these folders from here on. */
  share(folders: readonly string[]): void {
    this.#folders = folders;
  }

  /** The text for a token as a request has it; null: no such challenge is open. */
  textFor(token: string): string | null | Promise<string | null> {
    const known = this.#texts.get(token) ?? null;
    if (known !== null || this.#folders.length === 0 || !TOKEN.test(token)) return known;
    return this.#lookups < MOST_LOOKUPS ? this.#lookUp(token) : null;
  }

  /** Whether a connection may come by ALPN. */
  get awaitsTls(): boolean {
    return this.#contexts.size > 0;
  }

  /** The certificate that proves a name. */
  contextFor(domain: string): SecureContext | null {
    return this.#contexts.get(domain) ?? null;
  }

  /** Answers the challenge until what is returned is called. */
  async present(challenge: OpenChallenge, storage: AcmeStorage): Promise<() => void> {
    if (challenge.type === 'http-01') return this.#presentText(challenge, storage);
    const { domain, keyAuthorization } = challenge;
    const pair = makeChallengeCertificate(domain, keyAuthorization, new Date(this.#clock.now()));
    const context = createSecureContext({ ...pair, minVersion: 'TLSv1.2' });
    this.#contexts.set(domain, context);
    return () => void (this.#contexts.get(domain) === context && this.#contexts.delete(domain));
  }

  async #presentText({ token, keyAuthorization }: OpenChallenge, storage: AcmeStorage): Promise<() => void> {
    const remove = await storage.keepChallenge(token, keyAuthorization);
    this.#texts.set(token, keyAuthorization);
    return () => {
      this.#texts.delete(token);
      remove();
    };
  }

  async #lookUp(token: string): Promise<string | null> {
    this.#lookups++;
    try {
      for (const folder of this.#folders) {
        // One that can't be read is no answer.
        const text = await readOrNull(join(folder, token)).catch(() => null);
        if (text !== null) return text;
      }
      return null;
    } finally {
      this.#lookups--;
    }
  }
}
