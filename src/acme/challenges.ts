// The open challenges, and what answers them: a text over HTTP (RFC 8555 §8.3), a certificate by ALPN (RFC 8737). The texts are
// also in the shared directory, because the authority may reach another gateway than the one that ordered.
import { join } from 'node:path';
import { createSecureContext, type SecureContext } from 'node:tls';
import type { Clock } from '../base/clock.ts';
import { makeChallengeCertificate } from './challenge-certificate.ts';
import type { OpenChallenge } from './order.ts';
import { type AcmeStorage, readOrNull } from './storage.ts';

/** RFC 8555 §8.3: base64url; a longer token of an authority is refused. */
const TOKEN = /^[A-Za-z0-9_-]{16,200}$/;
/** Most files that are looked up at the same time; requests beyond that go to the routes. */
const MOST_LOOKUPS = 16;

export class Challenges {
  readonly #clock: Clock;
  readonly #texts = new Map<string, string>();
  readonly #contexts = new Map<string, SecureContext>();
  /** Folders where other gateways may have stored texts. */
  #folders: readonly string[] = [];
  #lookups = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Sets the folders in which texts of other gateways are looked up. */
  share(folders: readonly string[]): void {
    this.#folders = folders;
  }

  /** The text for the token of a request; null: no such challenge is open. */
  textFor(token: string): string | null | Promise<string | null> {
    const known = this.#texts.get(token) ?? null;
    if (known !== null || this.#folders.length === 0 || !TOKEN.test(token)) return known;
    return this.#lookups < MOST_LOOKUPS ? this.#lookUp(token) : null;
  }

  /** Whether a challenge by ALPN is open. */
  get awaitsTls(): boolean {
    return this.#contexts.size > 0;
  }

  /** The certificate that proves control of a name. */
  contextFor(domain: string): SecureContext | null {
    return this.#contexts.get(domain) ?? null;
  }

  /** Answers the challenge until the returned function is called. */
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
        // A file that can't be read counts as none.
        const text = await readOrNull(join(folder, token)).catch(() => null);
        if (text !== null) return text;
      }
      return null;
    } finally {
      this.#lookups--;
    }
  }
}
