// The composition root: makes every part, wires them, and turns signals into reload and drain. It decides nothing.
import type { Admin } from './admin/admin.ts';
import { openAdmin } from './app/admin-listener.ts';
import { Certificates, wantedListeners } from './app/certificates.ts';
import { RuntimeChanges } from './app/changes.ts';
import { drainGateway } from './app/drain-gateway.ts';
import { openEmit } from './app/emit.ts';
import { openGatewayBroker } from './app/open-broker.ts';
import { OtherProcesses, type OtherProcessesOptions } from './app/other-processes.ts';
import { Readings } from './app/readings.ts';
import { openCarrier, type RelayCarrier } from './app/relay-carrier.ts';
import { openSharedServices } from './app/shared-services.ts';
import { fail, StartError, sampled, served } from './app/start-error.ts';
import { startTrial, type Trial } from './app/trial.ts';
import { readFdLimit } from './base/fd-limit.ts';
import type { ReloadOutcome } from './base/reload-outcome.ts';
import { formatProblem } from './config/problem.ts';
import type { Config } from './config/schema/schema.ts';
import type { Sampler } from './events.ts';
import { LimitsRuntime } from './limits/limits-runtime.ts';
import { FdGuard } from './listen/fd-limit.ts';
import { Listeners, type NextListeners } from './listen/listeners.ts';
import { createLog } from './observe/log.ts';
import { createMetrics } from './observe/metrics.ts';
import { Spans } from './observe/spans.ts';
import { AccessPhase } from './pipeline/access.ts';
import { Gateway } from './pipeline/requests.ts';
import { HttpEngines } from './proxy/http-engines.ts';
import { loadInWorker } from './runtime/load-in-worker.ts';
import { type Prepared, prepare } from './runtime/prepare.ts';
import { type Built, Reloader } from './runtime/reload.ts';
import { ReloadSessions } from './runtime/reload-sessions.ts';
import { restartNeeded } from './runtime/restart.ts';
import { buildSnapshot, preparePools, type SharedServices, type Snapshot, startPools } from './runtime/snapshot.ts';
import { type FileWatch, watchFiles } from './runtime/watch.ts';
import { Registry } from './sessions/registry.ts';
import type { Broker } from './websocket/broker/broker.ts';
import { Connections } from './websocket/connections.ts';

export interface AppOptions extends Pick<OtherProcessesOptions, 'env' | 'transferAt'> {
  readonly file: string;
  readonly version: string;
  /** Whether to start the built-in backends and print what to try. */
  readonly demo: boolean;
  /** Prints a line for a person; log lines go to standard output. */
  readonly print: (line: string) => void;
  /** Whether a person waits at a terminal. */
  readonly interactive: boolean;
  /** Makes the process drain, as at a signal. */
  readonly drain: () => void;
}

/** Milliseconds at the end for webhook backends to take the last events. */
const FAREWELL_MS = 5000;

interface Next {
  readonly prepared: Prepared;
  readonly snapshot: Snapshot;
  readonly listeners: NextListeners;
}

export class App {
  readonly #options: AppOptions;
  readonly #certificates: Certificates;
  readonly #sessions = new Registry((route) => this.#snapshot?.authenticators.recheckOf(route) ?? null);
  readonly #log = createLog({ level: 'info', access: true, format: 'auto' });
  readonly #metrics;
  readonly #shared: Omit<SharedServices, 'broker'>;
  readonly #connections = new Connections();
  readonly #gateway: Gateway;
  readonly #listeners: Listeners;
  readonly #others: OtherProcesses;
  readonly #admin: Admin;
  readonly #changes: RuntimeChanges;
  readonly #reloadSessions = new ReloadSessions();
  readonly #reloader: Reloader<Next>;
  readonly #http = new HttpEngines();
  readonly #descriptors = readFdLimit();
  readonly #limits = new LimitsRuntime();
  readonly #spans = new Spans();
  readonly #forgetDefects: () => void;
  #snapshot: Snapshot | null = null;
  /** What the process was started with: of some of it a reload changes nothing. */
  #started: Config | null = null;
  /** Once the config has said which engine. */
  #relay: RelayCarrier | null = null;
  #broker: Broker | null = null;
  #ready: boolean | string = false;
  #watch: FileWatch | null = null;
  #trial: Trial | null = null;

