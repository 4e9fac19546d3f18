// A config file made ready to be served from: parsed, its routes compiled, its certificates loaded, and all problems
// reported together, each with its position. `check`, `explain`, the start and every reload go through here.
import { createHash } from 'node:crypto';
import { dirname, resolve } from 'node:path';
import { runInSlices } from '../base/slices.ts';
import { type Loaded, loadConfig } from '../config/load.ts';
import type { LocatedProblem, Problem } from '../config/problem.ts';
import type { Config, ListenerConfig } from '../config/schema/schema.ts';
import type { Env } from '../config/yaml/env.ts';
import type { Positions } from '../config/yaml/positions.ts';
import type { BackendTls } from '../net/endpoint.ts';
import { compileSteps, type RouteTable } from '../routing/table.ts';
import { http2Warnings } from './http2-version.ts';
import { namedFiles } from './named-files.ts';
import { readSecrets } from './secrets.ts';
import { loadBackendTls } from './tls/backend-tls.ts';
import { TlsConfigError } from './tls/pem.ts';
import { buildTls, type SelfSignedCache, type TlsMaterial, type TlsSources } from './tls/tls.ts';
import { digest, digestOf, type WatchedFiles } from './watch.ts';

/** A config without errors. */
export interface Prepared {
  readonly config: Config;
  readonly table: RouteTable;
  /** For each listener, in order; null where it has no TLS. */
  readonly tls: readonly (TlsMaterial | null)[];
  /** By upstream; those that have no `tls` are not in it. */
  readonly backendTls: ReadonlyMap<string, BackendTls>;
  readonly source: ConfigSource;
}

/** The file that a config was read from. */
export interface ConfigSource {
  /** As it was named. */
  readonly file: string;
  /** SHA-256 of its content, in hexadecimal, as `sha256sum` prints it. */
  readonly hash: string;
  /** Milliseconds since 1970. */
  readonly loadedAt: number;
  readonly positions: Positions;
}

export interface Preparation {
  /** Null where there is any error. */
  readonly prepared: Prepared | null;
  readonly problems: readonly LocatedProblem[];
  /** The config's file and all files that it names, as they were just before they were read. */
  readonly files: WatchedFiles;
}

/** A config as it was loaded, here or in another thread. */
export interface Loading extends Omit<Loaded, 'locate'> {
  /** Adds positions to problems found in it; called once. */
  locate(problems: readonly Problem[]): Promise<LocatedProblem[]>;
  /** No further call comes. */
  close(): void;
}

/** How a config is loaded. */
export type Load = (file: string, env: Env) => Promise<Loading>;

const loadHere: Load = async (file, env) => {
  const { locate, ...found } = await loadConfig(file, env);
  return { ...found, locate: async (problems) => problems.map(locate), close: () => {} };
};

/** Reads and checks a config file. What is wrong is in `problems`; rejects for a defect of the gateway only. */
export async function prepare(
  file: string,
  env: Env,
  selfSigned: SelfSignedCache,
  load: Load = loadHere,
): Promise<Preparation> {
  const loading = await load(file, env);
  try {
    return await prepareLoaded(loading, file, selfSigned);
  } finally {
    loading.close();
  }
}

async function prepareLoaded(loading: Loading, file: string, selfSigned: SelfSignedCache): Promise<Preparation> {
  const { config, partial, problems: found, widened, baseDir, text } = loading;
  const own: [string, string] = [resolve(file), digest(text)];
  if (partial === null) return { prepared: null, problems: found, files: new Map([own]) };
  const digests = await Promise.all(
    namedFiles(partial, baseDir).map(async (named): Promise<[string, string | null]> => [named, await digestOf(named)]),
  );
  // The valid parts of a broken config are checked too, so that one run reports everything.
  const routes = await runInSlices(compileSteps(partial, widened));
  const tls = await loadTls(partial.listeners, { baseDir, selfSigned, now: new Date() });
  const backends = await loadBackends(partial, baseDir);
  const secrets = await readSecrets(partial, baseDir);
  const ofFiles = [...tls.problems, ...backends.problems, ...secrets.problems];
  const ofNode = http2Warnings(partial.listeners, process.versions.node);
  const problems = [...found, ...(await loading.locate([...routes.problems, ...ofFiles, ...ofNode]))];
  const broken = problems.some(({ severity }) => severity === 'error');
  // Without an error `partial` is the whole config.
  const sound = {
    config: secrets.config,
    table: routes.table,
    tls: tls.materials,
    backendTls: backends.materials,
    source: {
      file,
      hash: createHash('sha256').update(text).digest('hex'),
      loadedAt: Date.now(),
      positions: loading.positions,
    },
  };
  return {
    prepared: config === null || broken ? null : sound,
    problems: problems.sort((one, other) => one.line - other.line || one.column - other.column),
    files: new Map([...digests, own]),
  };
}

/**
 * The same config with the certificates that its files hold now. A listener whose files are broken keeps what it has. What
 * issues certificates does not ask whether the config's file could be read today.
 */
export async function renewTls(prepared: Prepared, selfSigned: SelfSignedCache): Promise<Prepared> {
  const { config, source } = prepared;
  const baseDir = dirname(resolve(source.file));
  const { materials } = await loadTls(config.listeners, { baseDir, selfSigned, now: new Date() });
  return { ...prepared, tls: materials.map((material, i) => material ?? prepared.tls[i] ?? null) };
}

/** The TLS of each listener, and what is wrong with it. */
async function loadTls(
  listeners: readonly ListenerConfig[],
  sources: TlsSources,
): Promise<{ materials: (TlsMaterial | null)[]; problems: Problem[] }> {
  const materials: (TlsMaterial | null)[] = [];
  const problems: Problem[] = [];
  for (const [i, { tls }] of listeners.entries()) {
    // The check has reported where no certificate is named.
    const named = (tls?.certificates ?? tls?.self_signed ?? tls?.acme) !== undefined;
    const material = tls === undefined || !named ? null : await tryTls(tls, sources);
    const found = material instanceof TlsConfigError ? material.problems : (material?.warnings ?? []);
    problems.push(...found.map((problem) => ({ ...problem, path: ['listeners', i, 'tls', ...problem.path] })));
    materials.push(material instanceof TlsConfigError ? null : material);
  }
  return { materials, problems };
}

/** The TLS toward the servers of each upstream, and what is wrong with it. */
async function loadBackends(
  { upstreams }: Config,
  baseDir: string,
): Promise<{ materials: Map<string, BackendTls>; problems: Problem[] }> {
  const materials = new Map<string, BackendTls>();
  const problems: Problem[] = [];
  for (const [name, { tls }] of Object.entries(upstreams)) {
    if (tls === undefined) continue;
    const loaded = await loadBackendTls(tls, baseDir);
    if (Array.isArray(loaded))
      problems.push(...loaded.map((each) => ({ ...each, path: ['upstreams', name, 'tls', ...each.path] })));
    else materials.set(name, loaded as BackendTls);
  }
  return { materials, problems };
}

async function tryTls(...args: Parameters<typeof buildTls>): Promise<TlsMaterial | TlsConfigError> {
  try {
    return await buildTls(...args);
  } catch (error) {
    if (error instanceof TlsConfigError) return error;
    throw error;
  }
}
