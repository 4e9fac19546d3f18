// The WebSocket backend of the demo, with the library `ws`: greets, sends everything back, and under a path that ends in
// /chat sends it to everyone else there too. Here a gateway's splice can be seen to leave messages and compression alone.
import type { Server } from 'node:http';
import { type RawData, type WebSocket, WebSocketServer } from 'ws';

export interface Sockets {
  /** Closes every connection with 1001, and cuts those that do not answer. */
  close(): void;
}

const LARGEST_MESSAGE = 1024 ** 2;
/** Bytes that may wait for a slow reader of the chat; beyond them it is disconnected. */
const MAX_BUFFERED = 4 * 1024 ** 2;
const CLOSE_WAIT_MS = 1000;

/** Takes the handshakes of `server`; `address` is what the greeting calls it. */
export function serveSockets(server: Server, address: string): Sockets {
  const sockets = new WebSocketServer({ server, perMessageDeflate: true, maxPayload: LARGEST_MESSAGE });
  const rooms = new Map<string, Set<WebSocket>>();
  // `ws` repeats the errors of `server`, which startDemo handles.
  sockets.on('error', () => {});
  sockets.on('connection', (socket, request) => {
    // Without a listener a protocol error of one client would end the process; ws closes the socket by itself.
    socket.on('error', () => {});
    const path = (request.url ?? '/').replace(/\?.*$/s, '');
    const room = path.endsWith('/chat') ? enter(rooms, path, socket) : new Set([socket]);
    socket.send(greeting(address, path, room.size - 1));
    socket.on('message', (data, isBinary) => sendAll(room, data, isBinary));
  });
  return {
    close() {
      for (const socket of sockets.clients) {
        socket.close(1001, 'the demo is stopping');
        setTimeout(() => socket.terminate(), CLOSE_WAIT_MS).unref();
      }
      sockets.close();
    },
  };
}

/** The members of a path's room, `socket` among them until it closes. */
function enter(rooms: Map<string, Set<WebSocket>>, path: string, socket: WebSocket): Set<WebSocket> {
  const room = rooms.get(path) ?? new Set();
  rooms.set(path, room.add(socket));
  socket.on('close', () => {
    room.delete(socket);
    if (room.size === 0 && rooms.get(path) === room) rooms.delete(path);
  });
  return room;
}

function greeting(address: string, path: string, others: number): string {
  const hello = `hello world, from the demo backend at ${address}${path}`;
  if (!path.endsWith('/chat')) return `${hello}; what you send comes back`;
  return `${hello}; what you send comes back and goes to all in this chat (${others === 0 ? 'nobody else' : `${others} more`} now)`;
}

function sendAll(room: ReadonlySet<WebSocket>, data: RawData, isBinary: boolean): void {
  for (const member of room) {
    if (member.bufferedAmount > MAX_BUFFERED) member.terminate();
    else member.send(data as Buffer, { binary: isBinary });
  }
}
