// The broker of this gateway: what reaches it from others goes to its connections and its sessions.
import type { Config } from '../config/schema/schema.ts';
import type { SharedServices } from '../runtime/snapshot.ts';
import type { Registry } from '../sessions/registry.ts';
import type { Broker } from '../websocket/broker/broker.ts';
import { openBroker } from '../websocket/broker/open-broker.ts';
import { fail } from './start-error.ts';

export type BrokerParts = Pick<SharedServices, 'connections' | 'emit' | 'terminator'> & { readonly sessions: Registry };

/** Throws a StartError where it can't be opened. */
export function openGatewayBroker(config: Config['broker'], parts: BrokerParts): Promise<Broker> {
  const { connections, emit, terminator, sessions } = parts;
  return openBroker(config, {
    reach: connections.get,
    revoke: (revocation, forMs) => sessions.revocations.revoke(revocation, forMs),
    emit,
    budgets: terminator.budgets,
  }).catch(fail);
}
