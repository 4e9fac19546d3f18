// Tells when the content of one file has become another. It watches the directory and not the file, for a file is hardly
// ever written in place: Kubernetes swaps the `..data` link beside it, editors rename a new one over it.
import { createHash } from 'node:crypto';
import { type FSWatcher, watch } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { systemCode } from '../errors.ts';
import type { Emit } from '../events.ts';

export interface WatchOptions {
  readonly file: string;
  /** The content has changed, and the directory has settled. Not called for a file that vanished. */
  readonly onChange: () => void;
  readonly emit: Emit;
  /** The text that is served now; default: what the file holds when the watch begins. */
  readonly serving?: string | Uint8Array;
  /** For events to settle; default 250 ms. */
  readonly debounceMs?: number;
  /**
   * How often the file is read in any case; default 10 s. What the directory's events don't tell is found so: a link whose
   * target was written elsewhere, a network file system, a directory that vanished and came back.
   */
  readonly pollMs?: number;
}

/** A check follows the first event after this many debounces at most. */
const LONGEST_DEBOUNCES = 4;
/** How often at least the file is read while its directory is not there, or cannot be watched. */
const UNWATCHED_POLL_MS = 1000;

export interface ConfigWatch {
  close(): void;
}

/** Begins to watch; resolves when every change from here on is noticed. */
export async function watchConfig(options: WatchOptions): Promise<ConfigWatch> {
  const watcher = new Watcher(options);
  await watcher.begin();
  return watcher;
}

class Watcher implements ConfigWatch {
  readonly #options: WatchOptions;
  readonly #file: string;
  readonly #directory: string;
  readonly #debounceMs: number;
  readonly #pollMs: number;
  #seen: string | undefined;
  /** The directory watch, and which directory it is on: a path can come to name another one. */
  #armed: { readonly watch: FSWatcher; readonly inode: string } | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** When the first event came that no check has followed yet. */
  #since: number | undefined;
  #checking = false;
  #closed = false;
  #complained = false;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#file = resolve(options.file);
    this.#directory = dirname(this.#file);
    this.#debounceMs = options.debounceMs ?? 250;
    this.#pollMs = options.pollMs ?? 10_000;
    this.#seen = options.serving === undefined ? undefined : digest(options.serving);
  }

  async begin(): Promise<void> {
    this.#seen ??= (await this.#read()) ?? '';
    // Reads it once more under the watch, so that nothing falls between the two.
    await this.#check();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#disarm();
  }

  /** Trailing debounce, with an end to it: a directory where something is always written must not put it off forever. */
  #onEvent(): void {
    const now = performance.now();
    this.#since ??= now;
    if (!this.#checking)
      this.#schedule(Math.min(this.#debounceMs, this.#since + LONGEST_DEBOUNCES * this.#debounceMs - now));
  }

  #schedule(delayMs: number): void {
    clearTimeout(this.#timer);
    if (this.#closed) return;
    this.#timer = setTimeout(() => void this.#check(), delayMs);
    this.#timer.unref();
  }

  async #check(): Promise<void> {
    this.#checking = true;
    this.#since = undefined;
    await this.#arm();
    const content = await this.#read();
    this.#checking = false;
    if (this.#closed) return;
    this.#schedule(this.#nextCheckMs());
    if (content === undefined || content === this.#seen) return;
    this.#seen = content;
    this.#options.onChange();
  }

  #nextCheckMs(): number {
    if (this.#since !== undefined) return this.#debounceMs;
    return this.#armed === undefined ? Math.min(this.#pollMs, UNWATCHED_POLL_MS) : this.#pollMs;
  }

  /** The digest of the file's content, or undefined while there is no file to be read. */
  async #read(): Promise<string | undefined> {
    try {
      return digest(await readFile(this.#file));
    } catch {
      return undefined;
    }
  }

  /** Sees to it that the watch is on the directory that bears the name now; without one, polling goes on alone. */
  async #arm(): Promise<void> {
    const inode = await inodeOf(this.#directory);
    if (this.#closed || (inode !== undefined && inode === this.#armed?.inode)) return;
    this.#disarm();
    if (inode === undefined) return;
    try {
      const watching = watch(this.#directory, { persistent: false }, () => this.#onEvent());
      watching.on('error', (error) => {
        this.#complain(error);
        this.#disarm();
      });
      this.#armed = { watch: watching, inode };
    } catch (error) {
      // ENOSPC and EMFILE: the user's inotify watches or instances are used up.
      this.#complain(error);
    }
  }

  #disarm(): void {
    this.#armed?.watch.close();
    this.#armed = undefined;
  }

  #complain(error: unknown): void {
    if (this.#complained) return;
    this.#complained = true;
    const why = systemCode(error) ?? (error instanceof Error ? error.message : String(error));
    this.#options.emit({
      type: 'notice',
      level: 'warn',
      message: `cannot watch ${this.#directory} (${why}); the config is read again and again instead`,
    });
  }
}

function digest(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('base64');
}

async function inodeOf(directory: string): Promise<string | undefined> {
  try {
    const { dev, ino, birthtimeNs } = await stat(directory, { bigint: true });
    // The time of birth too: the number of a removed inode is the first to be given out again.
    return `${dev}:${ino}:${birthtimeNs}`;
  } catch {
    return undefined;
  }
}
