// A bound on lines of one kind, so that what goes wrong a thousand times a second does not bury the rest of the log.

const MAX_LINES = 10;
const WINDOW_MS = 10_000;

interface Window {
  since: number;
  written: number;
  /** Since the last line. */
  unwritten: number;
}

export class LineLimit {
  readonly #now: () => number;
  readonly #windows = new Map<string, Window>();

  /** `now` gives milliseconds of a clock that never goes back. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Whether a line of this kind may be written: null if not, else how many were not since the last one that was. */
  take(kind: string): number | null {
    const now = this.#now();
    const window = this.#windows.get(kind) ?? { since: now, written: 0, unwritten: 0 };
    this.#windows.set(kind, window);
    if (now - window.since >= WINDOW_MS) {
      window.since = now;
      window.written = 0;
    }
    if (window.written >= MAX_LINES) {
      window.unwritten++;
      return null;
    }
    window.written++;
    const { unwritten } = window;
    window.unwritten = 0;
    return unwritten;
  }
}
