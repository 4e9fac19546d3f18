// The backend behind the gateways of drain.mjs, in this process: echoes every message of a WebSocket, takes two seconds for `/slow`,
// and never ends its answer to `/endless`.
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';

/** How long `/slow` takes, ms. */
const SLOW_MS = 2000;

export async function startBackend() {
  let slow = 0;
  let onSlow = () => {};
  const server = createServer((req, res) => {
    res.on('error', () => {});
    if (req.url === '/slow') {
      slow++;
      onSlow();
      setTimeout(() => res.end('slow'), SLOW_MS);
      return;
    }
    res.writeHead(200, { 'Content-Type': 'text/event-stream' });
    const timer = setInterval(() => res.write('data: tick\n\n'), 500);
    res.write('data: first\n\n');
    res.on('close', () => clearInterval(timer));
  });
  const sockets = new WebSocketServer({ server, perMessageDeflate: false });
  sockets.on('connection', (socket) => {
    socket.on('message', (data, binary) => socket.send(data, { binary }));
    socket.on('error', () => {});
  });
  await new Promise((resolve) => server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, resolve));
  return {
    port: server.address().port,
    /** Resolves once so many of `/slow` have come. */
    slowUnderWay: (count) =>
      new Promise((resolve) => {
        onSlow = () => slow >= count && resolve();
        onSlow();
      }),
    close: () => {
      for (const socket of sockets.clients) socket.terminate();
      server.closeAllConnections();
      server.close();
    },
  };
}
