// So many at a time, the others in a line of their client's own: the lines are served in turn, so that whoever asks much
// waits for itself. As flow queueing does it (RFC 8290): when all lines are full together, the longest one pays.
import { GatewayError } from '../errors.ts';

export interface FairSemaphoreOptions {
  /** How many hold it at a time. */
  readonly permits: number;
  /** Most that wait in the line of one client. */
  readonly longestLine: number;
  /** Most that wait in all lines together. */
  readonly mostWaiting: number;
}

/** Gives the permit back; more calls than one do nothing. */
export type Release = () => void;

interface Waiter {
  /** It has the permit. */
  readonly grant: () => void;
  /** It has to give up its place. */
  readonly evict: () => void;
}

export class FairSemaphore {
  readonly #options: FairSemaphoreOptions;
  /** By client, the one that is served next first. None of them is empty. */
  readonly #lines = new Map<string, Set<Waiter>>();
  #held = 0;
  #waiting = 0;

  constructor(options: FairSemaphoreOptions) {
    this.#options = options;
  }

  /**
   * Waits for a permit in the client's line. Null where that line is full, or all are and no other one is longer; one that
   * waits gets null too where a shorter line needs its place. Rejects with `client_gone` once `gone` fires.
   */
  acquire(client: string, gone: AbortSignal): Promise<Release | null> {
    return new Promise((resolve, reject) => {
      const left = () => new GatewayError('client_gone', 'the client left');
      if (gone.aborted) return reject(left());
      if (this.#held < this.#options.permits) return resolve(this.#take());
      if (!this.#makeRoom(client)) return resolve(null);
      const onGone = (): void => {
        this.#remove(client, waiter);
        reject(left());
      };
      const waiter: Waiter = {
        grant: () => {
          gone.removeEventListener('abort', onGone);
          resolve(this.#take());
        },
        evict: () => {
          gone.removeEventListener('abort', onGone);
          resolve(null);
        },
      };
      gone.addEventListener('abort', onGone, { once: true });
      this.#add(client, waiter);
    });
  }

  #take(): Release {
    let held = true;
    this.#held++;
    return () => {
      if (!held) return;
      held = false;
      this.#held--;
      this.#serveNext();
    };
  }

  /** The first of the first line; its line is the last one then. */
  #serveNext(): void {
    const [next] = this.#lines;
    if (next === undefined) return;
    const [client, line] = next;
    const [waiter] = line;
    this.#lines.delete(client);
    this.#lines.set(client, line);
    if (waiter === undefined) return;
    this.#remove(client, waiter);
    waiter.grant();
  }

  /** Whether one more may wait in the client's line; where all are full together, the last of the longest one goes. */
  #makeRoom(client: string): boolean {
    const { longestLine, mostWaiting } = this.#options;
    const own = this.#lines.get(client)?.size ?? 0;
    if (own >= longestLine) return false;
    if (this.#waiting < mostWaiting) return true;
    const [longest, line] = this.#longestLine();
    if (line.size <= own + 1) return false;
    const last = [...line].at(-1);
    if (last !== undefined) {
      this.#remove(longest, last);
      last.evict();
    }
    return last !== undefined;
  }

  #longestLine(): readonly [string, ReadonlySet<Waiter>] {
    let longest: readonly [string, ReadonlySet<Waiter>] = ['', new Set()];
    for (const each of this.#lines) if (each[1].size > longest[1].size) longest = each;
    return longest;
  }

  #add(client: string, waiter: Waiter): void {
    const line = this.#lines.get(client);
    if (line === undefined) this.#lines.set(client, new Set([waiter]));
    else line.add(waiter);
    this.#waiting++;
  }

  #remove(client: string, waiter: Waiter): void {
    const line = this.#lines.get(client);
    if (line?.delete(waiter) !== true) return;
    this.#waiting--;
    if (line.size === 0) this.#lines.delete(client);
  }
}
