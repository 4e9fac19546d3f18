// The process: which signals it obeys, what becomes of an error that nothing caught, and how it ends. It is loaded before
// everything else, so that no signal of the first moments meets node's default. Imports little for the same reason.
import { writeSync } from 'node:fs';
import { ignore, reportDefect } from '../base/guard.ts';
import { stackOf } from '../errors.ts';

/** What `run` serves. */
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
/** How long a reader of our output may hold up the end of a gateway. */
const OUTPUT_MS = 1000;

export class Lifecycle {
  readonly #options: LifecycleOptions;
  #service: Service | null = null;
  #stopping = false;
  /** It stops because it was asked to, and no signal has come for it yet. */
  #requested = false;
  #escaped = false;
  /** SIGHUP came before there was something to reload. */
  #reloads = false;

  constructor(options: LifecycleOptions) {
    this.#options = options;
  }

  /**
   * Takes over what nothing catches, from here to the end of the process, and signals where there is something to serve. A
   * command that answers and ends keeps the system's way with them, which also ends one that is busy.
   */
  watch(): void {
    if (this.#options.serves) {
      for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, () => this.#onStop());
      process.on('SIGHUP', () => this.#onReload());
    }
    // A rejection that nobody handles gets here too.
    process.on('uncaughtException', (thrown: unknown) => this.#onEscape(thrown));
    // Whoever read our output may leave; that is no reason to end.
    for (const stream of [process.stdout, process.stderr]) stream.on('error', ignore);
  }

  /** From here on signals are for this service. */
  serve(service: Service): void {
    this.#service = service;
  }

  /** The service has started: obeys a SIGHUP that came meanwhile. */
  onStarted(): void {
    if (this.#reloads) this.#onReload();
  }

  /** Drains, as at a signal. The first signal that comes then is no second one: a supervisor sends one in any case. */
  requestStop(): void {
    if (this.#stopping || !this.#service?.started) return;
    this.#requested = true;
    this.#stop(this.#service);
  }

  /** Ends the process with this code once its output has been taken. */
  async end(code: number): Promise<void> {
    const taken = Promise.all([process.stdout, process.stderr].map(written));
    // A command waits for whoever reads its output, as any does; a gateway does not.
    await (this.#options.serves ? Promise.race([taken, elapsed(OUTPUT_MS)]) : taken);
    this.#options.exit(code);
  }

  #onStop(): void {
    const { exit } = this.#options;
    // Where nothing is served yet, there is nothing to end in order; being stopped then is no failure of a gateway.
    if (!this.#service?.started) return void exit(0);
    if (this.#requested) {
      this.#requested = false;
      return;
    }
    if (this.#stopping) return void exit(this.#escaped ? EXIT_DEFECT : EXIT_FORCED);
    this.#stop(this.#service);
  }

  #onReload(): void {
    this.#reloads = !this.#service?.started;
    if (!this.#reloads) void this.#service?.reload().catch((thrown: unknown) => reportDefect('config', thrown));
  }

  /** Whatever it was, the state of the process is not known any more: it goes, and lets its clients go in order. */
  #onEscape(thrown: unknown): void {
    // Written before anything else is tried.
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

/** To standard error, past every queue. */
function printNow(text: string): void {
  try {
    writeSync(process.stderr.fd, text);
  } catch {
    // Nobody reads it, or it is full.
  }
}

/** Resolves once what was written to the stream has been taken, or never will be. */
function written(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => stream.write('', () => resolve()));
}

function elapsed(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}
