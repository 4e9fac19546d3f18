// A backend that authenticates connections, as NTLM does: who logged in on one is the user of every request on it.
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { ACCEPT } from './raw.ts';

export const NEGOTIATE = 'TlRMTVNTUAABAAAA';
const CHALLENGE = 'TlRMTVNTUAACAAAA';
export const AUTHENTICATE = 'TlRMTVNTUAADAAAA';

/**
 * Says hello to who has logged in on the connection, and 401 to anybody else; Persistent-Auth as IIS says it. A handshake of
 * who has logged in is answered with 101, and a text message that says hello.
 */
export async function startNtlm() {
  const sockets = new Set<Socket>();
  let accepted = 0;
  const server: Server = createServer((socket) => {
    accepted++;
    sockets.add(socket.on('error', () => {}).on('close', () => sockets.delete(socket)));
    let challenged = false;
    let user: string | null = null;
    let text = '';
    const say = (status: string, fields: string, body: string) =>
      socket.write(`HTTP/1.1 ${status}\r\n${fields}Content-Length: ${body.length}\r\n\r\n${body}`);
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      for (let end = text.indexOf('\r\n\r\n'); end !== -1; end = text.indexOf('\r\n\r\n')) {
        const head = text.slice(0, end);
        const token = /^authorization: NTLM (.*)$/im.exec(head)?.[1];
        text = text.slice(end + 4);
        if (token === AUTHENTICATE && challenged) user = 'alice';
        challenged ||= token === NEGOTIATE;
        if (user !== null && /^upgrade: websocket$/im.test(head)) {
          const hello = `hello ${user}`;
          const frame = `\x81${String.fromCharCode(hello.length)}${hello}`;
          const fields = `Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${ACCEPT}`;
          socket.write(`HTTP/1.1 101 Switching Protocols\r\n${fields}\r\n\r\n${frame}`, 'latin1');
        } else if (user !== null) say('200 OK', 'Persistent-Auth: true\r\n', `hello ${user}`);
        else if (token === NEGOTIATE) say('401 Unauthorized', `WWW-Authenticate: NTLM ${CHALLENGE}\r\n`, 'go on');
        else say('401 Unauthorized', 'WWW-Authenticate: Negotiate\r\nWWW-Authenticate: NTLM\r\n', 'who is it');
      }
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    sockets,
    /** How many connections there have been. */
    accepted: () => accepted,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
