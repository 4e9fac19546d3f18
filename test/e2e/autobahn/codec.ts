// permessage-deflate as a client does it (RFC 7692), straight on zlib and without state: the window of the messages before
// stands in as a preset dictionary. Independent of ws, whose own codec is what is tested.
import { constants, deflateRawSync, inflateRawSync } from 'node:zlib';

/** What was agreed on. */
export interface Agreed {
  readonly serverTakeover: boolean;
  readonly clientTakeover: boolean;
  readonly serverBits: number;
  readonly clientBits: number;
}

const TAIL = Buffer.from([0, 0, 0xff, 0xff]);
const NONE = Buffer.alloc(0);

/** Reads an answer's Sec-WebSocket-Extensions against the offer; throws where RFC 7692 §7.1 does not let it stand. */
export function readAgreed(answer: string | null, offer: string): Agreed | null {
  if (answer === null) return null;
  const [name, ...parameters] = answer.split(';').map((part) => part.trim());
  if (name !== 'permessage-deflate') throw new Error(`an extension that was not offered: ${answer}`);
  const of = new Map(parameters.map((parameter) => /^([^=]*)=?(.*)$/.exec(parameter)?.slice(1) as [string, string]));
  if (of.size < parameters.length) throw new Error(`a parameter stands twice: ${answer}`);
  const bits = (parameter: string): number => {
    if (!of.has(parameter)) return 15;
    const value = Number(of.get(parameter));
    if (!(value >= 8 && value <= 15)) throw new Error(`no window of that size: ${answer}`);
    return value;
  };
  for (const parameter of of.keys()) {
    if (!/^(server|client)_(no_context_takeover|max_window_bits)$/.test(parameter))
      throw new Error(`unknown: ${answer}`);
  }
  // §7.1.2.2: only where the client said that it can be told.
  if (of.has('client_max_window_bits') && !offer.includes('client_max_window_bits'))
    throw new Error(`the client's window is limited, and it did not offer that: ${answer}`);
  return {
    serverTakeover: !of.has('server_no_context_takeover'),
    clientTakeover: !of.has('client_no_context_takeover'),
    serverBits: bits('server_max_window_bits'),
    clientBits: bits('client_max_window_bits'),
  };
}

/** Both directions of one connection, seen from the client. */
export class Codec {
  readonly #agreed: Agreed;
  #sent: Buffer = NONE;
  #received: Buffer = NONE;

  constructor(agreed: Agreed) {
    this.#agreed = agreed;
  }

  compress(payload: Buffer): Buffer {
    const { clientBits, clientTakeover } = this.#agreed;
    const dictionary = this.#sent;
    if (clientTakeover) this.#sent = last(this.#sent, payload, clientBits);
    // §7.2.3.6: an empty message is one empty block.
    if (payload.length === 0) return Buffer.from([0]);
    const windowBits = Math.max(9, clientBits);
    const finishFlush = constants.Z_SYNC_FLUSH;
    const packed = deflateRawSync(payload, {
      windowBits,
      finishFlush,
      ...(dictionary.length > 0 ? { dictionary } : {}),
    });
    return packed.subarray(0, -TAIL.length);
  }

  /** Throws where it is no deflate, or reaches behind the window that the server has bound itself to. */
  inflate(payload: Buffer): Buffer {
    const { serverBits, serverTakeover } = this.#agreed;
    const dictionary = this.#received;
    const plain = inflateRawSync(Buffer.concat([payload, TAIL]), {
      windowBits: serverBits,
      finishFlush: constants.Z_SYNC_FLUSH,
      // What zlib has just written counts as window too: with a small buffer it has to keep to the one agreed on.
      ...(serverBits < 15 ? { chunkSize: 64 } : {}),
      ...(dictionary.length > 0 ? { dictionary } : {}),
    });
    if (serverTakeover) this.#received = last(this.#received, plain, serverBits);
    return plain;
  }
}

function last(before: Buffer, payload: Buffer, bits: number): Buffer {
  return Buffer.from(Buffer.concat([before, payload]).subarray(-(2 ** bits)));
}
