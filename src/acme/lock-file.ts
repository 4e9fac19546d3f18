// One order at a time for a certificate, over all gateways that share a directory: the gateway that created the lock file orders.
// It touches the file regularly; a file that is no longer touched was left by a gateway that ended during an order. If two
// gateways take over such a file at the same moment, one certificate too many is ordered, and nothing worse happens.
import { randomUUID } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { systemCode } from '../errors.ts';
import { AcmeError } from './acme-error.ts';

const TOUCH_MS = 10_000;
/** By the clock of the gateway that watches: clocks of other machines may differ. */
const STALE_MS = 60_000;

/** The last observed state of another holder's file. */
interface Seen {
  readonly state: string;
  readonly since: number;
}

export class LockFile {
  readonly #path: string;
  readonly #clock: Clock;
  #seen: Seen | null = null;

  constructor(path: string, clock: Clock) {
    this.#path = path;
    this.#clock = clock;
  }

  /** Takes the lock and resolves with its release; null while another gateway holds it. Rejects with an AcmeError. */
  async acquire(): Promise<(() => Promise<void>) | null> {
    try {
      await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 });
      if (await this.#create()) return this.#hold();
      const stale = await this.#staleState();
      if (stale === null) return null;
      await this.#removeStale(stale);
      return (await this.#create()) ? this.#hold() : null;
    } catch (error) {
      throw new AcmeError('storage', `cannot lock ${this.#path}: ${systemCode(error) ?? String(error)}`);
    }
  }

  async #create(): Promise<boolean> {
    try {
      const handle = await open(this.#path, 'wx', 0o600);
      await handle.writeFile(OWNER);
      await handle.close();
      return true;
    } catch (error) {
      if (systemCode(error) === 'EEXIST') return false;
      throw error;
    }
  }

  #hold(): () => Promise<void> {
    this.#seen = null;
    let cancel = (): void => {};
    const touch = (): void => {
      const now = new Date();
      // A directory that is unavailable for a moment does not end the order.
      utimes(this.#path, now, now).catch(() => {});
      cancel = this.#clock.after(TOUCH_MS, touch);
    };
    cancel = this.#clock.after(TOUCH_MS, touch);
    return async () => {
      cancel();
      await rm(this.#path, { force: true }).catch(() => {});
    };
  }

  /** The state of a stale file: its process ran on this machine and has ended, or it was not touched for too long. */
  async #staleState(): Promise<string | null> {
    const found = await Promise.all([readFile(this.#path, 'utf8'), stateOf(this.#path)]).catch(() => null);
    // It was released just now.
    if (found === null) return null;
    const [owner, state] = found;
    if (isGone(owner)) return state;
    if (this.#seen?.state !== state) this.#seen = { state, since: this.#clock.now() };
    return this.#clock.now() - this.#seen.since >= STALE_MS ? this.#seen.state : null;
  }

  /** Removes the stale file, but not one that another gateway has created in its place meanwhile. */
  async #removeStale(stale: string): Promise<void> {
    const aside = `${this.#path}.${randomUUID()}`;
    await rename(this.#path, aside);
    if ((await stateOf(aside)) === stale) await rm(aside, { force: true });
    else await rename(aside, this.#path);
  }
}

/** A text that changes whenever the holder changes. */
async function stateOf(path: string): Promise<string> {
  const { ino, mtimeNs } = await stat(path, { bigint: true });
  return `${ino}:${mtimeNs}`;
}

/** Identifies this process. Its pid alone would not do: in every container it is 1. */
const RUN = randomUUID();
const OWNER = `${hostname()} ${process.pid} ${RUN}\n`;

/** Whether the file was created by a process of this machine that has ended. */
function isGone(owner: string): boolean {
  const [host, pid, run] = owner.trim().split(' ');
  if (host !== hostname() || !/^\d{1,9}$/.test(pid ?? '')) return false;
  if (Number(pid) === process.pid) return run !== RUN;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    return systemCode(error) === 'ESRCH';
  }
}
