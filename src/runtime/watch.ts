// Notifies when the content of a file has changed. It watches directories and not the files, for a file is rarely
// written in place: Kubernetes swaps the `..data` link beside it, editors and certbot rename a new one over it.
import { createHash } from 'node:crypto';
import { type FSWatcher, watch } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { guarded } from '../base/guard.ts';
import { systemCode } from '../errors.ts';
import type { Emit } from '../events.ts';

/** Absolute paths, each with the digest of the content that is in use; null: it could not be read. */
export type WatchedFiles = ReadonlyMap<string, string | null>;

export interface WatchOptions {
  readonly files: WatchedFiles;
  /** The content of some has changed, and their directories have settled. Not called for a file that vanished. */
  readonly onChange: () => void;
  readonly emit: Emit;
  /** For events to settle; default 250 ms. */
  readonly debounceMs?: number;
  /**
   * How often the files are read in any case; default 10 s. It finds what the directory's events don't report: a link
   * whose target was written elsewhere, a network file system, a directory that vanished and came back.
   */
  readonly pollMs?: number;
}

/** A check follows the first event after this many debounces at most. */
const LONGEST_DEBOUNCES = 4;
/** How often at least they are read while a directory does not exist, or cannot be watched. */
const UNWATCHED_POLL_MS = 1000;

export interface FileWatch {
  /** Watches these from now on. Changes of files watched before that are not reported yet still are. */
  follow(files: WatchedFiles): void;
  close(): void;
}

/** Begins to watch; resolves once every change from then on is noticed. */
export async function watchFiles(options: WatchOptions): Promise<FileWatch> {
  const watcher = new Watcher(options);
  await watcher.begin();
  return watcher;
}

/** A directory watch, and which directory it is on: a path can come to name another one. */
interface Armed {
  readonly watch: FSWatcher;
  readonly inode: string;
}

class Watcher implements FileWatch {
  readonly #options: WatchOptions;
  readonly #debounceMs: number;
  readonly #pollMs: number;
  #seen: Map<string, string | null>;
  /** By directory. */
  readonly #armed = new Map<string, Armed>();
  #timer: NodeJS.Timeout | undefined;
  /** When the first event came since the last check. */
  #since: number | undefined;
  #checking = false;
  #closed = false;
  #complained = false;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#debounceMs = options.debounceMs ?? 250;
    this.#pollMs = options.pollMs ?? 10_000;
    this.#seen = new Map(options.files);
  }

  /** Reads them once more under the watch, so that nothing falls between the two. */
  async begin(): Promise<void> {
    await this.#check();
  }

  follow(files: WatchedFiles): void {
    const before = this.#seen;
    this.#seen = new Map([...files].map(([file, inUse]) => [file, before.get(file) ?? inUse]));
    this.#onEvent();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const directory of this.#armed.keys()) this.#disarm(directory);
  }

  /** Trailing debounce, with an end to it: a directory where something is always written must not put it off forever. */
  #onEvent(): void {
    const now = performance.now();
    this.#since ??= now;
    const longest = this.#since + LONGEST_DEBOUNCES * this.#debounceMs - now;
    if (!this.#checking) this.#schedule(Math.max(0, Math.min(this.#debounceMs, longest)));
  }

  #schedule(delayMs: number): void {
    clearTimeout(this.#timer);
    if (this.#closed) return;
    this.#timer = setTimeout(
      guarded('config', () => this.#check()),
      delayMs,
    );
    this.#timer.unref();
  }

  async #check(): Promise<void> {
    this.#checking = true;
    this.#since = undefined;
    const directories = new Set([...this.#seen.keys()].map((file) => dirname(file)));
    let changed = false;
    try {
      changed = await this.#look(directories);
    } finally {
      this.#checking = false;
      this.#schedule(this.#nextCheckMs(directories.size));
    }
    if (changed && !this.#closed) this.#options.onChange();
  }

  /** Whether one of the files has changed; arms the watches as well. */
  async #look(directories: ReadonlySet<string>): Promise<boolean> {
    for (const directory of this.#armed.keys()) if (!directories.has(directory)) this.#disarm(directory);
    for (const directory of directories) await this.#arm(directory);
    let changed = false;
    for (const file of [...this.#seen.keys()]) {
      const content = await digestOf(file);
      // It may not be watched any more by now.
      if (content === null || !this.#seen.has(file) || content === this.#seen.get(file)) continue;
      this.#seen.set(file, content);
      changed = true;
    }
    return changed;
  }

  #nextCheckMs(directories: number): number {
    if (this.#since !== undefined) return this.#debounceMs;
    return this.#armed.size < directories ? Math.min(this.#pollMs, UNWATCHED_POLL_MS) : this.#pollMs;
  }

  /** Makes sure that the watch is on the directory that has the name now; without a watch, polling goes on alone. */
  async #arm(directory: string): Promise<void> {
    const inode = await inodeOf(directory);
    if (this.#closed || (inode !== undefined && inode === this.#armed.get(directory)?.inode)) return;
    this.#disarm(directory);
    if (inode === undefined) return;
    try {
      const onEvent = guarded('config', () => this.#onEvent());
      const watching = watch(directory, { persistent: false }, onEvent);
      watching.on('error', (error) => {
        this.#complain(directory, error);
        this.#disarm(directory);
      });
      this.#armed.set(directory, { watch: watching, inode });
    } catch (error) {
      // ENOSPC and EMFILE: the user's inotify watches or instances are used up.
      this.#complain(directory, error);
    }
  }

  #disarm(directory: string): void {
    this.#armed.get(directory)?.watch.close();
    this.#armed.delete(directory);
  }

  #complain(directory: string, error: unknown): void {
    if (this.#complained) return;
    this.#complained = true;
    const why = systemCode(error) ?? (error instanceof Error ? error.message : String(error));
    this.#options.emit({
      type: 'notice',
      level: 'warn',
      message: `cannot watch ${directory} (${why}); the files are read again and again instead`,
    });
  }
}

/** What identifies the content of a file. */
export function digest(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('base64');
}

/** The digest of a file's content, or null while there is no readable file. */
export async function digestOf(file: string): Promise<string | null> {
  try {
    return digest(await readFile(file));
  } catch {
    return null;
  }
}

/** Whether one of the files is another one by now. */
export async function anyChanged(files: WatchedFiles): Promise<boolean> {
  for (const [file, inUse] of files) if ((await digestOf(file)) !== inUse) return true;
  return false;
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
