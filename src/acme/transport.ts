// One HTTPS exchange with an authority, bounded in time and size; no connection is kept. The messages are in client.ts.
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import https from 'node:https';
import { ignore } from '../base/guard.ts';
import { AcmeError } from './acme-error.ts';

export interface TransportRequest {
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly url: string;
  readonly body?: string;
  readonly accept?: string;
}

export interface TransportAnswer {
  readonly status: number;
  /** The value of a field, by its name in lower case. */
  field(name: string): string | null;
  readonly body: string;
}

/** Sends a request; rejects with an AcmeError. */
export type Transport = (request: TransportRequest) => Promise<TransportAnswer>;

export interface TransportOptions {
  /** CA certificates (PEM) that verify the server, in place of those of node. */
  readonly ca: string | null;
  readonly version: string;
  /** Aborts all exchanges. */
  readonly signal: AbortSignal;
  readonly timeoutMs?: number;
}

/** Milliseconds for a request and its whole response. */
const TIMEOUT_MS = 30_000;
/** Largest response, in bytes; a chain of certificates has some kilobytes. */
const LARGEST_BODY = 256 * 1024;

/**
 * Requests over https. A request rejects with an AcmeError where its URL is no https URL, and where no whole response came in time
 * or within the size limit; with the signal's reason once that is aborted.
 */
export function openTransport(options: TransportOptions): Transport {
  return async (request) => {
    const { url } = request;
    // Also for URLs that a directory or a response names: nothing goes over a connection without TLS.
    if (!url.startsWith('https://') || !URL.canParse(url))
      throw new AcmeError('malformed', `${JSON.stringify(url.slice(0, 200))} is no https URL`);
    const late = AbortSignal.timeout(options.timeoutMs ?? TIMEOUT_MS);
    try {
      return await exchange(request, options, AbortSignal.any([options.signal, late]));
    } catch (error) {
      if (error instanceof AcmeError) throw error;
      const { host } = new URL(url);
      if (late.aborted) throw new AcmeError('timeout', `${host}: no whole answer in time`);
      throw new AcmeError('connection', `${host}: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
}

async function exchange(
  { method, url, body, accept }: TransportRequest,
  { ca, version }: TransportOptions,
  signal: AbortSignal,
): Promise<TransportAnswer> {
  const headers = {
    // Both are required by RFC 8555 §6.1.
    'User-Agent': `upgate/${version}`,
    'Accept-Language': 'en',
    ...(accept === undefined ? {} : { Accept: accept }),
    ...(body === undefined ? {} : { 'Content-Type': 'application/jose+json' }),
  };
  const request = https.request(url, { method, headers, agent: false, signal, ...(ca === null ? {} : { ca }) });
  // Errors reject the promise below; later ones are ignored.
  request.on('error', ignore);
  request.end(body);
  try {
    const [message] = (await once(request, 'response')) as [IncomingMessage];
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of message as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > LARGEST_BODY) throw new AcmeError('malformed', `an answer of more than ${LARGEST_BODY} bytes`);
      chunks.push(chunk);
    }
    const field = (name: string): string | null => {
      const value = message.headers[name];
      return (Array.isArray(value) ? value[0] : value) ?? null;
    };
    return { status: message.statusCode ?? 0, field, body: Buffer.concat(chunks).toString('utf8') };
  } finally {
    request.destroy();
  }
}
