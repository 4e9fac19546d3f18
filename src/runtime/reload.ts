// One reload at a time: build the new, swap one reference, retire the old; a failure leaves the old untouched. It knows
// nothing of what a snapshot holds, and not why one was asked for; watch.ts and the signal handler ask.
import type { Emit } from '../events.ts';

/** What set a reload off. */
export type ReloadTrigger = 'signal' | 'file';

/** A snapshot that is whole and ready to serve, or every reason why there is none. */
export type Built<T> =
  | { readonly ok: true; readonly next: T }
  | { readonly ok: false; readonly problems: readonly string[] };

export interface ReloadSteps<T> {
  /** Reads everything anew. Changes nothing that serves. */
  build(): Promise<Built<T>>;
  /** Puts `next` in the place of what serves and retires that. Either whole, or it throws with nothing changed. */
  swap(next: T): void | Promise<void>;
  /** Gives back what `next` holds, where it was built and is not wanted any more. */
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
   * Reloads. While one is under way the next waits for its end, and all that ask meanwhile share that next one: it reads
   * everything after the last of them asked. Resolves with how it went, never rejects.
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

  /** The reasons why it failed; none, and it is done. */
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
