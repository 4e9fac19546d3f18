// Listening sockets that another process has opened: a supervisor (LISTEN_FDS), or the gateway that ran before. Who gets which,
// by name or by address. It opens and closes nothing.
import { lookup } from 'node:dns/promises';
import { isIP, SocketAddress } from 'node:net';

/** A listening socket that was there before this process. */
export interface InheritedSocket {
  readonly fd: number;
  /** `127.0.0.1:80`, `[::]:443`, or the path of a unix socket. */
  readonly address: string;
  /** What the supervisor calls it; null: nothing. */
  readonly name: string | null;
}

/** What wants to listen: `port`, on all addresses or on `host`, or on a unix socket. */
export interface ListenAddress {
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  readonly unix?: string | undefined;
  /** The name of the socket that it has to be, where sockets have names. */
  readonly fd_name?: string | undefined;
}

export class InheritedSockets {
  readonly #left: InheritedSocket[];
  /** Whether there were any: then other processes listen on the same sockets, or will. */
  readonly any: boolean;

  constructor(sockets: readonly InheritedSocket[]) {
    this.#left = [...sockets];
    this.any = sockets.length > 0;
  }

  /**
   * The descriptor for this place, which is the caller's from now on; null where it has to be bound. A text says that the one
   * it has to be was not passed.
   */
  async take(place: ListenAddress): Promise<number | null | string> {
    const { fd_name: name } = place;
    if (name !== undefined && this.any) {
      const named = this.#takeWhere((socket) => socket.name === name);
      return named ?? `no descriptor that was passed is named "${name}"${this.#names()}`;
    }
    const addresses = this.#left.length === 0 ? [] : await addressesOf(place);
    return this.#takeWhere(({ address }) => addresses.includes(address));
  }

  /** Those that nobody has taken. */
  get left(): readonly InheritedSocket[] {
    return this.#left;
  }

  #takeWhere(fits: (socket: InheritedSocket) => boolean): number | null {
    const at = this.#left.findIndex(fits);
    return at === -1 ? null : (this.#left.splice(at, 1)[0]?.fd ?? null);
  }

  #names(): string {
    const names = this.#left.map(({ name }) => name ?? '');
    return names.length === 0 ? '' : `; those left: ${names.join(', ')}`;
  }
}

/** Every form in which the address of this place may have been bound. */
async function addressesOf({ host, port = 0, unix }: ListenAddress): Promise<string[]> {
  if (unix !== undefined) return [unix];
  if (host === undefined) return [`[::]:${port}`, `0.0.0.0:${port}`];
  if (isIP(host) !== 0) return [formatAddress(host, port)];
  // A name that leads nowhere is found out when it is bound.
  const found = await lookup(host, { all: true }).catch(() => []);
  // A gateway that ran before has it as its config has it.
  return [`${host}:${port}`, ...found.map(({ address }) => formatAddress(address, port))];
}

function formatAddress(host: string, port: number): string {
  if (isIP(host) !== 6) return `${host}:${port}`;
  // As the system writes it, whatever the config has left out or put in.
  const { address } = new SocketAddress({ address: host, family: 'ipv6', port });
  return `[${address}]:${port}`;
}
