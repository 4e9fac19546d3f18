// Ports for the demo on a machine where 80 and 443 are taken or privileged. It looks before the gateway binds, and
// changes nothing else of the config.
import { createServer } from 'node:net';
import type { Config } from '../config/schema/schema.ts';
import { systemCode } from '../errors.ts';
import type { Emit } from '../events.ts';

/** What stands in for a port. */
const INSTEAD: Readonly<Record<number, number>> = { 80: 8080, 443: 8443 };
const WHY: Readonly<Record<string, string>> = { EADDRINUSE: 'is taken', EACCES: 'needs root or CAP_NET_BIND_SERVICE' };

/** Gives a config its listeners on other ports. */
export type MovePorts = (config: Config) => Config;

/** Finds out which of a config's ports can't be had, and says so. */
export async function findPorts(config: Config, emit: Emit): Promise<MovePorts> {
  const moved = new Map<number, number>();
  for (const { host, port } of config.listeners) {
    const instead = port === undefined ? undefined : INSTEAD[port];
    if (port === undefined || instead === undefined) continue;
    const why = WHY[(await bindFault(host, port)) ?? ''];
    if (why === undefined) continue;
    moved.set(port, instead);
    emit({ type: 'notice', level: 'warn', message: `port ${port} ${why}: the demo takes ${instead}` });
  }
  return (next) => ({
    ...next,
    listeners: next.listeners.map((listener) => ({ ...listener, ...movedTo(moved.get(listener.port ?? 0)) })),
  });
}

function movedTo(port: number | undefined): { port?: number } {
  return port === undefined ? {} : { port };
}

/** The code of the error with which a port can't be bound; null: it can. */
function bindFault(host: string | undefined, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error) => resolve(systemCode(error) ?? ''));
    server.listen({ port, ...(host === undefined ? {} : { host }) }, () => server.close(() => resolve(null)));
  });
}
