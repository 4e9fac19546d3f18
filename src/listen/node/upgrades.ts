// Upgrades as node's server gives them: its parser has released the connection, at once even while an earlier request is
// being answered. A handshake goes on when that answer is written, any other upgrade goes back to the server without it.
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

/** Takes an upgrade or a CONNECT. Rejects where something broke: its connection is of no more use then. */
export async function onNodeUpgrade(
  handshakes: Handshakes,
  req: IncomingMessage,
  { server, socket, rest }: ReleasedByNode,
): Promise<void> {
  // First of all: an upgraded socket has no listener of its own, and a reset would end the process.
  // It may have been here before.
  socket.off('error', ignore).on('error', ignore);
  const { method = '', url = '', httpVersion, rawHeaders } = req;
  const head = { method, target: url, version: httpVersion, fields: rawHeaders, names: lowerNames(rawHeaders) };
  const websocket = wantsWebSocket(head);
  const ahead = new ReadAhead(rest);
  if (responseUnderWay(socket) === null) {
    if (!answerable(socket)) return;
  } else {
    // What is no handshake goes back to node's server, which reads on by itself.
    if (websocket) ahead.watch(socket, new ClientClosed());
    if (!(await afterEarlierAnswers(socket))) return;
  }
  const read = ahead.take();
  if (websocket || method === 'CONNECT')
    return handshakes.onReleased(req, socket, read, (bytes) => returnToServer(server, socket, bytes));
  handshakes.dropUpgrade(req, socket);
  replayAsPlainHttp(server, socket, headWithoutUpgrade(head), read);
}
