// What the addon does for processes, and node does not: it tells what a descriptor listens on, passes descriptors to another
// process (SCM_RIGHTS) and takes them from one, and sends a supervisor its datagrams. addon-fd-passing.c has the contract.
import { getSystemErrorName } from 'node:util';
import { ADDON, loadAddon } from './addon.ts';

/** Descriptors from another process, and what it said of them. All of them are the caller's. */
export interface PassedFds {
  /** The connection to that process. */
  readonly connection: number;
  readonly fds: readonly number[];
  readonly text: string;
}

/** What each of these returns below 0 is an errno, negated. */
interface AddonFdPassing {
  listeningAddress(fd: number): string | number;
  sendDescriptors(connection: number, fds: Int32Array, text: string): number;
  requestDescriptors(path: string, line: string, timeoutMs: number): PassedFds | number;
  notifySupervisor(path: string, text: string): number;
}

/** An errno as an error with its code. */
function systemError(negated: number, call: string): Error {
  const code = getSystemErrorName(negated);
  return Object.assign(new Error(`${call}: ${code}`), { code });
}

/** All of it throws the system's error, with its code. */
export class FdPassing {
  readonly #addon: AddonFdPassing;

  /** Throws what require() throws where the addon is not there or does not load. */
  constructor(addon = ADDON) {
    this.#addon = loadAddon(addon) as unknown as AddonFdPassing;
  }

  /** What a listening socket is bound to: `127.0.0.1:80`, `[::]:443`, or a path. EINVAL: it is no listening stream socket. */
  addressOf(fd: number): string {
    const found = this.#addon.listeningAddress(fd);
    if (typeof found === 'number') throw systemError(found, 'getsockname');
    return found.startsWith('unix:') ? found.slice('unix:'.length) : found;
  }

  /** Sends descriptors and a line on a connected unix socket; the descriptors remain the caller's. */
  send(connection: number, fds: readonly number[], line: string): void {
    const result = this.#addon.sendDescriptors(connection, Int32Array.from(fds), `${line}\n`);
    if (result < 0) throw systemError(result, 'sendmsg');
  }

  /** Asks the process behind a unix socket for its descriptors. Blocks for at most so many milliseconds. */
  request(path: string, line: string, timeoutMs: number): PassedFds {
    const result = this.#addon.requestDescriptors(path, `${line}\n`, timeoutMs);
    if (typeof result === 'number') throw systemError(result, 'connect');
    return result;
  }

  /** Sends a datagram, as sd_notify(3) says. */
  notify(path: string, text: string): void {
    const result = this.#addon.notifySupervisor(path, text);
    if (result < 0) throw systemError(result, 'sendto');
  }
}
