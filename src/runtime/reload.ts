// One reload at a time: build the new, swap one reference, retire the old; a failure leaves the old untouched. It does
// not depend on what a snapshot holds, or on why a reload was requested; watch.ts and the signal handler request it.
import { reportDefect } from '../base/guard.ts';
import type { ReloadOutcome } from '../base/reload-outcome.ts';
import type { Emit } from '../events.ts';

/** What triggered a reload. */
export type ReloadTrigger = 'signal' | 'file' | 'api';

/** A snapshot that is complete and ready to serve, or every reason why there is none. */
export type Built<T> =
  | { readonly ok: true; readonly next: T }
  | { readonly ok: false; readonly problems: readonly string[] };

export interface ReloadSteps<T> {
  /** Reads everything anew. Changes nothing that is in use. */
  build(): Promise<Built<T>>;
  /**
   * Replaces the snapshot in use with `next` and retires the old one; returns what that means for what is live. It does so
   * completely, or throws with nothing changed.
   */
  swap(next: T): ReloadOutcome;
  /** Whether a file is another one than when everything was last read. */
  stale(): Promise<boolean>;
  /** The new config was refused: takes over what may change under the one in force, which is what certificates' files hold. */
  renew(): Promise<void>;
  /** Releases what `next` holds, where it was built and is not needed any more. */
  discard(next: T): void;
  readonly emit: Emit;
}

/** How a reload ended. */
export interface ReloadReport {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly trigger: ReloadTrigger;
  /** Null where it failed, and then nothing has changed. */
  readonly outcome: ReloadOutcome | null;
  /** Every reason why it failed. */
  readonly problems: readonly string[];
}

export class Reloader<T> {
  readonly #steps: ReloadSteps<T>;
  #running: Promise<ReloadReport> | undefined;
  #waiting: Promise<ReloadReport> | undefined;
  #closed = false;
  #last: ReloadReport | null = null;

  constructor(steps: ReloadSteps<T>) {
    this.#steps = steps;
  }

  /** The last one that has ended; null: none has. */
  get last(): ReloadReport | null {
    return this.#last;
  }

  /**
   * Reloads. While one is under way the next waits for its end, and all requests meanwhile share that next one: it
   * reads everything after the last of them. Resolves with the result, never rejects.
   */
  request(trigger: ReloadTrigger): Promise<ReloadReport> {
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

  #start(trigger: ReloadTrigger): Promise<ReloadReport> {
    const running = this.#run(trigger).finally(() => {
      if (this.#running === running) this.#running = undefined;
    });
    this.#running = running;
    return running;
  }

  async #run(trigger: ReloadTrigger): Promise<ReloadReport> {
    // Who changes a file and asks for a reload is told of one, not of a second one that finds nothing to do.
    if (trigger === 'file' && this.#last !== null && !(await this.#steps.stale())) return this.#last;
    const report = { at: Date.now(), trigger, ...(await this.#tryReload()) };
    const { outcome, problems } = report;
    if (outcome === null && !this.#closed) await this.#steps.renew().catch((thrown) => reportDefect('config', thrown));
    this.#last = report;
    this.#steps.emit({
      type: 'config_reloaded',
      result: outcome === null ? 'failure' : 'success',
      trigger,
      problems,
      outcome,
    });
    return report;
  }

  async #tryReload(): Promise<Pick<ReloadReport, 'outcome' | 'problems'>> {
    const { build, swap, discard } = this.#steps;
    if (this.#closed) return failed([STOPPING]);
    try {
      const built = await build();
      if (!built.ok) return failed(built.problems.length > 0 ? built.problems : ['the new config was refused']);
      if (this.#closed) {
        discard(built.next);
        return failed([STOPPING]);
      }
      return { outcome: swap(built.next), problems: [] };
    } catch (error) {
      return failed([error instanceof Error ? error.message : String(error)]);
    }
  }
}

const STOPPING = 'the gateway is stopping';

function failed(problems: readonly string[]): { outcome: null; problems: readonly string[] } {
  return { outcome: null, problems };
}
