// What becomes of certificates that are ordered from an authority (ACME).

/** An order has ended. */
export interface CertificateOrdered {
  readonly type: 'certificate_ordered';
  readonly names: readonly string[];
  /** The authority, by its host. */
  readonly authority: string;
  readonly result: 'issued' | 'failed';
  /** A type of RFC 8555 §6.7, or `timeout`, `storage`, `other`; null where it was issued. */
  readonly reason: string | null;
  readonly detail: string | null;
  /** When what was issued ends; null where nothing was. */
  readonly notAfterMs: number | null;
  /** Until the next try; null where none is needed. */
  readonly retryInMs: number | null;
  readonly durationMs: number;
}
