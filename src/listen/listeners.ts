// All addresses where clients connect. A reload binds new addresses before anything changes, then gives those that stay their
// new settings, and stops listening on removed ones.
import type { Emit, Sample, Sampler } from '../events.ts';
import type { InheritedSockets } from '../net/inherited-sockets.ts';
import { describeBindError } from '../runtime/bind-error.ts';
import type { TlsMaterial } from '../runtime/tls/tls.ts';
import { addressOf, Listener, type ListenerServices, type Wanted } from './listener.ts';

interface NextPlace {
  readonly wanted: Wanted;
  readonly listener: Listener;
  readonly isNew: boolean;
  /** An inherited socket to accept from, if it was not bound here. */
  readonly fd: number | null;
}

/** A set of listeners ready to serve, one for each listener of the config. */
export interface NextListeners {
  readonly places: readonly NextPlace[];
}

export class Listeners implements Sampler {
  readonly #services: () => ListenerServices;
  readonly #emit: Emit;
  #current: readonly Listener[] = [];
  /** When the certificates in service end, by their labels as JSON. */
  #certificates: ReadonlyMap<string, number> = new Map();
  #inherited: InheritedSockets | null = null;

  /** The services are asked for with each new listener. */
  constructor(services: () => ListenerServices, emit: Emit) {
    this.#services = services;
    this.#emit = emit;
  }

  get current(): readonly Listener[] {
    return this.#current;
  }

  /** From now on new listeners take one of these sockets, if it fits, before they bind one. */
  inherit(sockets: InheritedSockets): void {
    this.#inherited = sockets;
  }

  /** The listening sockets, by the addresses that the config has for them. */
  sockets(): { fd: number; address: string }[] {
    return this.#current.map(({ fd, address }) => ({ fd, address }));
  }

  /** Where clients connect by TCP. */
  bound(): { host: string; port: number; tls: boolean }[] {
    return this.#current.flatMap((listener) => {
      const bound = listener.bound();
      return typeof bound === 'object' && bound !== null
        ? [{ host: bound.address, port: bound.port, tls: listener.secure }]
        : [];
    });
  }

  /**
   * Binds what is new; a text says why that failed, and then nothing of it is left. From an inherited socket nothing is
   * accepted yet: until swap() there is nobody to serve it.
   */
  async prepare(wanted: readonly Wanted[]): Promise<NextListeners | string> {
    const places: NextPlace[] = [];
    // Two listeners with port 0 have the same address, but are two listeners.
    const left = [...this.#current];
    for (const one of wanted) {
      const at = left.findIndex(({ address }) => address === addressOf(one.config));
      const [known] = at === -1 ? [] : left.splice(at, 1);
      const fixed = known === undefined ? null : fixedIn(known, one.tls);
      if (fixed !== null) {
        this.discard({ places });
        return fixed;
      }
      const listener = known ?? new Listener(one, this.#services());
      const fd = known === undefined ? ((await this.#inherited?.take(one.config)) ?? null) : null;
      if (typeof fd === 'string') {
        this.discard({ places });
        return `${listener.address}: ${fd}`;
      }
      try {
        if (!known && fd === null) await listener.listen();
      } catch (error) {
        this.discard({ places });
        return describeBindError(error, listener.address);
      }
      places.push({ wanted: one, listener, isNew: !known, fd });
    }
    return { places };
  }

  /** Closes what prepare() bound. */
  discard({ places }: NextListeners): void {
    for (const { listener, isNew } of places) if (isNew) listener.close();
  }

  /** Makes the next set the current one. */
  swap({ places }: NextListeners): void {
    const next = places.map(({ listener }) => listener);
    for (const listener of this.#current) if (!next.includes(listener)) listener.close();
    this.#current = next;
    const certificates = new Map<string, number>();
    for (const { wanted, listener, isNew, fd } of places) {
      if (fd !== null) listener.listenOn(fd);
      if (isNew) this.#announce(listener);
      else listener.update(wanted.config, wanted.tls);
      for (const { names, notAfterMs } of wanted.tls?.certificates ?? []) {
        this.#emit({ type: 'certificate_loaded', listener: listener.address, names, notAfterMs });
        const labels = JSON.stringify({ listener: listener.address, names: names.join(',') });
        // Where two have the same names (as of RSA and EC), the one that ends first counts.
        certificates.set(labels, Math.min(notAfterMs, certificates.get(labels) ?? notAfterMs));
      }
    }
    this.#certificates = certificates;
  }

  *sample(): Iterable<Sample> {
    for (const [labels, notAfterMs] of this.#certificates) {
      yield {
        metric: 'tls_certificate_not_after_timestamp_seconds',
        labels: JSON.parse(labels) as Record<string, string>,
        value: notAfterMs / 1000,
      };
    }
    const http2 = this.#current.map((listener) => listener.http2.count());
    yield { metric: 'http2_sessions', labels: {}, value: sumOf(http2.map(({ connections }) => connections)) };
    yield { metric: 'http2_streams', labels: {}, value: sumOf(http2.map(({ streams }) => streams)) };
  }

  /** Closes connections that are kept open between requests. */
  closeIdle(): void {
    for (const listener of this.#current) listener.closeIdle();
  }

  /** Leaves all sockets to the other processes that accept from them; resolves when the last connection has been accepted. */
  async release(): Promise<void> {
    await Promise.all(this.#current.map((listener) => listener.release()));
  }

  /** Stops listening everywhere; open connections go on. */
  close(): void {
    for (const listener of this.#current) listener.close();
  }

  /** Destroys every connection that is not an upgraded one. */
  cut(): void {
    for (const listener of this.#current) listener.cut();
  }

  #announce(listener: Listener): void {
    const bound = listener.bound();
    const data =
      typeof bound === 'object' && bound !== null
        ? { address: bound.address, port: bound.port }
        : { address: bound ?? '' };
    this.#emit({ type: 'notice', level: 'info', message: 'listening', data: { ...data, tls: listener.secure } });
  }
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}

/** The setting that a listener can't change while it is bound; null if there is none. */
function fixedIn(known: Listener, tls: TlsMaterial | null): string | null {
  if (known.secure !== (tls !== null))
    return `${known.address}: a listener begins or stops to speak TLS only at a restart`;
  if (known.clientAuth !== (tls?.clientAuth ?? null))
    return `${known.address}: whether clients need a certificate changes only at a restart`;
  return null;
}
