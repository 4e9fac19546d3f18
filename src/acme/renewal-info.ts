// When the authority wants a certificate renewed (ACME Renewal Information, RFC 9773). It is fetched from time to time; if it is
// not available, the certificate's lifetime decides.
import type { X509Certificate } from 'node:crypto';
import type { Clock } from '../base/clock.ts';
import { AcmeError } from './acme-error.ts';
import { certificateId } from './certificate-id.ts';
import { type AcmeClient, isJson } from './client.ts';
import { suggestedTime, validityOf } from './renewal.ts';

/** Where the authority does not say when to ask again (RFC 9773 §4.3.2). */
const ASK_MS = 6 * 3600_000;
const SOONEST_MS = 60_000;
const LATEST_MS = 24 * 3600_000;

/** The answer for a certificate; `at` is null if it was unusable. */
interface KnownWindow {
  readonly id: string;
  readonly window: string;
  readonly at: number | null;
  readonly askAgainAt: number;
}

export class RenewalInfo {
  readonly #clock: Clock;
  readonly #random: () => number;
  #known: KnownWindow | null = null;

  constructor(clock: Clock, random: () => number) {
    this.#clock = clock;
    this.#random = random;
  }

  /** When it should be renewed; null: the authority does not say. Never rejects for what the authority does. */
  async dueAt(certificate: X509Certificate, open: () => Promise<AcmeClient>): Promise<number | null> {
    const id = certificateId(certificate);
    if (id === null) return null;
    const known = this.#known?.id === id ? this.#known : null;
    if (known !== null && known.askAgainAt > this.#clock.now()) return known.at;
    try {
      this.#known = await this.#ask(await open(), { id, certificate, known });
    } catch (error) {
      if (!(error instanceof AcmeError)) throw error;
      this.#known = { id, window: known?.window ?? '', at: known?.at ?? null, askAgainAt: this.#clock.now() + ASK_MS };
    }
    return this.#known.at;
  }

  /** Its identifier where the authority knows what to do with it. */
  async identify(client: AcmeClient, certificate: X509Certificate): Promise<string | null> {
    const { renewalInfo } = await client.directory();
    return renewalInfo === null ? null : certificateId(certificate);
  }

  async #ask(
    client: AcmeClient,
    asked: { id: string; certificate: X509Certificate; known: KnownWindow | null },
  ): Promise<KnownWindow> {
    const { id, certificate, known } = asked;
    const { renewalInfo } = await client.directory();
    const now = this.#clock.now();
    if (renewalInfo === null) return { id, window: '', at: null, askAgainAt: now + LATEST_MS };
    const { json, retryAfterMs } = await client.get(`${renewalInfo.replace(/\/$/, '')}/${id}`);
    const askAgainAt = now + Math.min(Math.max(retryAfterMs ?? ASK_MS, SOONEST_MS), LATEST_MS);
    const { start, end } = isJson(json['suggestedWindow']) ? json['suggestedWindow'] : {};
    const suggested = { start: timeOf(start), end: timeOf(end) };
    // A window that ends before it begins is invalid (RFC 9773 §4.2).
    if (!(suggested.start < suggested.end)) return { id, window: '', at: null, askAgainAt };
    const window = `${suggested.start} ${suggested.end}`;
    // One moment for each window: a new random one at each answer would move it each time.
    const at = known?.window === window ? known.at : suggestedTime(validityOf(certificate), suggested, this.#random());
    return { id, window, at, askAgainAt };
  }
}

/** Milliseconds since 1970, or NaN. A value of JSON may be an object, which is no text of a date. */
function timeOf(value: unknown): number {
  return typeof value === 'string' ? Date.parse(value) : Number.NaN;
}
