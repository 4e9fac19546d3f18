// A semaphore with one queue for each client. The queues are served in turn, so that a client with many requests waits
// behind its own. As in flow queueing (RFC 8290), when all queues are full together, the longest one drops.
import type { Release } from '../base/semaphore.ts';
import { GatewayError } from '../errors.ts';

export interface FairSemaphoreOptions {
  /** How many hold it at a time. */
  readonly permits: number;
  /** Most that wait in the queue of one client. */
  readonly maxQueue: number;
  /** Most that wait in all queues together. */
  readonly maxWaiting: number;
}

interface Waiter {
  /** It has the permit. */
  readonly grant: () => void;
  /** It is dropped from its queue. */
  readonly evict: () => void;
}

export class FairSemaphore {
  readonly #options: FairSemaphoreOptions;
  /** By client, the one that is served next first. None of them is empty. */
  readonly #queues = new Map<string, Set<Waiter>>();
  #held = 0;
  #waiting = 0;

  constructor(options: FairSemaphoreOptions) {
    this.#options = options;
  }

  /**
   * Waits for a permit in the client's queue. Null where that queue is full, or all are and no other one is longer; one
   * that waits gets null too where it is dropped for a shorter queue. Rejects with `client_gone` once `signal` fires.
   */
  acquire(client: string, signal: AbortSignal): Promise<Release | null> {
    return new Promise((resolve, reject) => {
      const left = () => new GatewayError('client_gone', 'the client left');
      if (signal.aborted) return reject(left());
      if (this.#held < this.#options.permits) return resolve(this.#take());
      if (!this.#makeRoom(client)) return resolve(null);
      const onAbort = (): void => {
        this.#remove(client, waiter);
        reject(left());
      };
      const waiter: Waiter = {
        grant: () => {
          signal.removeEventListener('abort', onAbort);
          resolve(this.#take());
        },
        evict: () => {
          signal.removeEventListener('abort', onAbort);
          resolve(null);
        },
      };
      signal.addEventListener('abort', onAbort, { once: true });
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

  /** The first of the first queue, which then becomes the last one. */
  #serveNext(): void {
    const [next] = this.#queues;
    if (next === undefined) return;
    const [client, queue] = next;
    const [waiter] = queue;
    this.#queues.delete(client);
    this.#queues.set(client, queue);
    if (waiter === undefined) return;
    this.#remove(client, waiter);
    waiter.grant();
  }

  /**
   * Whether one more may wait in the client's queue; where all are full together, the last of the longest one is
   * dropped.
   */
  #makeRoom(client: string): boolean {
    const { maxQueue, maxWaiting } = this.#options;
    const own = this.#queues.get(client)?.size ?? 0;
    if (own >= maxQueue) return false;
    if (this.#waiting < maxWaiting) return true;
    const [longest, queue] = this.#maxQueue();
    if (queue.size <= own + 1) return false;
    const last = [...queue].at(-1);
    if (last !== undefined) {
      this.#remove(longest, last);
      last.evict();
    }
    return last !== undefined;
  }

  #maxQueue(): readonly [string, ReadonlySet<Waiter>] {
    let longest: readonly [string, ReadonlySet<Waiter>] = ['', new Set()];
    for (const each of this.#queues) if (each[1].size > longest[1].size) longest = each;
    return longest;
  }

  #add(client: string, waiter: Waiter): void {
    const queue = this.#queues.get(client);
    if (queue === undefined) this.#queues.set(client, new Set([waiter]));
    else queue.add(waiter);
    this.#waiting++;
  }

  #remove(client: string, waiter: Waiter): void {
    const queue = this.#queues.get(client);
    if (queue?.delete(waiter) !== true) return;
    this.#waiting--;
    if (queue.size === 0) this.#queues.delete(client);
  }
}
