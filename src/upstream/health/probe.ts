// One check of one server: connect, or ask by GET, or open a real WebSocket and close it.
import { randomBytes } from 'node:crypto';
import { type IncomingMessage, request } from 'node:http';
import type { Socket } from 'node:net';
import { checkUpgradeResponse } from '../../handshake/accept.ts';
import { formatFields } from '../../http/problem.ts';
import { ClientClosed } from '../../net/client-closed.ts';
import { dial, ownPreamble } from '../../net/dial.ts';
import type { Endpoint } from '../../net/endpoint.ts';
import { requestUpgrade } from '../handshake/upgrade.ts';
import type { CheckConfig } from './checker.ts';

/** As much of a body is looked through. */
const MAX_BODY = 64 * 1024;
const AGENT = 'upgate-health-check';

/** Checks; resolves with why it failed, or null where it passed. Ends early when `stopped` fires. */
export async function probe(server: Endpoint, config: CheckConfig, stopped: AbortSignal): Promise<string | null> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), config.timeout);
  const signal = AbortSignal.any([stopped, late.signal]);
  try {
    return await PROBES[config.type](server, config, signal);
  } catch (error) {
    if (late.signal.aborted) return `no answer within ${config.timeout} ms`;
    return error instanceof Error ? error.message : String(error);
  } finally {
    clearTimeout(timer);
  }
}

type Probe = (server: Endpoint, config: CheckConfig, signal: AbortSignal) => Promise<string | null>;

const PROBES: Record<CheckConfig['type'], Probe> = { tcp: probeTcp, http: probeHttp, websocket: probeWebSocket };

async function probeTcp(server: Endpoint, { timeout }: CheckConfig, signal: AbortSignal): Promise<null> {
  const socket = await dial(server, timeout, ClientClosed.of(signal), ownPreamble(server));
  // What is on its way out yet may go out: a server would call half a preamble an error.
  socket.destroySoon();
  return null;
}

async function probeHttp(server: Endpoint, config: CheckConfig, signal: AbortSignal): Promise<string | null> {
  const socket = await dial(server, config.timeout, ClientClosed.of(signal), ownPreamble(server));
  const cut = (): void => void socket.destroy();
  signal.addEventListener('abort', cut);
  try {
    const answer = await ask(socket, server, config);
    const status = answer.statusCode ?? 0;
    if (!(config.status?.includes(status) ?? (status >= 200 && status < 400))) return `it answered ${status}`;
    if (config.body === undefined) return null;
    return (await readBody(answer)).includes(config.body) ? null : 'its answer lacks the text it should have';
  } finally {
    signal.removeEventListener('abort', cut);
    socket.destroy();
  }
}

function ask(socket: Socket, server: Endpoint, { path, host }: CheckConfig): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers = { Host: hostOf(server, host), 'User-Agent': AGENT, Accept: '*/*', Connection: 'close' };
    const req = request({ method: 'GET', path, headers, createConnection: () => socket });
    req.once('response', resolve).once('error', reject);
    req.once('close', () => reject(new Error('it ended the connection before its answer')));
    req.end();
  });
}

async function readBody(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    length += chunk.length;
    if (length >= MAX_BODY) break;
  }
  return Buffer.concat(chunks).toString('utf8', 0, MAX_BODY);
}

/** A masked Close with 1000 (RFC 6455 §5.5.1); the mask may be any, and a fixed one hides nothing here. */
const CLOSE = Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]);

async function probeWebSocket(server: Endpoint, config: CheckConfig, signal: AbortSignal): Promise<string | null> {
  const key = randomBytes(16).toString('base64');
  const fields = formatFields([
    ...['Host', hostOf(server, config.host), 'User-Agent', AGENT, 'Upgrade', 'websocket', 'Connection', 'Upgrade'],
    ...['Sec-WebSocket-Key', key, 'Sec-WebSocket-Version', '13'],
  ]);
  const timeouts = { connect: config.timeout, handshake: config.timeout };
  const { socket, head } = await requestUpgrade(server, {
    preamble: ownPreamble(server),
    handshake: `GET ${config.path} HTTP/1.1\r\n${fields}\r\n`,
    timeouts,
    clientClosed: ClientClosed.of(signal),
  });
  if (head.status !== 101) {
    socket.destroy();
    return `it answered the handshake with ${head.status}`;
  }
  // Its answer is not waited for: the check is done, and the server is free to close.
  socket.end(CLOSE);
  socket.resume();
  socket.setTimeout(config.timeout, () => socket.destroy());
  const judged = checkUpgradeResponse(head, { key, offer: [], extensions: [] });
  return 'fault' in judged ? judged.fault : null;
}

function hostOf({ host, port, unix }: Endpoint, configured: string | undefined): string {
  if (configured !== undefined) return configured;
  if (unix !== undefined) return 'localhost';
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
