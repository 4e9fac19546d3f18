// A request with an Upgrade to something else than WebSocket: node's parser has released its connection, with the body
// unread. Its head is written anew without the upgrade, and the connection begins again, so that the request goes on as
// plain HTTP; no `h2c` or other tunnel can come of it.
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { listElements } from '../../http/fields.ts';
import { formatFields } from '../../http/problem.ts';
import type { ReceivedRequest } from '../../http/request-reader.ts';

const OF_THE_UPGRADE = new Set(['upgrade', 'http2-settings', 'connection']);

/** The head as the client sent it, without Upgrade and HTTP2-Settings, and without their names in Connection. */
export function headWithoutUpgrade(head: ReceivedRequest): string {
  const fields: string[] = [];
  for (const [i, name] of head.names.entries()) {
    if (!OF_THE_UPGRADE.has(name)) fields.push(head.fields[2 * i] as string, head.fields[2 * i + 1] as string);
  }
  const options = listElements(head, 'connection').filter((option) => !OF_THE_UPGRADE.has(option.toLowerCase()));
  if (options.length > 0) fields.push('Connection', options.join(', '));
  return `${head.method} ${head.target} HTTP/${head.version}\r\n${formatFields(fields)}\r\n`;
}

/** Gives the connection back to node's server, which reads the head given and `rest` behind it as if they just came. */
export function replayAsPlainHttp(server: Server, socket: Socket, head: string, rest: Buffer): void {
  returnToServer(server, socket, Buffer.concat([Buffer.from(head, 'latin1'), rest]));
}

/** The same with what came behind an upgrade that was refused: the next request, or its beginning, or nothing. */
export function returnToServer(server: Server, socket: Socket, bytes: Buffer): void {
  if (bytes.length > 0) socket.unshift(bytes);
  // An https.Server takes connections after their TLS handshake under this name.
  server.emit('encrypted' in socket ? 'secureConnection' : 'connection', socket);
}
