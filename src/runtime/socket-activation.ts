// The listening sockets that a supervisor has passed, as sd_listen_fds(3) says: descriptors from 3 on, LISTEN_FDS of them, for
// the process LISTEN_PID, with names in LISTEN_FDNAMES.
import type { Env } from '../config/yaml/env.ts';
import type { InheritedSocket } from '../net/inherited-sockets.ts';

/** SD_LISTEN_FDS_START */
const FIRST_FD = 3;

/** Asks what a descriptor listens on; throws the system's error. */
export type AddressOf = (fd: number) => string;

/** What there is to inherit; a text says why it can't be used. */
export function activatedSockets(
  env: Env,
  pid: number,
  openAddressOf: () => AddressOf,
): readonly InheritedSocket[] | string {
  const { LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES } = env;
  if (LISTEN_FDS === undefined || LISTEN_FDS === '') return [];
  // For another process, whose child this one is: that is how the protocol tells.
  if (LISTEN_PID !== String(pid)) return [];
  if (!/^[1-9][0-9]{0,2}$/.test(LISTEN_FDS)) return `LISTEN_FDS="${LISTEN_FDS}" is no number of descriptors`;
  const names = LISTEN_FDNAMES === undefined || LISTEN_FDNAMES === '' ? [] : LISTEN_FDNAMES.split(':');
  try {
    const addressOf = openAddressOf();
    return Array.from({ length: Number(LISTEN_FDS) }, (_, i) => ({
      fd: FIRST_FD + i,
      address: addressAt(FIRST_FD + i, addressOf),
      name: names[i] ?? null,
    }));
  } catch (error) {
    return `LISTEN_FDS=${LISTEN_FDS}: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`;
  }
}

function addressAt(fd: number, addressOf: AddressOf): string {
  try {
    return addressOf(fd);
  } catch (error) {
    throw new Error(`descriptor ${fd} is no listening stream socket (${(error as Error).message})`);
  }
}

/** What is wrong where nobody wants these. */
export function describeUnclaimed(left: readonly InheritedSocket[]): string {
  const lines = left.map(
    ({ fd, address, name }) => `  descriptor ${fd}${name === null ? '' : ` "${name}"`}: ${address}`,
  );
  return [
    'These sockets were passed (LISTEN_FDS), and no listener of the config has their address or name:',
    ...lines,
    'Give the config such a listener (or `admin`), or take the socket out of the socket unit. A listener without `host` is `[::]`',
    'or `0.0.0.0`; `fd_name` asks for a socket by its FileDescriptorName=.',
  ].join('\n');
}
