// Ending a connection of node's HTTP server so that the last answer arrives.

import type { Socket } from 'node:net';
import { endAfterReading } from '../../actions/reject.ts';
import { ignore } from '../../base/guard.ts';

/**
 * Ends a connection behind an answer with `Connection: close`. If it were closed at once with unread input, a reset could destroy
 * the answer (RFC 9112 §9.6). Further input is dropped.
 */
export function lingeringClose(this: Socket): void {
  detachParser(this);
  endAfterReading(this);
}

/**
 * Takes the connection from node's parser, which would go on: the rest of a head that came too late would still be a
 * request, and every further piece of a malformed one another error, and so would its end.
 */
export function detachParser(socket: Socket): void {
  socket.removeAllListeners('data').removeAllListeners('end').on('data', ignore);
}
