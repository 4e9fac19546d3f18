// Backends to try the gateway on: a real server at every loopback address that an upstream names. They stand behind the
// gateway like any other server does; nothing of the gateway knows that they are its own.
import { createServer, type Server } from 'node:http';
import { BlockList, isIP, isIPv6 } from 'node:net';
import type { Config } from '../config/schema/schema.ts';
import type { ServerUrl } from '../config/server-url.ts';
import { systemCode } from '../errors.ts';
import type { Emit } from '../events.ts';
import { demoPage } from './page.ts';
import { webSocketPaths } from './paths.ts';
import { createRest, upgradeRequired } from './rest.ts';
import { type Sockets, serveSockets } from './sockets.ts';

export interface Demo {
  /** `host:port` of each backend. */
  readonly addresses: readonly string[];
  close(): Promise<void>;
}

/** One backend to start, and what it must serve. */
interface Plan {
  readonly host: string;
  readonly port: number;
  webSocket: boolean;
  http: boolean;
}

/** Longer than a gateway keeps a connection to us, so that it is never the one to find it closed. */
const KEEP_ALIVE_MS = 75_000;

interface Backend {
  readonly server: Server;
  readonly sockets: Sockets | undefined;
}

/**
 * Starts a backend at every loopback address of an upstream that a route uses: WebSockets where a spliced route does, HTTP
 * where an http route does. Rejects with an Error that says which address could not be bound and what to do; nothing is
 * left open then.
 */
export async function startDemo(config: Config, emit: Emit): Promise<Demo> {
  const plans = planBackends(config, emit);
  const page = demoPage(webSocketPaths(config));
  const backends: Backend[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(backends.map(closeBackend));
  };
  for (const [address, plan] of plans) {
    const backend = createBackend(plan, { address, page });
    try {
      await listen(backend.server, plan);
    } catch (error) {
      await close();
      throw new Error(describeFailure(error, address, plan.port), { cause: error });
    }
    backends.push(backend);
    const serves = [plan.webSocket ? 'WebSocket' : '', plan.http ? 'HTTP' : ''].filter(Boolean).join(' and ');
    emit({ type: 'notice', level: 'info', message: 'demo backend listening', data: { address, serves } });
  }
  return { addresses: [...plans.keys()], close };
}

/** What to start, by address. */
function planBackends(config: Config, emit: Emit): Map<string, Plan> {
  const plans = new Map<string, Plan>();
  for (const { websocket, http } of config.routes) {
    const uses = [
      ...(websocket?.mode === 'splice' ? [{ upstream: websocket.upstream, kind: 'webSocket' } as const] : []),
      ...(http === undefined ? [] : [{ upstream: http.upstream, kind: 'http' } as const]),
    ];
    for (const { upstream, kind } of uses) {
      for (const server of config.upstreams[upstream]?.servers ?? []) planServer(plans, { server, kind, emit });
    }
  }
  return plans;
}

function planServer(
  plans: Map<string, Plan>,
  { server, kind, emit }: { server: ServerUrl; kind: 'webSocket' | 'http'; emit: Emit },
): void {
  const host = loopbackOf(server);
  if (host === undefined || server.secure) {
    const why = server.secure ? 'it is reached by TLS' : 'it is not a loopback address';
    emit({ type: 'notice', level: 'info', message: `no demo backend for ${server.url}: ${why}` });
    return;
  }
  const address = `${isIPv6(host) ? `[${host}]` : host}:${server.port}`;
  const plan = plans.get(address) ?? { host, port: server.port, webSocket: false, http: false };
  plan[kind] = true;
  plans.set(address, plan);
}

/** The loopback address to bind for a server, or undefined where it is another machine's. */
function loopbackOf({ host, unix }: ServerUrl): string | undefined {
  if (unix !== undefined) return undefined;
  if (host === 'localhost') return '127.0.0.1';
  const loopback = new BlockList();
  loopback.addSubnet('127.0.0.0', 8);
  loopback.addAddress('::1', 'ipv6');
  const family = isIP(host);
  return family !== 0 && loopback.check(host, family === 6 ? 'ipv6' : 'ipv4') ? host : undefined;
}

function createBackend(plan: Plan, { address, page }: { address: string; page: string }): Backend {
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, plan.http ? createRest(page) : upgradeRequired);
  return { server, sockets: plan.webSocket ? serveSockets(server, address) : undefined };
}

function listen(server: Server, { host, port }: Plan): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function closeBackend({ server, sockets }: Backend): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    sockets?.close();
    server.closeAllConnections();
  });
}

function describeFailure(error: unknown, address: string, port: number): string {
  const code = systemCode(error);
  const why = error instanceof Error ? error.message : String(error);
  if (code !== 'EADDRINUSE') return `The demo backend cannot listen on ${address}: ${why}.`;
  return [
    `The demo backend cannot listen on ${address}: the port is taken (EADDRINUSE).`,
    `See who has it with:  ss -ltnp 'sport = :${port}'`,
    'Is it the server you want behind the gateway? Then leave out --demo.',
    'Else name another port in the upstream; for the shipped gateway.yaml: WS_PORT=9101 REST_PORT=9102 npm start',
  ].join('\n');
}
