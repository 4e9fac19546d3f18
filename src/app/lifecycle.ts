// The process: its signals, uncaught errors, and its end. It is loaded first, so that an early signal does not get node's
// default handling. For the same reason it imports little.
import { writeSync } from 'node:fs';
import { ignore, reportDefect } from '../base/guard.ts';
import { stackOf } from '../errors.ts';

/** The service that `run` starts. */
export interface Service {
  readonly started: boolean;
  reload(): Promise<void>;
  /** Drains; resolves when nothing is left. */
  stop(): Promise<void>;
}

export interface LifecycleOptions {
  /** Ends the process at once. */
  readonly exit: (code: number) => void;
  /** Whether the command is the one that serves. */
  readonly serves: boolean;
}

/** EX_SOFTWARE of sysexits(3): a defect of the program. */
const EXIT_DEFECT = 70;
/** A second signal to stop, or a drain that failed. */
const EXIT_FORCED = 1;
/** Milliseconds that a reader of the output may delay the end of a gateway. */
const OUTPUT_MS = 1000;

export class Lifecycle {
  readonly #options: LifecycleOptions;
  #service: Service | null = null;
  #endsAtHangup = false;
  #stopping = false;
  /** A request, not a signal, has started the stop, and no signal has followed yet. */
  #requested = false;
  #escaped = false;
  /** A SIGHUP arrived before there was something to reload. */
  #reloads = false;

  constructor(options: LifecycleOptions) {
    this.#options = options;
  }

  /**
   * Handles uncaught errors until the end of the process, and signals if the command serves. Other commands keep the system's
   * default for signals, which also ends a busy one.
   */
  watch(): void {
    if (this.#options.serves) {
      for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, () => this.#onStop());
      process.on('SIGHUP', () => this.#onHangup());
    }
    // Unhandled rejections get here too.
    process.on('uncaughtException', (thrown: unknown) => this.#onEscape(thrown));
    // The reader of the output may leave; that must not end the process.
    for (const stream of [process.stdout, process.stderr]) stream.on('error', ignore);
  }

  /** Signals go to this service from now on. `endsAtHangup`: it ends with its terminal, which sends SIGHUP then; a daemon reloads. */
  serve(service: Service, endsAtHangup: boolean): void {
    this.#service = service;
    this.#endsAtHangup = endsAtHangup;
  }

  /** The service has started: handles a SIGHUP that arrived in the meantime. */
  onStarted(): void {
    if (this.#reloads) this.#onHangup();
  }

  /** Drains, as at a signal. The first signal after it does not count as the second: a supervisor always sends one. */
  requestStop(): void {
    if (this.#stopping || !this.#service?.started) return;
    this.#requested = true;
    this.#stop(this.#service);
  }

  /** Ends the process with this code after its output is written. */
  async end(code: number): Promise<void> {
    const taken = Promise.all([process.stdout, process.stderr].map(written));
    // A command waits for the reader of its output; a gateway does not.
    await (this.#options.serves ? Promise.race([taken, elapsed(OUTPUT_MS)]) : taken);
    this.#options.exit(code);
  }

  #onStop(): void {
    const { exit } = this.#options;
    // If nothing is served yet, there is nothing to drain, and the stop is not a failure.
    if (!this.#service?.started) return void exit(0);
    if (this.#requested) {
      this.#requested = false;
      return;
    }
    if (this.#stopping) return void exit(this.#escaped ? EXIT_DEFECT : EXIT_FORCED);
    this.#stop(this.#service);
  }

  #onHangup(): void {
    if (this.#endsAtHangup) return void this.#onStop();
    this.#reloads = !this.#service?.started;
    if (!this.#reloads) void this.#service?.reload().catch((thrown: unknown) => reportDefect('config', thrown));
  }

  /** After an uncaught error the state of the process is unknown: it drains and ends. */
  #onEscape(thrown: unknown): void {
    // Write the error before anything else can fail.
    printNow(`${stackOf(thrown)}\n`);
    if (this.#escaped || !this.#service?.started) return void this.#options.exit(EXIT_DEFECT);
    this.#escaped = true;
    reportDefect('process', thrown);
    if (!this.#stopping) this.#stop(this.#service);
  }

  #stop(service: Service): void {
    this.#stopping = true;
    service.stop().then(
      () => this.end(this.#escaped ? EXIT_DEFECT : 0),
      (thrown: unknown) => {
        printNow(`${stackOf(thrown)}\n`);
        this.#options.exit(EXIT_DEFECT);
      },
    );
  }
}

/** Writes to standard error synchronously, past every queue. */
function printNow(text: string): void {
  try {
    writeSync(process.stderr.fd, text);
  } catch {
    // Standard error is closed or full.
  }
}

/** Resolves when the stream has written everything, or never can. */
function written(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => stream.write('', () => resolve()));
}

function elapsed(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}
