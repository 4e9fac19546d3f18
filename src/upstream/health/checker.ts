// Asks each server of an upstream, again and again, whether it is up. One timer for all of them; a server whose last
// check still runs is left out of a round.
import { background, guarded } from '../../base/guard.ts';
import type { UpstreamConfig } from '../../config/schema/schema.ts';
import type { Server } from '../server.ts';
import { probe } from './probe.ts';

export type CheckConfig = NonNullable<UpstreamConfig['health']['active']>;

/** Reports whether a server is up; called after each check that decides it. */
export type OnChecked = (server: Server, up: boolean, detail: string) => void;

interface Row {
  passed: number;
  failed: number;
  running: boolean;
}

export class Checker {
  readonly #config: CheckConfig;
  readonly #servers: () => readonly Server[];
  readonly #onChecked: OnChecked;
  readonly #stopped = new AbortController();
  /** How it went lately, by the server's live state: that outlasts a change of the list. */
  readonly #rows = new WeakMap<object, Row>();
  #timer: NodeJS.Timeout | undefined;

  constructor(config: CheckConfig, servers: () => readonly Server[], onChecked: OnChecked) {
    this.#config = config;
    this.#servers = servers;
    this.#onChecked = onChecked;
  }

  start(): void {
    this.#timer = setInterval(
      guarded('upstream', () => this.#round()),
      this.#config.every,
    );
    this.#round();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#stopped.abort();
  }

  #round(): void {
    for (const server of this.#servers()) background('upstream', this.#check(server));
  }

  async #check(server: Server): Promise<void> {
    const row = this.#rows.get(server.state) ?? { passed: 0, failed: 0, running: false };
    this.#rows.set(server.state, row);
    if (row.running) return;
    row.running = true;
    const failure = await probe(server, this.#config, this.#stopped.signal).finally(() => {
      row.running = false;
    });
    // The result for a server that was removed meanwhile is dropped.
    if (this.#stopped.signal.aborted || !this.#servers().includes(server)) return;
    if (failure === null) this.#passed(server, row);
    else this.#failed(server, row, failure);
  }

  #passed(server: Server, row: Row): void {
    row.failed = 0;
    row.passed++;
    const { checked } = server.state;
    if (checked === null) this.#onChecked(server, true, 'the first check passed');
    else if (!checked && row.passed >= this.#config.rise) {
      this.#onChecked(server, true, `${row.passed} checks in a row passed`);
    }
  }

  #failed(server: Server, row: Row, failure: string): void {
    row.passed = 0;
    row.failed++;
    const { checked } = server.state;
    // Of a server that was never seen up nothing good is assumed.
    if (checked === null || (checked && row.failed >= this.#config.fall)) this.#onChecked(server, false, failure);
  }
}
