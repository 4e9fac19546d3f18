// permessage-deflate (RFC 7692) within bounds: which offers are taken, and how many connections may compress. Nothing is
// kept from one message to the next on either side, so that a quiet connection holds no zlib state. Compressing is ws's.
import type { Extension } from '../handshake/extensions.ts';

export interface CompressionOptions {
  readonly window_bits: number;
  readonly level: number;
  readonly threshold: number;
  readonly memory: number;
}

const NAME = 'permessage-deflate';
const TAKEOVER = new Set(['server_no_context_takeover', 'client_no_context_takeover']);
const WINDOW = new Set(['server_max_window_bits', 'client_max_window_bits']);
/** An inflating stream with the largest window, which a client may use that cannot be told otherwise (zlib's own numbers). */
const INFLATE_BYTES = 2 ** 15 + 7 * 1024;

/** zlib's memory for a window: memLevel grows with it, as zlib advises. */
export function memoryLevel({ window_bits }: CompressionOptions): number {
  return window_bits - 6;
}

/** What one connection may take while a message is on its way in each direction (zlib.h, zconf.h). */
function costOf(options: CompressionOptions): number {
  return 2 ** (options.window_bits + 2) + 2 ** (memoryLevel(options) + 9) + INFLATE_BYTES;
}

/** The share of one connection, to be given back at its end. */
export type Share = () => void;

/** Who may compress, among the connections of one route. */
export class Compression {
  readonly options: CompressionOptions;
  #left: number;

  constructor(options: CompressionOptions) {
    this.options = options;
    this.#left = options.memory;
  }

  /** A share where the client offers what can be taken and there is memory left; else null: the connection goes uncompressed. */
  take(offers: readonly Extension[]): Share | null {
    const cost = costOf(this.options);
    if (this.#left < cost || !offers.some((offer) => this.#acceptable(offer))) return null;
    this.#left -= cost;
    let held = true;
    return () => {
      if (held) this.#left += cost;
      held = false;
    };
  }

  /** RFC 7692 §7.1: every parameter is known, stands once and has a value as it must; and our window is not too large. */
  #acceptable({ name, parameters }: Extension): boolean {
    if (name !== NAME || new Set(parameters.map(([parameter]) => parameter)).size < parameters.length) return false;
    return parameters.every(([parameter, value]) => {
      if (TAKEOVER.has(parameter)) return value === null;
      if (!WINDOW.has(parameter)) return false;
      if (value === null) return parameter === 'client_max_window_bits';
      if (!/^(?:[89]|1[0-5])$/.test(value)) return false;
      return parameter === 'client_max_window_bits' || Number(value) >= this.options.window_bits;
    });
  }
}

/** The offer as ws gets it in place of the client's: one that it takes for certain. */
export const TAKEN_OFFER = NAME;
