// What a client's FIN means for its plain requests (docs/http.md has the same). Handshakes are in read-ahead.ts.
import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import { guarded } from '../../base/guard.ts';
import { listHas, lowerNames } from '../../http/fields.ts';
import { serveBehindFin } from '../../net/node-internals.ts';
import type { PipelineQueue } from './pipelining.ts';

/** Handles the FIN of every connection that the server accepts from now on, and adds each to the queue. Called once. */
export function watchHalfClose(
  server: Server,
  pipelineQueue: PipelineQueue,
  accepted: 'connection' | 'secureConnection',
): void {
  serveBehindFin(server);
  const watched = new WeakSet<Socket>();
  server.on(accepted, (socket: Socket) => {
    pipelineQueue.watch(socket);
    // A connection that was given back to the server comes here again.
    if (watched.has(socket)) return;
    watched.add(socket);
    socket.once('close', () => pipelineQueue.release(socket));
    // Before node's own listener, which would call the rest of a body that was cut off malformed.
    const onEnd = guarded(
      'connection',
      () => {
        const newest = pipelineQueue.newest(socket);
        if (newest !== null && !isLast(newest.req)) socket.destroy();
      },
      () => socket.destroy(),
    );
    socket.prependListener('end', onEnd);
  });
}

/**
 * Whether a request is complete and the last one of its connection (RFC 9112 §9.6). A FIN behind it means that the client has
 * finished sending; behind any other request it means that the client has left.
 */
function isLast({ complete, rawHeaders, httpVersion }: IncomingMessage): boolean {
  const section = { fields: rawHeaders, names: lowerNames(rawHeaders) };
  if (!complete || listHas(section, 'connection', 'close')) return complete;
  return httpVersion === '1.0' && !listHas(section, 'connection', 'keep-alive');
}
