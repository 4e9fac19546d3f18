// Reading the body of a request to the admin listener, within bounds, and the answers to one that cannot be taken.
import type { IncomingMessage } from 'node:http';
import { GatewayError } from '../errors.ts';
import { type AdminResponse, problem } from './answer.ts';

/** Bytes of the largest body taken. */
export const MAX_BODY = 1024 * 1024;

/** Reads the whole body; null where it has more than `maxBytes` bytes, and the rest is not read. Rejects with `client_gone` where it breaks off. */
export function readBody(req: IncomingMessage, maxBytes: number): Promise<Buffer | null> {
  return new Promise((resolve, reject) => {
    if (Number(req.headers['content-length'] ?? 0) > maxBytes) return resolve(null);
    const chunks: Buffer[] = [];
    let length = 0;
    const onData = (chunk: Buffer): void => {
      length += chunk.length;
      if (length <= maxBytes) {
        chunks.push(chunk);
        return;
      }
      req.off('data', onData).pause();
      resolve(null);
    };
    req.on('data', onData);
    req.once('end', () => resolve(Buffer.concat(chunks)));
    const left = (): void => reject(new GatewayError('client_gone', 'the request broke off'));
    req.once('error', left);
    req.once('close', left);
  });
}

/** The media type, in lower case and without parameters. */
export function mediaOf(req: IncomingMessage): string | undefined {
  return req.headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase();
}

export const tooLarge = (): AdminResponse => problem(413, 'too_large', `a body has at most ${MAX_BODY} bytes`);

/** 415 for a body of another media type than the one that is wanted. */
export function mediaType(wanted: string): AdminResponse {
  return problem(415, 'media_type', `Content-Type has to be ${wanted}`);
}

/** RFC 3339, in UTC. */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}

/** The body as a JSON object; or why it is none. */
export async function readObject(
  req: IncomingMessage,
): Promise<{ readonly object: Readonly<Record<string, unknown>> } | AdminResponse> {
  if (mediaOf(req) !== 'application/json') return mediaType('application/json');
  const body = await readBody(req, MAX_BODY);
  if (body === null) return tooLarge();
  const object = parseObject(body.toString());
  return object === null ? problem(400, 'malformed', 'the body is no JSON object') : { object };
}

/** Null where it is none. */
export function parseObject(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}
