// Whether nghttp2 has given a session up: it then writes a GOAWAY with an error code (RFC 9113 §5.4.1) and reads nothing more.
// node 20 tells of that by no event, and keeps the connection with its streams. Pure.

const HEAD = 9;
const GOAWAY = 7;
/** The octets of a GOAWAY up to the end of its error code (RFC 9113 §6.8). */
const TO_CODE = HEAD + 8;

/** Follows the frames that node writes. */
export class GoawayWatch {
  /** Octets to come of a frame whose head has passed. */
  #left = 0;

  /**
   * Takes what node writes next; returns whether a GOAWAY with an error code is in it. Heads of frames may not be split: node
   * writes each with what it belongs to, and of DATA alone the content by itself.
   */
  take(bytes: Uint8Array): boolean {
    let at = Math.min(this.#left, bytes.length);
    this.#left -= at;
    while (at + HEAD <= bytes.length) {
      const length = ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number);
      if (bytes[at + 3] === GOAWAY && bytes.subarray(at + TO_CODE - 4, at + TO_CODE).some((octet) => octet !== 0)) {
        return true;
      }
      at += HEAD + length;
      this.#left = Math.max(0, at - bytes.length);
    }
    return false;
  }
}
