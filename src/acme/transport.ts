// One HTTPS exchange with an authority: bounded in time and size, and with nothing kept open. What is in the messages is
// client.ts.
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
  /** A field's value, by its name in small letters. */
  field(name: string): string | null;
  readonly body: string;
}

/** Makes a request; rejects with an AcmeError. */
export type Transport = (request: TransportRequest) => Promise<TransportAnswer>;

export interface TransportOptions {
  /** Authorities that the server's certificate is verified by, PEM, in place of those that node knows. */
  readonly ca: string | null;
  readonly version: string;
  /** Ends all that is under way. */
  readonly signal: AbortSignal;
  readonly timeoutMs?: number;
}

/** For a request and its whole answer. */
const TIMEOUT_MS = 30_000;
/** A chain of certificates has some kilobytes. */
const LARGEST_BODY = 256 * 1024;

export function openTransport(options: TransportOptions): Transport {
  return async (request) => {
    const { url } = request;
    // Whatever a directory or an answer names; a key never goes over a line that others can read.
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
    // RFC 8555 §6.1 asks for both.
    'User-Agent': `upgate/${version}`,
    'Accept-Language': 'en',
    ...(accept === undefined ? {} : { Accept: accept }),
    ...(body === undefined ? {} : { 'Content-Type': 'application/jose+json' }),
  };
  const request = https.request(url, { method, headers, agent: false, signal, ...(ca === null ? {} : { ca }) });
  // Its errors come by the promise below, and late ones are of no interest.
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
