// A config file made ready to be served from: parsed, its routes compiled, its certificates loaded, and everything that is
// wrong at once and at its place. `check`, `explain`, the start and every reload go through here.
import type { Env } from '../config/env.ts';
import { loadConfig } from '../config/load.ts';
import type { PlacedProblem, Problem } from '../config/problem.ts';
import type { Config } from '../config/schema.ts';
import { compileTable, type RouteTable } from '../routing/table.ts';
import { buildTls, type SelfSignedCache, TlsConfigError, type TlsMaterial } from './tls.ts';

/** A config without errors. */
export interface Prepared {
  readonly config: Config;
  readonly table: RouteTable;
  /** For each listener, in order; null where it speaks no TLS. */
  readonly tls: readonly (TlsMaterial | null)[];
}

export interface Preparation {
  /** Null where there is any error. */
  readonly prepared: Prepared | null;
  readonly problems: readonly PlacedProblem[];
}

/** Reads and checks a config file. What is wrong is in `problems`; rejects for a defect of the gateway only. */
export async function prepare(file: string, env: Env, selfSigned: SelfSignedCache): Promise<Preparation> {
  const loaded = await loadConfig(file, env);
  const { partial } = loaded;
  if (partial === null) return { prepared: null, problems: loaded.problems };
  const { table, problems } = compileTable(partial);
  const all = [...loaded.problems, ...problems.map(loaded.place)];
  if (loaded.config === null || problems.some(({ severity }) => severity === 'error')) {
    return { prepared: null, problems: inOrder(all) };
  }
  const tls: (TlsMaterial | null)[] = [];
  const ofTls: Problem[] = [];
  for (const [i, listener] of loaded.config.listeners.entries()) {
    const material =
      listener.tls === undefined
        ? null
        : await tryTls(listener.tls, { baseDir: loaded.baseDir, selfSigned, now: new Date() });
    tls.push(material instanceof TlsConfigError ? null : material);
    const found = material instanceof TlsConfigError ? material.problems : (material?.warnings ?? []);
    ofTls.push(...found.map((problem) => ({ ...problem, path: ['listeners', i, 'tls', ...problem.path] })));
  }
  const broken = ofTls.some(({ severity }) => severity === 'error');
  return {
    prepared: broken ? null : { config: loaded.config, table, tls },
    problems: inOrder([...all, ...ofTls.map(loaded.place)]),
  };
}

async function tryTls(...args: Parameters<typeof buildTls>): Promise<TlsMaterial | TlsConfigError> {
  try {
    return await buildTls(...args);
  } catch (error) {
    if (error instanceof TlsConfigError) return error;
    throw error;
  }
}

function inOrder(problems: readonly PlacedProblem[]): PlacedProblem[] {
  return [...problems].sort((one, other) => one.line - other.line || one.column - other.column);
}
