// The admin listener of this gateway: which operations and pages it has, put together from the parts of the app.
import { type Admin, type AdminOptions, createAdmin } from '../admin/admin.ts';
import { createApi } from '../admin/api.ts';
import { backendOperations } from '../admin/backend-operations.ts';
import { changeOperations } from '../admin/change-operations.ts';
import { createConsole, type ListeningAt } from '../admin/console.ts';
import type { Emit } from '../events.ts';
import type { Snapshot } from '../runtime/snapshot.ts';
import type { Broker } from '../websocket/broker/broker.ts';
import type { RuntimeChanges } from './changes.ts';

export interface AdminParts extends Pick<AdminOptions, 'render' | 'ready' | 'degraded'> {
  readonly snapshot: () => Snapshot;
  readonly broker: () => Broker;
  readonly changes: RuntimeChanges;
  readonly listening: () => readonly ListeningAt[];
  readonly version: string;
  readonly emit: Emit;
}

export function openAdmin({ snapshot, broker, changes, listening, version, emit, ...served }: AdminParts): Admin {
  const token = () => snapshot().config.admin.token;
  const operations = [...backendOperations(broker), ...changeOperations(changes)];
  return createAdmin({
    ...served,
    api: createApi({ token, operations, emit }),
    pages: createConsole({ snapshot, listening, version }),
    token,
    hosts: () => snapshot().config.admin.hosts,
  });
}
