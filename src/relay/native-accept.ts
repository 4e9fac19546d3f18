// The native accept as JS sees it: opens doors on listening sockets, and tells the keeper of each of its guests. How they
// are accepted and their first bytes read stands in door.c.
import { getSystemErrorName } from 'node:util';
import { Parked } from '../upstream/parked.ts';
import type { Addon, Engine } from './addon.ts';
import type { Door, DoorKeeper } from './relay.ts';

const FIELDS = 6;
const BYTES = Float64Array.BYTES_PER_ELEMENT;

/** A client that has not said a word for so long is node's: its parser has the timeouts for that. */
const SILENT_MS = 100;

export class NativeAccept {
  readonly #addon: Addon;
  readonly #engine: Engine;
  readonly #inbox: Buffer;
  readonly #numbers: Float64Array;
  readonly #keepers = new Map<number, DoorKeeper>();

  /** The inbox is the one that the engine was started with. */
  constructor(addon: Addon, engine: Engine, inbox: Buffer) {
    this.#addon = addon;
    this.#engine = engine;
    this.#inbox = inbox;
    this.#numbers = new Float64Array(inbox.buffer, inbox.byteOffset, inbox.length / BYTES);
  }

  /** Accepts from the socket behind a listening descriptor, which remains the caller's; null where that can't be. */
  open(fd: number, keeper: DoorKeeper, silentMs = SILENT_MS): Door | null {
    const id = this.#addon.listen(this.#engine, fd, silentMs);
    if (id < 0) return null;
    this.#keepers.set(id, keeper);
    return { close: () => this.#addon.unlisten(this.#engine, id) };
  }

  /** `count` arrivals stand in the inbox. */
  told(count: number): void {
    const numbers = this.#numbers;
    for (let i = 0, at = 0; i < count; i++) {
      const door = numbers[at] ?? 0;
      const fd = numbers[at + 1] ?? -1;
      const error = numbers[at + 2] ?? 0;
      const port = numbers[at + 3] ?? 0;
      const addressEnd = (at + FIELDS) * BYTES + (numbers[at + 4] ?? 0);
      const end = addressEnd + (numbers[at + 5] ?? 0);
      const keeper = this.#keepers.get(door);
      if (fd >= 0) {
        const address = this.#inbox.toString('latin1', (at + FIELDS) * BYTES, addressEnd);
        const bytes = this.#inbox.subarray(addressEnd, end);
        keeper?.arrived({ connection: new Parked(fd), address, port, bytes });
      } else if (error > 0) {
        keeper?.failed(getSystemErrorName(-error));
      } else {
        this.#keepers.delete(door);
      }
      at = Math.ceil(end / BYTES);
    }
  }
}
