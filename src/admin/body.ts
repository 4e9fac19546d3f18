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

export function mediaType(wanted: string): AdminResponse {
  return problem(415, 'media_type', `Content-Type has to be ${wanted}`);
}

/** RFC 3339, in UTC. */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
