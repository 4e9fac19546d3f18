// The listening socket of a listener's server: bound here, or inherited from another process.
import { randomBytes } from 'node:crypto';
import { lstat, rename, unlink } from 'node:fs/promises';
import net, { type ListenOptions, type Server } from 'node:net';
import { dirname, join } from 'node:path';
import { ignore } from '../base/guard.ts';
import type { ListenerConfig } from '../config/schema/schema.ts';
import { systemCode } from '../errors.ts';

/** Connections that the system holds until they are accepted; its own limit (net.core.somaxconn) is 4096, too. */
const BACKLOG = 4096;

/** Binds; rejects with the system's error. */
export async function bindServer(server: Server, { unix, port, host }: ListenerConfig): Promise<void> {
  if (unix !== undefined) return bindUnix(server, unix);
  try {
    await listen(server, { host: host ?? '::', port });
  } catch (error) {
    // `::` takes both families; without IPv6 there is one.
    if (host !== undefined || systemCode(error) !== 'EAFNOSUPPORT') throw error;
    await listen(server, { host: '0.0.0.0', port });
  }
}

/** Lets a server accept from an inherited listening socket, from now on. Throws if the socket can't be used. */
export function listenOn(server: Server, fd: number): void {
  server.listen({ fd, backlog: BACKLOG });
  // An error comes later, as an event.
  if (!server.listening) throw new Error(`descriptor ${fd} can't be listened on`);
}

/**
 * Where a unix socket is bound before it is renamed: node removes the path that it has bound once it closes the socket, and by
 * then another process may have that socket. Short, for paths of sockets have a limit of some 100 octets.
 */
export function temporaryPath(path: string): string {
  return join(dirname(path), `~${randomBytes(3).toString('base64url')}`);
}

/** Removes the file of a unix socket that is closed. */
export function removePath(path: string): void {
  unlink(path).catch(ignore);
}

async function bindUnix(server: Server, path: string): Promise<void> {
  const temporary = temporaryPath(path);
  await removeStale(path);
  await listen(server, { path: temporary });
  await rename(temporary, path);
}

function listen(server: Server, options: ListenOptions): Promise<void> {
  return new Promise((resolve, fail) => {
    const onError = (error: Error): void => fail(error);
    server.once('error', onError);
    server.listen({ ...options, backlog: BACKLOG }, () => {
      server.removeListener('error', onError);
      resolve();
    });
  });
}

/** Removes a socket file that no process listens on any more, so that bind() succeeds. Rejects if another kind of file is there. */
async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => null);
  if (found === null) return;
  const code = await new Promise<string | undefined>((resolve) => {
    const probe = net.connect({ path }, () => {
      probe.destroy();
      resolve(undefined);
    });
    probe.once('error', (error) => resolve(systemCode(error)));
  });
  if (code !== 'ECONNREFUSED' || !found.isSocket())
    throw Object.assign(new Error(`listen EADDRINUSE: ${path}`), { code: 'EADDRINUSE' });
  await unlink(path);
}
