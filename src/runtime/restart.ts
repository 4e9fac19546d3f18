// What a reload can't change: parts that are made at the start and live as long as the process.
import type { Config, ListenerConfig } from '../config/schema/schema.ts';
import { sharedUrl } from '../limits/redis-rates.ts';

/** The settings that differ from those that the process was started with, and take effect at a restart; by their names. */
export function restartNeeded(started: Config, now: Config): string[] {
  const changed = {
    'admin.host': started.admin.host !== now.admin.host,
    'admin.port': started.admin.port !== now.admin.port,
    broker: started.broker !== now.broker,
    'http.server': started.http.server !== now.http.server,
    'limits.shared': started.broker === now.broker && sharedUrl(started) !== sharedUrl(now),
    'relay.engine': started.relay.engine !== now.relay.engine,
    'relay.threads': started.relay.threads !== now.relay.threads,
    'listeners[].timeouts.tls_handshake': now.listeners.some((listener) => waitsLonger(started.listeners, listener)),
    'listeners[].tls.engine': now.listeners.some((listener) => leavesNode(started.listeners, listener)),
  };
  return Object.entries(changed).flatMap(([name, differs]) => (differs ? [name] : []));
}

/** Whether a listener that there was at the start has another time for the TLS handshake now. */
function waitsLonger(started: readonly ListenerConfig[], now: ListenerConfig): boolean {
  const same = sameAddress(started, now);
  return same !== undefined && same.timeouts.tls_handshake !== now.timeouts.tls_handshake;
}

/** Whether node did its TLS at the start, and the threads are to do it now: node accepts its connections for good. */
function leavesNode(started: readonly ListenerConfig[], now: ListenerConfig): boolean {
  return sameAddress(started, now)?.tls?.engine === 'node' && now.tls?.engine !== 'node';
}

function sameAddress(among: readonly ListenerConfig[], of: ListenerConfig): ListenerConfig | undefined {
  return among.find(({ host, port, unix }) => host === of.host && port === of.port && unix === of.unix);
}
