// What this process has to do with others: the supervisor, which may have opened its sockets and is told how it is.
import type { AddressInfo } from 'node:net';
import type { Admin } from '../admin/admin.ts';
import type { AdminConfig } from '../config/schema/schema.ts';
import type { Env } from '../config/yaml/env.ts';
import type { Emit, GatewayEvent } from '../events.ts';
import type { Listeners } from '../listen/listeners.ts';
import { InheritedSockets } from '../net/inherited-sockets.ts';
import { FdPassing } from '../relay/native/fd-passing.ts';
import { describeBindError } from '../runtime/bind-error.ts';
import { activatedSockets, describeUnclaimed } from '../runtime/socket-activation.ts';
import { Supervisor } from '../runtime/supervisor.ts';
import { fail } from './start-error.ts';

export interface OtherProcessesOptions {
  readonly env: Env;
  readonly emit: Emit;
  readonly listeners: Listeners;
  readonly admin: () => Admin;
}

export class OtherProcesses {
  readonly supervisor: Supervisor;
  readonly #options: OtherProcessesOptions;
  #inherited = new InheritedSockets([]);
  #fdPassing: FdPassing | null = null;

  constructor(options: OtherProcessesOptions) {
    this.#options = options;
    const { env, emit } = options;
    const openNotify = () => this.#openFdPassing().notify.bind(this.#openFdPassing());
    this.supervisor = new Supervisor({ env, emit, pid: process.pid, openNotify });
  }

  /** Gives the listeners the sockets that were passed to this process; throws a StartError where these are of no use. */
  inherit(): void {
    const { env, listeners } = this.#options;
    const sockets = activatedSockets(env, process.pid, () => {
      const fdPassing = this.#openFdPassing();
      return (fd) => fdPassing.addressOf(fd);
    });
    if (typeof sockets === 'string') fail(sockets);
    this.#inherited = new InheritedSockets(sockets);
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
    const fd = await this.#inherited.take({ host, port });
    const { left } = this.#inherited;
    if (left.length > 0) return fail(describeUnclaimed(left));
    if (typeof fd === 'number') return admin.listenOn(fd);
    return admin.listen(host, port).catch((error: unknown) => fail(describeBindError(error, `${host}:${port}`)));
  }

  /**
   * Leaves the sockets to those who listen on them as well, and resolves when the last connection has been accepted; null where
   * they are this process's alone.
   */
  get release(): (() => Promise<void>) | null {
    if (!this.#inherited.any) return null;
    return async () => {
      this.#options.admin().release();
      await this.#options.listeners.release();
    };
  }

  #openFdPassing(): FdPassing {
    this.#fdPassing ??= new FdPassing();
    return this.#fdPassing;
  }
}
