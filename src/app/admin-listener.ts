// The admin listener of this gateway: which operations and pages it has, put together from the parts of the app.
import { type Admin, type AdminOptions, createAdmin } from '../admin/admin.ts';
import { createApi } from '../admin/api.ts';
import { backendOperations } from '../admin/backend-operations.ts';
import { changeOperations } from '../admin/change-operations.ts';
import { createConsole } from '../admin/console.ts';
import { readingPages } from '../admin/read/pages.ts';
import type { Emit } from '../events.ts';
import type { Broker } from '../websocket/broker/broker.ts';
import type { RuntimeChanges } from './changes.ts';
import type { Readings, ReadParts } from './readings.ts';

export interface AdminParts extends Pick<AdminOptions, 'render'>, Omit<ReadParts, 'changes'> {
  readonly readings: Readings;
  readonly broker: () => Broker;
  readonly changes: RuntimeChanges;
  readonly emit: Emit;
}

/** Puts the admin listener together from the parts of a running gateway; it is not bound yet. */
export function openAdmin({ readings, broker, changes, emit, render, ...parts }: AdminParts): Admin {
  const { snapshot, listening, version, ready, degraded } = parts;
  const source = readings.source({ ...parts, changes: () => changes.inForce() });
  const token = () => snapshot().config.admin.token;
  const operations = [...backendOperations(broker), ...changeOperations(changes)];
  return createAdmin({
    render,
    ready,
    degraded,
    api: createApi({ token, operations, emit }),
    pages: new Map([...createConsole({ snapshot, listening, version }), ...readingPages(source)]),
    token,
    hosts: () => snapshot().config.admin.hosts,
  });
}
