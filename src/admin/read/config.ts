// `GET /config`: the values in force, one by one, secrets replaced, each with where it came from.

import { runInSlices } from '../../base/slices.ts';
import { type ShownValue, shownValues } from '../../config/shown-values.ts';
import type { Snapshot } from '../../runtime/snapshot.ts';
import { type AdminResponse, json } from '../answer.ts';
import { isoTime } from '../body.ts';
import { malformed, readLimit, readNamed, readWhole } from './paging.ts';

const TAKEN = ['under', 'limit', 'cursor'];

/** Answers `GET /config`; 400 where the query is malformed. */
export async function showConfig({ config, source }: Snapshot, query: URLSearchParams): Promise<AdminResponse> {
  const given = readNamed(query, TAKEN);
  if (typeof given === 'string') return malformed(given);
  const limit = readLimit(query);
  const from = readWhole(query, 'cursor', 0);
  if (typeof limit === 'string') return malformed(limit);
  if (typeof from === 'string') return malformed(from);
  const range = { under: given['under'] ?? '', from, limit };
  const { values, more } = await runInSlices(pageOf(shownValues(config, source.positions), range));
  return json(200, {
    file: source.file,
    hash: source.hash,
    loaded_at: isoTime(source.loadedAt),
    values,
    next: more ? String(from + limit) : null,
  });
}

interface Range {
  readonly under: string;
  readonly from: number;
  readonly limit: number;
}

function* pageOf(all: Iterable<ShownValue>, { under, from, limit }: Range): Generator<void, Page> {
  const values: ShownValue[] = [];
  let at = 0;
  for (const value of all) {
    yield;
    if (!isUnder(value.path, under)) continue;
    if (values.length === limit) return { values, more: true };
    if (at >= from) values.push(value);
    at++;
  }
  return { values, more: false };
}

interface Page {
  readonly values: readonly ShownValue[];
  readonly more: boolean;
}

function isUnder(path: string, under: string): boolean {
  return under === '' || path === under || (path.startsWith(under) && /^[.[]/.test(path.slice(under.length)));
}
