// `--take-over PATH`: the listening sockets come from the process that runs already, which is asked for them on a unix socket at
// PATH and drains once this one serves; then this one waits there for the next. Until the new one says that it serves, the old
// one goes on as if nothing had been asked.
import { chmodSync, closeSync, renameSync, rmSync } from 'node:fs';
import { createServer, type Server, Socket } from 'node:net';
import { guarded, ignore } from '../base/guard.ts';
import { systemCode } from '../errors.ts';
import type { Emit } from '../events.ts';
import { temporaryPath } from '../listen/bind.ts';
import type { InheritedSocket } from '../net/inherited-sockets.ts';
import { descriptorOf } from '../net/node-internals.ts';
import type { FdPassing, PassedFds } from '../relay/native/fd-passing.ts';
import { describeBindError } from '../runtime/bind-error.ts';
import { fail } from './start-error.ts';

/** What the new process says: that it wants the sockets, and then that it serves. */
const SOCKETS = 'sockets';
const SERVING = 'serving';
/** How long the old one may take to answer. */
const ANSWER_MS = 5000;
/** How long the new one may take to serve; then it is as if it had not asked. */
const SERVE_MS = 60_000;
const MAX_LINE = 64;

/** What the old process says beside the descriptors, which are in the same order. */
interface Offer {
  readonly pid: number;
  readonly addresses: readonly string[];
  /** Why there are none. */
  readonly refused?: string;
}

/** A listening socket of this process. */
export interface OwnSocket {
  readonly fd: number;
  /** As its config has it. */
  readonly address: string;
}

export interface SocketTransferOptions {
  readonly path: string;
  readonly fdPassing: FdPassing;
  readonly emit: Emit;
  /** What the next process gets. */
  readonly sockets: () => readonly OwnSocket[];
  /** The next process serves. */
  readonly onTaken: () => void;
}

export class SocketTransfer {
  readonly #options: SocketTransferOptions;
  readonly #server: Server;
  /** Where it waits for the next process until it serves itself. */
  readonly #boundAt: string;
  /** To the process before, while that serves. */
  #before: Socket | null = null;
  /** From the process that wants the sockets. */
  #after: Socket | null = null;
  #listens = false;
  /** Whether the next process has taken the sockets. */
  taken = false;

  constructor(options: SocketTransferOptions) {
    this.#options = options;
    this.#boundAt = temporaryPath(options.path);
    const onConnection = guarded('admin', (socket: Socket) => this.#onConnection(socket));
    this.#server = createServer(onConnection).unref();
  }

  /** Gets the sockets of the process that runs already; none where there is none. Throws a StartError where that fails. */
  async request(): Promise<readonly InheritedSocket[]> {
    const { path } = this.#options;
    // Whether this process can wait there for the next is found out before the one before is disturbed.
    await this.#bind().catch((error: unknown) => fail(describeBindError(error, path)));
    const passed = this.#ask();
    if (passed === null) return [];
    const { pid, addresses, refused } = readOffer(passed.text);
    if (refused !== undefined || addresses.length !== passed.fds.length) {
      for (const fd of [...passed.fds, passed.connection]) closeSync(fd);
      return fail(`--take-over ${path}: ${refused ?? 'the process there is none of this program'}`);
    }
    this.#before = new Socket({ fd: passed.connection, readable: true, writable: true }).on('error', ignore).resume();
    this.#notice('the sockets come from the process before', { pid, sockets: addresses.length });
    return passed.fds.map((fd, i) => ({ fd, address: addresses[i] ?? '', name: null }));
  }

  /** Throws a StartError where the process before has given up waiting, or has ended. */
  checkWaited(): void {
    if (this.#before?.destroyed) fail(`--take-over ${this.#options.path}: the process before did not wait`);
  }

  /** This process serves: the one before drains, and the next may ask. */
  serving(): void {
    this.#before?.end(`${SERVING}\n`);
    renameSync(this.#boundAt, this.#options.path);
    this.#listens = true;
  }

  /** This process ends: nobody can ask any more. */
  readonly close = (): void => {
    this.#server.close();
    // The name is the next one's, where there is one.
    if (this.#listens && !this.taken) rmSync(this.#options.path, { force: true });
    this.#listens = false;
  };

  async #bind(): Promise<void> {
    const path = this.#boundAt;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject).listen({ path }, () => {
        this.#server.off('error', reject).on('error', ignore);
        resolve();
      });
    });
    chmodSync(path, 0o600);
    // A start that fails leaves nothing behind.
    process.once('exit', this.close);
  }

  #ask(): PassedFds | null {
    const { path, fdPassing } = this.#options;
    try {
      return fdPassing.request(path, SOCKETS, ANSWER_MS);
    } catch (error) {
      const code = systemCode(error);
      // Nobody runs, or what ran has left its socket behind.
      if (code === 'ENOENT' || code === 'ECONNREFUSED') return null;
      return fail(`--take-over ${path}: the process there did not pass its sockets (${(error as Error).message})`);
    }
  }

  #onConnection(socket: Socket): void {
    let line = '';
    socket.on('error', ignore);
    socket.setTimeout(SERVE_MS, () => socket.destroy());
    const onLine = guarded(
      'admin',
      (text: string) => this.#onLine(socket, text),
      () => socket.destroy(),
    );
    socket.setEncoding('latin1').on('data', (text: string) => {
      line += text;
      for (let end = line.indexOf('\n'); end !== -1; end = line.indexOf('\n')) {
        onLine(line.slice(0, end));
        line = line.slice(end + 1);
      }
      if (line.length > MAX_LINE) socket.destroy();
    });
    socket.on('close', () => {
      if (this.#after !== socket) return;
      this.#after = null;
      if (!this.taken) this.#notice('the process that asked for the sockets does not serve; this one goes on', {});
    });
  }

  #onLine(socket: Socket, line: string): void {
    if (line === SOCKETS && this.#after === null && !this.taken) {
      const { fdPassing, sockets } = this.#options;
      const own = sockets();
      const offer: Offer = { pid: process.pid, addresses: own.map(({ address }) => address) };
      const fds = own.map(({ fd }) => fd);
      fdPassing.send(descriptorOf(socket), fds, JSON.stringify(offer));
      this.#after = socket;
      this.#notice('another process asks for the sockets', { sockets: own.length });
    } else if (line === SERVING && this.#after === socket) {
      this.taken = true;
      this.#notice('another process serves; this one drains', {});
      socket.end();
      this.#options.onTaken();
    } else {
      const refused = 'another process is taking its sockets';
      socket.end(`${JSON.stringify({ pid: process.pid, addresses: [], refused } satisfies Offer)}\n`);
    }
  }

  #notice(message: string, data: Readonly<Record<string, string | number>>): void {
    this.#options.emit({ type: 'notice', level: 'info', message, data });
  }
}

/** What the other process has said; it may be any program. */
function readOffer(text: string): Offer {
  try {
    const { pid, addresses, refused } = JSON.parse(text) as Record<string, unknown>;
    const texts = Array.isArray(addresses) ? addresses.filter((address) => typeof address === 'string') : [];
    return { pid: Number(pid), addresses: texts, ...(typeof refused === 'string' ? { refused } : {}) };
  } catch {
    return { pid: 0, addresses: [], refused: 'the process there is none of this program' };
  }
}
