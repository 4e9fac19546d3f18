// What lives as long as the process and every snapshot uses; only the broker waits for the config.
import { randomBytes } from 'node:crypto';
import { openInternalClient } from '../proxy/internal-client.ts';
import type { SharedServices } from '../runtime/snapshot.ts';
import { NameCache } from '../upstream/name-cache.ts';
import { ServerOverrides } from '../upstream/server-overrides.ts';
import { Terminator } from '../websocket/connection/accept.ts';
import { PendingDeliveries } from '../websocket/webhook/webhook-backend.ts';

type Given = Pick<SharedServices, 'emit' | 'sessions' | 'http' | 'connections'>;

/** Opens what outlives a reload, but for the broker: that depends on the config. */
export function openSharedServices(given: Given): Omit<SharedServices, 'broker'> {
  return {
    ...given,
    terminator: new Terminator(given.emit, given.connections),
    caller: openInternalClient(),
    deliveries: new PendingDeliveries(),
    lookup: new NameCache().lookup,
    overrides: new ServerOverrides(),
    stickySecret: randomBytes(32).toString('base64'),
  };
}
