// Upgrades of node's server, whose parser releases the connection at once, even while an earlier request is being answered. A
// handshake continues once that answer is written; the request of any other upgrade goes back to the server without the upgrade.
import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import { ReadAhead } from '../../actions/read-ahead.ts';
import { ignore } from '../../base/guard.ts';
import { wantsWebSocket } from '../../handshake/handshake.ts';
import { lowerNames } from '../../http/fields.ts';
import { ClientClosed } from '../../net/client-closed.ts';
import { responseUnderWay } from '../../net/node-internals.ts';
import type { Handshakes } from '../../pipeline/handshakes.ts';
import { headWithoutUpgrade, replayAsPlainHttp, returnToServer } from './downgrade.ts';
import { afterEarlierAnswers, answerable } from './pipelining.ts';

/** The connection of an upgrade, and what was read behind its head. */
export interface ReleasedByNode {
  readonly server: Server;
  readonly socket: Socket;
  readonly rest: Buffer;
}

/** Handles an upgrade or a CONNECT. Rejects on an internal error; its connection can't be used then. */
export async function onNodeUpgrade(
  handshakes: Handshakes,
  req: IncomingMessage,
  { server, socket, rest }: ReleasedByNode,
): Promise<void> {
  // First of all: an upgraded socket has no listener of its own, and a reset would end the process.
  // A connection that was given back comes here again.
  socket.off('error', ignore).on('error', ignore);
  const { method = '', url = '', httpVersion, rawHeaders } = req;
  const head = { method, target: url, version: httpVersion, fields: rawHeaders, names: lowerNames(rawHeaders) };
  const websocket = wantsWebSocket(head);
  const ahead = new ReadAhead(rest);
  if (responseUnderWay(socket) === null) {
    if (!answerable(socket)) return;
  } else {
    // What is no handshake goes back to node's server, which goes on reading.
    if (websocket) ahead.watch(socket, new ClientClosed());
    if (!(await afterEarlierAnswers(socket))) return;
  }
  const read = ahead.take();
  if (websocket || method === 'CONNECT')
    return handshakes.onReleased(req, socket, read, (bytes) => returnToServer(server, socket, bytes));
  handshakes.dropUpgrade(req, socket);
  replayAsPlainHttp(server, socket, headWithoutUpgrade(head), read);
}
