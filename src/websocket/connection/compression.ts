// permessage-deflate (RFC 7692) within bounds: which offers are taken, and how many connections may compress. Nothing is
// kept from one message to the next on either side, so that a quiet connection holds no zlib state. Compressing is ws's.
import type { Extension } from '../../handshake/extensions.ts';

export interface CompressionOptions {
  readonly window_bits: number;
  readonly level: number;
  readonly threshold: number;
  readonly memory: number;
}

const NAME = 'permessage-deflate';
const TAKEOVER = new Set(['server_no_context_takeover', 'client_no_context_takeover']);
const WINDOW = new Set(['server_max_window_bits', 'client_max_window_bits']);
/**
 * An inflating stream with the largest window, which a client may use that does not offer to limit it (zlib's own
 * numbers).
 */
const INFLATE_BYTES = 2 ** 15 + 7 * 1024;

/** Windows of 8 bits can be agreed on (RFC 7692 §7.1.2.1), but zlib makes none for raw streams. */
const LEAST_BITS = 9;

/** zlib's memory for a window: memLevel grows with it, as zlib advises. */
export const memoryLevel = (windowBits: number): number => windowBits - 6;

/** What one connection may take while a message is on its way in each direction (zlib.h, zconf.h). */
function costOf(windowBits: number): number {
  return 2 ** (windowBits + 2) + 2 ** (memoryLevel(windowBits) + 9) + INFLATE_BYTES;
}

/** The share of one connection. */
export interface Share {
  /** Size of its window toward the client, as a power of 2. */
  readonly windowBits: number;
  /** Gives it back, at the connection's end. */
  readonly release: () => void;
}

/** Which connections of one route may compress. */
export class Compression {
  readonly options: CompressionOptions;
  #left: number;

  constructor(options: CompressionOptions) {
    this.options = options;
    this.#left = options.memory;
  }

  /** A share where the client offers what can be taken and there is memory left; else null: the connection goes uncompressed. */
  take(offers: readonly Extension[]): Share | null {
    const windowBits = offers.map((offer) => this.#windowFor(offer)).find((bits) => bits !== null) ?? null;
    if (windowBits === null) return null;
    const cost = costOf(windowBits);
    if (this.#left < cost) return null;
    this.#left -= cost;
    let held = true;
    const release = (): void => {
      if (held) this.#left += cost;
      held = false;
    };
    return { windowBits, release };
  }

  /**
   * The window that an offer is taken with: ours, or the smaller one that it asks for. Null where it can't be taken. RFC 7692
   * §7.1: every parameter is known, stands once and has a value as it must.
   */
  #windowFor({ name, parameters }: Extension): number | null {
    if (name !== NAME || new Set(parameters.map(([parameter]) => parameter)).size < parameters.length) return null;
    const wellFormed = parameters.every(([parameter, value]) => {
      if (TAKEOVER.has(parameter)) return value === null;
      if (!WINDOW.has(parameter)) return false;
      return value === null ? parameter === 'client_max_window_bits' : /^(?:[89]|1[0-5])$/.test(value);
    });
    if (!wellFormed) return null;
    const [, requested = null] = parameters.find(([parameter]) => parameter === 'server_max_window_bits') ?? [];
    const windowBits = Math.min(this.options.window_bits, Number(requested ?? this.options.window_bits));
    return windowBits < LEAST_BITS ? null : windowBits;
  }
}

/** The offer as ws gets it in place of the client's: one that it takes for certain. */
export const TAKEN_OFFER = NAME;
