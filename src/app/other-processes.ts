// What this process has to do with others: the supervisor, which may have opened its sockets and is told how it is, the process
// before it, and the one that will follow.
import { closeSync } from 'node:fs';
import { type AddressInfo, isIP } from 'node:net';
import type { Admin } from '../admin/admin.ts';
import type { AdminConfig, DrainConfig } from '../config/schema/schema.ts';
import type { Env } from '../config/yaml/env.ts';
import type { Emit, GatewayEvent } from '../events.ts';
import type { Listeners } from '../listen/listeners.ts';
import { InheritedSockets } from '../net/inherited-sockets.ts';
import { FdPassing } from '../relay/native/fd-passing.ts';
import { describeBindError } from '../runtime/bind-error.ts';
import { activatedSockets, describeUnclaimed } from '../runtime/socket-activation.ts';
import { Supervisor } from '../runtime/supervisor.ts';
import { SocketTransfer } from './socket-transfer.ts';
import { fail } from './start-error.ts';

export interface OtherProcessesOptions {
  /** Where the process before and the next one are met (`--take-over`); undefined: nowhere. */
  readonly transferAt?: string | undefined;
  readonly env: Env;
  readonly emit: Emit;
  readonly listeners: Listeners;
  readonly admin: () => Admin;
  /** Has the process drain, as at a signal. */
  readonly drain: () => void;
}

export class OtherProcesses {
  readonly supervisor: Supervisor;
  readonly #options: OtherProcessesOptions;
  #inherited = new InheritedSockets([]);
  #fdPassing: FdPassing | null = null;
  #transfer: SocketTransfer | null = null;
  /** What the admin listener is called, by its config. */
  #adminAddress = '';

  constructor(options: OtherProcessesOptions) {
    this.#options = options;
    const { env, emit } = options;
    const openNotify = () => this.#openFdPassing().notify.bind(this.#openFdPassing());
    this.supervisor = new Supervisor({ env, emit, pid: process.pid, openNotify });
  }

  /** Gives the listeners the sockets that this process gets; throws a StartError where these are of no use. */
  async inherit(): Promise<void> {
    const { env, listeners, transferAt } = this.#options;
    const activated = activatedSockets(env, process.pid, () => {
      const fdPassing = this.#openFdPassing();
      return (fd) => fdPassing.addressOf(fd);
    });
    if (typeof activated === 'string') fail(activated);
    if (transferAt !== undefined) this.#transfer = this.#openTransfer(transferAt);
    const passed = (await this.#transfer?.request()) ?? [];
    if (activated.length > 0 && passed.length > 0) fail('sockets come from a supervisor and from the process before');
    this.#inherited = new InheritedSockets([...activated, ...passed]);
    listeners.inherit(this.#inherited);
  }

  /** A reload has ended, well or not. */
  onReloaded(event: GatewayEvent): void {
    this.#options.emit(event);
    this.supervisor.ready();
  }

  /** Opens the admin listener, the last one; throws a StartError where it can't be, or nobody wants a socket that was passed. */
  async openAdmin({ host, port }: AdminConfig): Promise<AddressInfo> {
    const admin = this.#options.admin();
    this.#adminAddress = `${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
    const fd = await this.#inherited.take({ host, port });
    const { left } = this.#inherited;
    if (this.#transfer !== null) for (const socket of left) closeSync(socket.fd);
    else if (left.length > 0) return fail(describeUnclaimed(left));
    const bound =
      typeof fd === 'number'
        ? admin.listenOn(fd)
        : await admin.listen(host, port).catch((error: unknown) => fail(describeBindError(error, this.#adminAddress)));
    this.#transfer?.checkWaited();
    return bound;
  }

  /** All of it serves. */
  serving(): void {
    this.#transfer?.serving();
    this.supervisor.ready();
  }

  /** A drain begins. Where another process serves already, there is nothing to wait for before the listeners are closed. */
  stopping(drain: DrainConfig): DrainConfig {
    this.supervisor.stopping();
    this.#transfer?.close();
    return this.#transfer?.taken ? { ...drain, delay: 0 } : drain;
  }

  /**
   * Leaves the sockets to those who listen on them as well, and resolves when the last connection has been accepted; null where
   * they are this process's alone.
   */
  get release(): (() => Promise<void>) | null {
    if (!this.#inherited.any && !this.#transfer?.taken) return null;
    return async () => {
      this.#options.admin().release();
      await this.#options.listeners.release();
    };
  }

  #openTransfer(path: string): SocketTransfer {
    const { emit, listeners, admin, drain } = this.#options;
    try {
      const fdPassing = this.#openFdPassing();
      const sockets = () => [...listeners.sockets(), { fd: admin().fd, address: this.#adminAddress }];
      return new SocketTransfer({ path, fdPassing, emit, sockets, onTaken: drain });
    } catch (error) {
      return fail(
        `--take-over needs the native addon: ${error instanceof Error ? error.message.split('\n')[0] : error}`,
      );
    }
  }

  #openFdPassing(): FdPassing {
    this.#fdPassing ??= new FdPassing();
    return this.#fdPassing;
  }
}
