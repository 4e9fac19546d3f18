// Keys of session tickets (RFC 5077 §4, RFC 8446 §4.6.1) as octets, for whatever engine speaks TLS: the same keys in two
// gateways, or before and after a restart, resume each other's sessions. Pure; runtime/tls/tickets.ts reads them from files.
import { randomBytes } from 'node:crypto';

/** Of 16 octets each: AES-128 in CBC, and HMAC with SHA-256. */
export interface TicketKey {
  /** Stands in the clear in each ticket, to find its key by. */
  readonly name: Buffer;
  readonly hmac: Buffer;
  readonly aes: Buffer;
}

const PART = 16;
/** The lengths that nginx and HAProxy take: with parts of 16 octets, and with 32 for all but the name. */
const SHORT = 48;
const LONG = 80;

/** The key in octets of either length; null for any other. Of longer parts the first halves are used: node has AES-128 only. */
export function ticketKeyOf(octets: Buffer): TicketKey | null {
  if (octets.length !== SHORT && octets.length !== LONG) return null;
  const second = (PART + octets.length) / 2;
  return {
    name: octets.subarray(0, PART),
    hmac: octets.subarray(PART, 2 * PART),
    aes: octets.subarray(second, second + PART),
  };
}

/** The key as one: name, HMAC, AES, as OpenSSL's `SSL_CTX_set_tlsext_ticket_keys` and node's `ticketKeys` take it. */
export function ticketKeyOctets({ name, hmac, aes }: TicketKey): Buffer {
  return Buffer.concat([name, hmac, aes]);
}

/** All keys in the content of a file: one key's octets, or lines of them in base64, blank ones aside; null: it is none. */
export function parseTicketKeys(content: Buffer): TicketKey[] | null {
  const single = ticketKeyOf(content);
  if (single !== null) return [single];
  const keys: TicketKey[] = [];
  for (const line of content.toString('latin1').split('\n')) {
    const text = line.trim();
    if (text === '') continue;
    const key = /^[A-Za-z0-9+/]+={0,2}$/.test(text) ? ticketKeyOf(Buffer.from(text, 'base64')) : null;
    if (key === null) return null;
    keys.push(key);
  }
  return keys.length === 0 ? null : keys;
}

const ROTATE_MS = 12 * 3_600_000;

/** Keys that nobody knows, a new one every 12 hours; the one before it still decrypts. */
export class RandomTicketKeys {
  readonly #now: () => number;
  #keys: readonly TicketKey[];
  #since: number;

  /** `now` gives milliseconds of a clock that never goes back. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#keys = [fresh()];
    this.#since = now();
  }

  /** The first encrypts. */
  current(): readonly TicketKey[] {
    const now = this.#now();
    const age = now - this.#since;
    if (age >= ROTATE_MS) {
      // Nobody has asked for so long that the first is as old as the second may get.
      this.#keys = age >= 2 * ROTATE_MS ? [fresh()] : [fresh(), ...this.#keys.slice(0, 1)];
      this.#since = now;
    }
    return this.#keys;
  }
}

function fresh(): TicketKey {
  return ticketKeyOf(randomBytes(SHORT)) as TicketKey;
}
