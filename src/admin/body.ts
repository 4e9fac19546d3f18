// Reading the body of a request to the admin listener, within bounds.
import type { IncomingMessage } from 'node:http';
import { GatewayError } from '../errors.ts';

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
