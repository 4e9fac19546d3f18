// A request of the gateway's own to one server: the whole request is in memory, and so is the whole answer. Not for what
// clients send, which streams through an HttpEngine. What an answer means, and whether to ask again, is the caller's matter.

import http, { type IncomingMessage, type RequestOptions } from 'node:http';
import https from 'node:https';
import { fdShortage } from '../base/fd-limit.ts';
import { GatewayError } from '../errors.ts';
import { LARGEST_ANSWER_HEAD } from '../http/answer.ts';
import { KEEPALIVE_MS, ownPreamble, upstreamError } from '../net/dial.ts';
import type { Endpoint } from '../net/endpoint.ts';
import { tlsOptions } from '../net/server-tls.ts';
import { IDLE_MS } from './http-engine.ts';
import { Agents } from './http-proxy/agents.ts';
import { ProxyProtocolAgent } from './http-proxy/proxy-protocol-agent.ts';

export interface Call {
  readonly server: Endpoint;
  readonly method: 'GET' | 'POST';
  /** Origin-form. */
  readonly target: string;
  /** Flat; Content-Length and Connection are added. */
  readonly fields: readonly string[];
  readonly body: Buffer;
  /** Milliseconds for all of it, from connecting to the answer's last byte. */
  readonly timeoutMs: number;
  /** Bytes of the largest body that an answer may have. */
  readonly maxBytes: number;
}

export interface Reply {
  readonly status: number;
  readonly phrase: string;
  /** As received, flat. */
  readonly fields: readonly string[];
  readonly body: Buffer;
}

/** Keeps connections to servers for the next call; lives as long as the process. */
export interface InternalClient {
  /** Rejects with a GatewayError: `backend_refused`, `backend_timeout`, `bad_accept`, `limit`. */
  call(call: Call): Promise<Reply>;
  /** Ends the connections that are kept. */
  close(): void;
}

const MAX_IDLE = 256;

/** A client with connections of its own, for what the gateway itself asks of servers. */
export function openInternalClient(): InternalClient {
  const options = {
    keepAlive: true,
    keepAliveMsecs: KEEPALIVE_MS,
    noDelay: true,
    maxFreeSockets: MAX_IDLE,
    timeout: IDLE_MS,
    scheduling: 'lifo',
  } as const;
  const agents = new Agents(new http.Agent(options), options);
  return {
    async call(call) {
      const preamble = ownPreamble(call.server);
      if (preamble !== null) return callOnce(call, new ProxyProtocolAgent(call.server, preamble));
      const agent = agents.for(call.server);
      try {
        return await exchange(call, agent);
      } catch (error) {
        if (!(error instanceof StaleError)) throw error;
        // A kept connection was closed before anything came back.
        return exchange(call, false);
      }
    },
    close() {
      agents.close();
    },
  };
}

async function callOnce(call: Call, agent: ProxyProtocolAgent): Promise<Reply> {
  try {
    return await exchange(call, agent);
  } finally {
    agent.drop();
  }
}

/** The server had closed a kept connection before the request reached it. */
class StaleError extends GatewayError {}

function exchange(call: Call, agent: http.Agent | false): Promise<Reply> {
  const { server, timeoutMs } = call;
  const shortage = fdShortage();
  if (shortage !== null) return Promise.reject(upstreamError(shortage, `asking ${server.url}`));
  return new Promise((resolve, reject) => {
    const request = (server.secure ? https : http).request(optionsOf(call, agent));
    const settle = (outcome: Reply | GatewayError): void => {
      clearTimeout(timer);
      if (outcome instanceof GatewayError) {
        request.destroy();
        reject(outcome);
      } else {
        resolve(outcome);
      }
    };
    const timer = setTimeout(
      () => settle(new GatewayError('backend_timeout', `no answer from ${server.url} within ${timeoutMs} ms`)),
      timeoutMs,
    );
    let answered = false;
    request.on('error', (error) => {
      const failure = failureOf(error, server);
      const stale = request.reusedSocket && !answered && failure.code === 'backend_refused' && agent !== false;
      settle(stale ? new StaleError('backend_refused', failure.message, error) : failure);
    });
    request.on('response', (answer) => {
      answered = true;
      readReply(answer, call).then(settle, (error: GatewayError) => settle(error));
    });
    request.end(call.body);
  });
}

function optionsOf({ server, method, target, fields, body }: Call, agent: http.Agent | false): RequestOptions {
  const { host, port, unix, lookup } = server;
  return {
    host,
    port,
    ...(unix === undefined ? {} : { socketPath: unix }),
    ...(lookup === undefined ? {} : { lookup }),
    method,
    path: target,
    headers: [
      ...fields,
      'Content-Length',
      `${body.length}`,
      'Connection',
      agent === false || agent instanceof ProxyProtocolAgent ? 'close' : 'keep-alive',
    ],
    agent,
    maxHeaderSize: LARGEST_ANSWER_HEAD,
    ...(server.secure ? tlsOptions(server) : {}),
  };
}

/** llhttp's errors mean that the answer is no HTTP; all others are of the connection. */
function failureOf(error: Error & { code?: string }, server: Endpoint): GatewayError {
  return error.code?.startsWith('HPE_')
    ? new GatewayError('bad_accept', `${server.url}: ${error.message}`, error)
    : upstreamError(error, `asking ${server.url}`);
}

function readReply(answer: IncomingMessage, { server, maxBytes }: Call): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    answer.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length <= maxBytes) chunks.push(chunk);
      else reject(new GatewayError('bad_accept', `${server.url}: the answer has more than ${maxBytes} bytes`));
    });
    answer.on('error', (error) => reject(upstreamError(error, `reading from ${server.url}`)));
    answer.on('aborted', () =>
      reject(new GatewayError('backend_refused', `${server.url} broke off in the middle of its answer`)),
    );
    answer.on('end', () => {
      const { statusCode: status = 0, statusMessage: phrase = '', rawHeaders: fields } = answer;
      resolve({ status, phrase, fields, body: Buffer.concat(chunks) });
    });
  });
}