  constructor(options: AppOptions) {
    this.#options = options;
    const samplers: Sampler[] = [];
    const { version } = options;
    this.#metrics = createMetrics({ version, samplers, expected: () => this.#snapshot?.expected ?? [] });
    const readings = new Readings();
    const told = { metrics: this.#metrics, log: this.#log, limits: this.#limits, spans: this.#spans, readings };
    const { emit, close } = openEmit(told);
    this.#forgetDefects = close;
    this.#certificates = new Certificates(emit, version);
    const [sessions, http, connections] = [this.#sessions, this.#http, this.#connections];
    this.#shared = openSharedServices({ emit, sessions, http, connections });
    this.#gateway = new Gateway({
      snapshot: () => this.#current(),
      access: new AccessPhase(this.#limits.admission),
      splice: (...args) => this.#carrier().splice(...args),
      watchClient: (connection, onClosed) => this.#carrier().engine.acceptor?.watch(connection, onClosed) ?? null,
      challengeText: this.#certificates.challengeText,
    });
    const [gateway, { challenges }] = [this.#gateway, this.#certificates];
    const fds = new FdGuard(() => this.#listeners.closeIdle());
    const services = () => ({ gateway, acceptor: this.#carrier().engine.acceptor, emit, fds, challenges });
    this.#listeners = new Listeners(services, emit);
    this.#others = new OtherProcesses({ ...options, emit, listeners: this.#listeners, admin: () => this.#admin });
    const pools = { sample: () => [...this.#current().pools.values()].flatMap((pool) => [...pool.sample()]) };
    samplers.push(
      this.#sessions,
      this.#shared.terminator,
      this.#gateway,
      this.#listeners,
      this.#shared.deliveries,
      this.#limits,
      this.#certificates.ordered,
    );
    samplers.push(pools, ...[() => this.#relay?.engine, () => this.#broker].map(sampled));
    this.#changes = this.#openChanges();
    this.#admin = openAdmin({
      render: this.#metrics.render,
      ready: () => this.#ready,
      degraded: () => [this.#broker?.degraded(), this.#limits.degraded()].filter(Boolean).join('; ') || null,
      snapshot: () => this.#current(),
      broker: () => served(this.#broker),
      changes: this.#changes,
      listening: () => this.#listeners.bound(),
      ...{ version, emit, readings, samplers, sessions: this.#sessions },
      descriptors: this.#descriptors,
      requests: () => this.#gateway.underWay(),
      relay: () => this.#carrier().engine,
      lastReload: () => this.#reloader.last,
      ordered: () => this.#certificates.ordered.states(),
    });
    this.#reloader = new Reloader({
      build: () => this.#build(),
      stale: () => this.#certificates.stale(),
      swap: (next) => this.#swap(next),
      renew: () => this.#certificates.renew(this.#listeners),
      discard: (next) => this.#listeners.discard(next.listeners),
      emit: (reloaded) => this.#others.onReloaded(reloaded),
    });
  }

  /** Starts serving. Rejects with a StartError that says what is wrong; nothing is left open then. */
  async start(): Promise<void> {
    const { file, env, demo, print, version } = this.#options;
    const preparation = await prepare(file, env, this.#certificates.selfSigned);
    const { prepared, problems } = preparation;
    for (const problem of problems) print(formatProblem(problem));
    if (prepared === null) throw new StartError(`${file} has errors; nothing was started`);
    const { config } = prepared;
    this.#log.configure(config.log);
    await this.#spans.open(version);
    this.#relay = openCarrier(config.relay, this.#shared.emit);
    if (demo) this.#trial = await startTrial(prepared, this.#shared.emit).catch(fail);
    this.#broker = await openGatewayBroker(config.broker, { ...this.#shared, sessions: this.#sessions });
    await this.#limits.open(config, this.#shared.emit).catch(fail);
    await this.#others.inherit();
    const built = await this.#prepareNext(prepared);
    if (typeof built === 'string') throw new StartError(built);
    const admin = await this.#others.openAdmin(config.admin);
    this.#broker.start();
    this.#swap(built);
    this.#limits.start();
    this.#ready = true;
    const { emit } = this.#shared;
    const files = this.#certificates.watched(preparation);
    this.#watch = await watchFiles({ files, onChange: () => void this.#reloader.request('file'), emit });
    const data = {
      version,
      node: process.version,
      ...{ relay: this.#carrier().engine.name, http: this.#current().services.http.name },
      admin: `${admin.address}:${admin.port}`,
      ...(this.#descriptors === null ? {} : { descriptors: this.#descriptors }),
    };
    emit({ type: 'notice', level: 'info', message: 'started', data });
    this.#others.serving();
    if (demo) await this.#log.flush();
    for (const line of this.#trial?.hints(this.#listeners.bound(), admin) ?? []) print(line);
  }

  /** Whether it serves. */
  get started(): boolean {
    return this.#watch !== null;
  }

  /** Reads the config again and swaps it in; a config with errors is reported and changes nothing. */
  async reload(): Promise<void> {
    await this.#reloader.request('signal');
  }

  /** Drains as configured; resolves when nothing is left. */
  async stop(): Promise<void> {
    const drain = this.#others.stopping(this.#current().config.drain);
    this.#watch?.close();
    await this.#reloader.close();
    this.#reloadSessions.stop();
    this.#changes.stop();
    await this.#certificates.close();
    await drainGateway({
      config: drain,
      emit: this.#shared.emit,
      gateway: this.#gateway,
      listeners: this.#listeners,
      sessions: this.#sessions,
      endless: this.#http.endless,
      release: this.#others.release,
      print: this.#options.interactive ? this.#options.print : null,
      notReady: () => {
        this.#ready = 'draining';
      },
    });
    // Webhook backends still get the events of the connections that have just ended.
    if (!(await this.#shared.deliveries.settled(FAREWELL_MS))) this.#warn('webhook events were dropped at the end');
    for (const pool of this.#current().pools.values()) pool.stop('for good');
    await this.#admin.close();
    await this.#broker?.close();
    this.#limits.close();
    this.#http.close();
    this.#shared.caller.close();
    await this.#trial?.close();
    this.#others.supervisor.close();
    this.#forgetDefects();
    await this.#log.flush();
  }

  #current(): Snapshot {
    return served(this.#snapshot);
  }

  #carrier() {
    return served(this.#relay);
  }

  async #build(): Promise<Built<Next>> {
    const { file, env } = this.#options;
    this.#others.supervisor.reloading();
    const preparation = await prepare(file, env, this.#certificates.selfSigned, loadInWorker);
    this.#watch?.follow(this.#certificates.watched(preparation));
    if (preparation.prepared === null) return { ok: false, problems: preparation.problems.map(formatProblem) };
    const next = await this.#prepareNext(preparation.prepared);
    return typeof next === 'string' ? { ok: false, problems: [next] } : { ok: true, next };
  }

  async #prepareNext(written: Prepared): Promise<Next | string> {
    const prepared = this.#trial?.adapt(written) ?? written;
    const listeners = await this.#listeners.prepare(wantedListeners(prepared));
    if (typeof listeners === 'string') return listeners;
    const shared = { ...this.#shared, broker: served(this.#broker) };
    const snapshot = await preparePools(buildSnapshot(prepared, shared, this.#snapshot), this.#snapshot);
    return { prepared, listeners, snapshot };
  }

  #swap({ prepared, snapshot, listeners }: Next): ReloadOutcome {
    const { config } = prepared;
    startPools(snapshot, this.#snapshot);
    this.#snapshot = snapshot;
    this.#listeners.swap(listeners);
    this.#certificates.configure(prepared);
    this.#limits.configure(config, snapshot.services.limits);
    this.#log.configure({ ...config.log, level: this.#changes.logLevel(config.log.level) });
    this.#started ??= config;
    const waiting = restartNeeded(this.#started, config);
    for (const name of waiting) this.#warn(`a change of ${name} takes effect at a restart`);
    this.#shared.terminator.budgets.configure(config.limits.memory);
    return { ...this.#reloadSessions.apply(this.#sessions.sessions(), snapshot), restartNeeded: waiting };
  }

  #openChanges(): RuntimeChanges {
    return new RuntimeChanges({
      pools: () => this.#current().pools,
      overrides: this.#shared.overrides,
      sessions: this.#sessions,
      emit: this.#shared.emit,
      setLogLevel: (level) => this.#log.configure({ ...this.#current().config.log, level }),
      configuredLogLevel: () => this.#current().config.log.level,
      reload: () => this.#reloader.request('api'),
      drain: () => {
        const { delay, grace } = this.#current().config.drain;
        this.#options.drain();
        return { sessions: this.#sessions.size, requests: this.#gateway.underWay(), withinMs: delay + grace };
      },
    });
  }

  #warn(message: string): void {
    this.#shared.emit({ type: 'notice', level: 'warn', message });
  }
}
