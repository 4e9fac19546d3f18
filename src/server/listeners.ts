// All addresses where clients connect, as one set that a reload moves to the next config: new addresses are bound before
// anything changes, those that stay take their new settings, those that are gone stop listening.
import type { ListenerConfig } from '../config/schema.ts';
import type { Emit } from '../events.ts';
import { describeBindError } from '../runtime/bind-error.ts';
import type { TlsMaterial } from '../runtime/tls.ts';
import type { Gateway } from './gateway.ts';
import { addressOf, Listener } from './listener.ts';

/** A listener of the config with its TLS. */
export interface Wanted {
  readonly config: ListenerConfig;
  readonly tls: TlsMaterial | null;
}

/** A set of listeners ready to take over. */
export interface NextListeners {
  readonly wanted: readonly Wanted[];
  /** Bound already, for addresses that are new. */
  readonly added: readonly Listener[];
}

export class Listeners {
  readonly #gateway: Gateway;
  readonly #emit: Emit;
  #current: readonly Listener[] = [];
  /** Addresses as configured that `#current` was bound for, in step with it: port 0 is bound once. */
  constructor(gateway: Gateway, emit: Emit) {
    this.#gateway = gateway;
    this.#emit = emit;
  }

  get current(): readonly Listener[] {
    return this.#current;
  }

  /** Binds what is new; a text says why that failed, and then nothing of it is left. */
  async prepare(wanted: readonly Wanted[]): Promise<NextListeners | string> {
    const added: Listener[] = [];
    for (const { config, tls } of wanted) {
      const known = this.#find(config);
      if (known) {
        if (known.secure === (tls !== null)) continue;
        this.discard({ wanted, added });
        return `${known.address}: a listener begins or stops to speak TLS only at a restart`;
      }
      const listener = new Listener(config, tls, this.#gateway, this.#emit);
      try {
        await listener.listen();
      } catch (error) {
        this.discard({ wanted, added });
        return describeBindError(error, listener.address);
      }
      added.push(listener);
    }
    return { wanted, added };
  }

  /** Gives back what prepare() bound. */
  discard({ added }: NextListeners): void {
    for (const listener of added) listener.close();
  }

  /** Makes the next set the current one. */
  swap({ wanted, added }: NextListeners): void {
    const next = wanted.map(({ config, tls }) => {
      const kept = this.#find(config);
      kept?.update(config, tls);
      return kept ?? added.find(({ address }) => address === addressOf(config));
    });
    for (const listener of this.#current) if (!next.includes(listener)) listener.close();
    this.#current = next.filter((listener) => listener !== undefined);
    for (const listener of added) this.#announce(listener);
    for (const [i, { tls }] of wanted.entries()) this.#tellCertificates(this.#current[i]?.address ?? '', tls);
  }

  /** Stops listening everywhere; open connections go on. */
  close(): void {
    for (const listener of this.#current) listener.close();
  }

  /** Destroys every connection that is not an upgraded one. */
  cut(): void {
    for (const listener of this.#current) listener.cut();
  }

  #find(config: ListenerConfig): Listener | undefined {
    return this.#current.find(({ address }) => address === addressOf(config));
  }

  #announce(listener: Listener): void {
    const bound = listener.bound();
    const data =
      typeof bound === 'object' && bound !== null
        ? { address: bound.address, port: bound.port }
        : { address: bound ?? '' };
    this.#emit({ type: 'notice', level: 'info', message: 'listening', data: { ...data, tls: listener.secure } });
  }

  #tellCertificates(listener: string, tls: TlsMaterial | null): void {
    for (const { names, notAfterMs } of tls?.certificates ?? []) {
      this.#emit({ type: 'certificate_loaded', listener, names, notAfterMs });
    }
  }
}
