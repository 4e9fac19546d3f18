// Lines to a descriptor, without blocking and without ever holding the gateway up: a reader that does not read, a
// closed pipe or a full disk costs lines and nothing else. pino's own destination keeps trying for ever at a full disk,
// also in the middle of exit. Not a logger: log.ts writes the text of the lines.
import { write, writeSync } from 'node:fs';

/** Characters that may wait for a slow reader; further lines are dropped and counted. */
const MAX_WAITING = 16 * 1024 * 1024;
const RETRY_MS = 50;
/** How long the end of the process may be held up by a slow reader. */
const FLUSH_MS = 1000;

export class Output {
  readonly #fd: number;
  readonly #onDropped: (lines: number) => void;
  #waiting: string[] = [];
  #size = 0;
  /** When the write under way began; unset: none is. */
  #writingSince: number | undefined;
  /** The beginning of the next write, which takes all lines of this turn of the event loop. */
  #beginning: NodeJS.Immediate | undefined;
  #dropped = 0;
  /** The reader has closed, and will not come back. */
  #closed = false;
  #onIdle: (() => void)[] = [];

  /** `onDropped` is called with the number of lines lost, once writing works again. */
  constructor(fd: number, onDropped: (lines: number) => void) {
    this.#fd = fd;
    this.#onDropped = onDropped;
  }

  /** Takes one line, with its end. */
  write(line: string): void {
    if (this.#closed) return;
    if (this.#size + line.length > MAX_WAITING) {
      this.#dropped++;
      return;
    }
    this.#waiting.push(line);
    this.#size += line.length;
    if (this.#writingSince === undefined) this.#beginning ??= setImmediate(() => this.#next());
  }

  /** Resolves once no line is waiting, or after a second. */
  flush(): Promise<void> {
    if (this.#writingSince === undefined && this.#waiting.length === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, FLUSH_MS);
      this.#onIdle.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** For the very end of the process, where nothing asynchronous happens any more. */
  flushSync(): void {
    const stuck = this.#writingSince !== undefined && performance.now() - this.#writingSince > FLUSH_MS;
    // A blocking descriptor would block here just as the write under way does.
    if (stuck) return;
    // No event reports its end any more; a reader that reads has the data long before.
    if (this.#writingSince !== undefined) sleepSync(RETRY_MS);
    let bytes = this.#take();
    for (let tries = FLUSH_MS / RETRY_MS; bytes.length > 0 && tries > 0; ) {
      try {
        bytes = bytes.subarray(writeSync(this.#fd, bytes));
      } catch (error) {
        if (!isBusy(error)) return;
        tries--;
        sleepSync(RETRY_MS);
      }
    }
  }

  #take(): Buffer {
    const bytes = Buffer.from(this.#waiting.join(''));
    this.#waiting = [];
    this.#size = 0;
    return bytes;
  }

  #next(): void {
    this.#beginning = undefined;
    if (this.#waiting.length > 0) {
      this.#put(this.#take());
      return;
    }
    this.#writingSince = undefined;
    for (const resolve of this.#onIdle.splice(0)) resolve();
  }

  #put(bytes: Buffer): void {
    this.#writingSince = performance.now();
    write(this.#fd, bytes, 0, bytes.length, null, (error, written) => {
      if (error) return this.#failed(error, bytes);
      if (written < bytes.length) return this.#put(bytes.subarray(written));
      this.#reportDropped();
      this.#next();
    });
  }

  #failed(error: NodeJS.ErrnoException, bytes: Buffer): void {
    if (isBusy(error)) {
      setTimeout(() => this.#put(bytes), RETRY_MS).unref();
      return;
    }
    this.#dropped += bytes.toString('latin1').split('\n').length - 1;
    if (error.code === 'EPIPE') {
      this.#closed = true;
      this.#take();
    }
    this.#next();
  }

  #reportDropped(): void {
    const lines = this.#dropped;
    this.#dropped = 0;
    if (lines > 0) this.#onDropped(lines);
  }
}

function sleepSync(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** A descriptor that does not block has no room at the moment. */
function isBusy(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'EAGAIN' || code === 'EBUSY' || code === 'EINTR';
}
