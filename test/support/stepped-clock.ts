// The clock of an engine under test. It stands still until the test moves it, so that a busy machine is no late timer; bytes
// move by themselves between two steps.
import { setImmediate as turn } from 'node:timers/promises';
import { onTestFinished, vi } from 'vitest';

const STEP_MS = 50;
/** Turns of the event loop in which the bytes that one step has set free arrive. */
const TURNS = 5;
/** Milliseconds of this clock; longer than anything that an engine waits for. */
const LONGEST_MS = 300_000;

export class SteppedClock {
  /** Milliseconds since it began. */
  now = 0;
  readonly #move: (ms: number) => void;

  /** `move` lets so much time pass for the engine, and runs its timers that are due then. */
  constructor(move: (ms: number) => void) {
    this.#move = move;
  }

  async #step(ms: number): Promise<void> {
    for (let i = 0; i < TURNS; i++) await turn();
    this.#move(ms);
    this.now += ms;
    for (let i = 0; i < TURNS; i++) await turn();
  }

  /** Moves it on, once what was sent and asked for before is done; with 0 only that. */
  async advance(ms: number): Promise<void> {
    const end = this.now + ms;
    await this.#step(0);
    while (this.now < end) await this.#step(Math.min(STEP_MS, end - this.now));
  }

  /** Moves it on until the promise is settled. */
  async during<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const settle = (): void => {
      settled = true;
    };
    promise.then(settle, settle);
    const end = this.now + LONGEST_MS;
    while (!settled) {
      if (this.now >= end) throw new Error(`nothing came in ${LONGEST_MS} ms of the engine's clock`);
      await this.#step(STEP_MS);
    }
    return promise;
  }
}

/** Takes this process's timer wheels and deadlines over until the test is finished; other timers stay the system's. */
export function fakeClock(): SteppedClock {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
  onTestFinished(() => void vi.useRealTimers());
  return new SteppedClock((ms) => void vi.advanceTimersByTime(ms));
}
