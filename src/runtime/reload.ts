// One reload at a time: build the new, swap one reference, retire the old; a failure leaves the old untouched. It does
// not depend on what a snapshot holds, or on why a reload was requested; watch.ts and the signal handler request it.
import type { Emit } from '../events.ts';

/** What triggered a reload. */
export type ReloadTrigger = 'signal' | 'file';

/** A snapshot that is complete and ready to serve, or every reason why there is none. */
export type Built<T> =
  | { readonly ok: true; readonly next: T }
  | { readonly ok: false; readonly problems: readonly string[] };

export interface ReloadSteps<T> {
  /** Reads everything anew. Changes nothing that is in use. */
  build(): Promise<Built<T>>;
  /**
   * Replaces the snapshot in use with `next` and retires the old one. It does so completely, or throws with nothing
   * changed.
   */
  swap(next: T): void | Promise<void>;
  /** Releases what `next` holds, where it was built and is not needed any more. */
  discard(next: T): void;
  readonly emit: Emit;
}

export type ReloadResult = 'success' | 'failure';

export class Reloader<T> {
  readonly #steps: ReloadSteps<T>;
  #running: Promise<ReloadResult> | undefined;
  #waiting: Promise<ReloadResult> | undefined;
  #closed = false;

  constructor(steps: ReloadSteps<T>) {
    this.#steps = steps;
  }

  /**
   * Reloads. While one is under way the next waits for its end, and all requests meanwhile share that next one: it
   * reads everything after the last of them. Resolves with the result, never rejects.
   */
  request(trigger: ReloadTrigger): Promise<ReloadResult> {
    if (this.#waiting !== undefined) return this.#waiting;
    if (this.#running === undefined) return this.#start(trigger);
    this.#waiting = this.#running.then(() => {
      this.#waiting = undefined;
      return this.#start(trigger);
    });
    return this.#waiting;
  }

  /** No reload changes anything from here on; resolves when one that is under way has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    await (this.#waiting ?? this.#running);
  }

  #start(trigger: ReloadTrigger): Promise<ReloadResult> {
    const running = this.#run(trigger).finally(() => {
      if (this.#running === running) this.#running = undefined;
    });
    this.#running = running;
    return running;
  }

  async #run(trigger: ReloadTrigger): Promise<ReloadResult> {
    const problems = await this.#tryReload();
    const result = problems.length === 0 ? 'success' : 'failure';
    this.#steps.emit({ type: 'config_reloaded', result, trigger, problems });
    return result;
  }

  /** The reasons why it failed; none: it succeeded. */
  async #tryReload(): Promise<readonly string[]> {
    const { build, swap, discard } = this.#steps;
    if (this.#closed) return [STOPPING];
    try {
      const built = await build();
      if (!built.ok) return built.problems.length > 0 ? built.problems : ['the new config was refused'];
      if (this.#closed) {
        discard(built.next);
        return [STOPPING];
      }
      await swap(built.next);
      return [];
    } catch (error) {
      return [error instanceof Error ? error.message : String(error)];
    }
  }
}

const STOPPING = 'the gateway is stopping';
