// The readings of the admin API by path. They are pages, as `/routes` is: on loopback anyone reads them, elsewhere the token does.

import { parametersOf } from '../../http/query.ts';
import type { AdminPage } from '../answer.ts';
import { showConfig } from './config.ts';
import { listConnections, type SessionList } from './connections.ts';
import { LiveFeed, type LiveSource } from './live.ts';
import { malformed } from './paging.ts';
import { listRefusals } from './refusals.ts';
import { showStatus } from './status.ts';
import { listUpstreams } from './upstreams.ts';

export interface ReadSource extends LiveSource {
  readonly sessions: SessionList;
}

/** The pages that read, by path. */
export function readingPages({ sessions, ...source }: ReadSource): ReadonlyMap<string, AdminPage> {
  const { status, upstreams, refusals } = source;
  const live = new LiveFeed(source);
  const none = (query: string, page: () => ReturnType<AdminPage>) =>
    query === '' ? page() : malformed('it takes no parameters');
  return new Map<string, AdminPage>([
    ['/status', (query) => none(query, () => showStatus(status))],
    ['/upstreams', (query) => listUpstreams(upstreams, parametersOf(query))],
    ['/connections', (query) => listConnections(sessions, parametersOf(query))],
    ['/config', (query) => showConfig(status.snapshot(), parametersOf(query))],
    ['/refusals', (query) => listRefusals(refusals, parametersOf(query))],
    ['/live', (query) => none(query, () => live.open())],
  ]);
}
