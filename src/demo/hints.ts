// The lines that `npm start` prints: what to try, on the addresses that are bound. Text only.
import type { Config, RouteConfig } from '../config/schema/schema.ts';
import { httpPaths, samplePath, webSocketPaths } from './paths.ts';

export interface BoundListener {
  /** The address as it is bound, such as `::`, without brackets. */
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
}

export interface Bound {
  /** TCP listeners; a unix socket is nothing to try from a browser. */
  readonly listeners: readonly BoundListener[];
  readonly admin: { readonly address: string; readonly port: number };
  /** The config file, as the user named it. */
  readonly configFile: string;
  /** How one calls this program, such as `npx upgate`. */
  readonly program: string;
}

/** A command, and what it shows. */
type Hint = readonly [command: string, what: string];

/** Lines for a terminal, without a newline at their ends. */
export function demoHints(config: Config, bound: Bound): string[] {
  const plain = bound.listeners.find(({ tls }) => !tls);
  const secure = bound.listeners.find(({ tls }) => tls);
  const any = plain ?? secure;
  if (any === undefined) return [];
  const pages = httpPaths(config);
  const page = pages.find((path) => path === '/') ?? pages[0];
  const sockets = webSocketPaths(config);
  const chat = sockets.find((path) => path.endsWith('/chat')) ?? sockets[0];
  const hints: Hint[] = [];
  if (page !== undefined) hints.push(...httpHints(page, plain, secure));
  if (chat !== undefined) hints.push(...webSocketHints(chat, plain, secure));
  const admin = authority({ host: bound.admin.address, port: bound.admin.port }, 80);
  const room = config.routes.find(({ websocket }) => websocket?.mode === 'terminate' && websocket.handler === 'rooms');
  if (room !== undefined) hints.push(...roomHints(room, any));
  hints.push([`curl http://${admin}/metrics`, 'what Prometheus scrapes']);
  if (chat !== undefined) {
    hints.push([
      `${bound.program} explain -c ${bound.configFile} ${url('ws', any, chat)} --version 7`,
      'what a handshake would get, and why',
    ]);
  }
  const lines = [
    'The demo backends are up. Try:',
    '',
    ...hints.flatMap(([command, what]) => [`  # ${what}`, `  ${command}`]),
  ];
  lines.push('', 'In a browser:', '');
  if (page !== undefined) lines.push('  # a page of the REST backend, with a WebSocket', `  ${url('http', any, page)}`);
  lines.push(
    '  # the status page, and a console that says why one is refused',
    `  http://${admin}/`,
    '',
    'Ctrl-C stops it. A change of the config file is loaded when it is saved.',
  );
  return lines;
}

function httpHints(path: string, plain: BoundListener | undefined, secure: BoundListener | undefined): Hint[] {
  const hints: Hint[] = [];
  if (plain) hints.push([`curl ${url('http', plain, path)}`, 'plain HTTP, forwarded to the REST backend']);
  if (secure) hints.push([`curl -k ${url('http', secure, path)}`, 'the same over TLS; -k takes any certificate']);
  return hints;
}

function webSocketHints(path: string, plain: BoundListener | undefined, secure: BoundListener | undefined): Hint[] {
  const hints: Hint[] = [];
  if (plain)
    hints.push([`npx wscat -c ${url('ws', plain, path)}`, 'a WebSocket; run it twice, and each sees the other']);
  if (secure) hints.push([`npx wscat -n -c ${url('ws', secure, path)}`, 'the same over TLS; -n takes any certificate']);
  return hints;
}

/** Two people of one room; the pattern's places are filled with names. */
function roomHints({ match }: RouteConfig, listener: BoundListener): Hint[] {
  const [path = ''] = match.path;
  const as = (user: string): string => samplePath(path, { room: 'tea', user });
  const [alice, bob] = [as('alice'), as('bob')];
  if (alice === bob) return [];
  return [
    [`npx wscat -c ${url('ws', listener, alice)}`, 'a chat room of the gateway itself'],
    [`npx wscat -c ${url('ws', listener, bob)}`, 'and somebody else in it'],
  ];
}

/** `http` becomes `https`, and `ws` `wss`, on a TLS listener. */
function url(scheme: 'http' | 'ws', listener: BoundListener, path: string): string {
  return `${scheme}${listener.tls ? 's' : ''}://${authority(listener, listener.tls ? 443 : 80)}${path}`;
}

function authority({ host, port }: { host: string; port: number }, defaultPort: number): string {
  const name = ['::', '0.0.0.0', '::1', '127.0.0.1'].includes(host) ? 'localhost' : host;
  return `${name.includes(':') ? `[${name}]` : name}${port === defaultPort ? '' : `:${port}`}`;
}
