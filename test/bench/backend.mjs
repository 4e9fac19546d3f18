// The backend of the benchmark, in a process of its own: answers a handshake with 101 and every whole frame with one of
// the same size; the size is in the path, `/64`. A plain GET gets a short body. Prints its port.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { frame } from './frames.mjs';

const server = createServer((_req, res) => {
  res.setHeader('Content-Length', 2);
  res.end('ok');
});
server.keepAliveTimeout = 0;
server.on('upgrade', (req, socket) => {
  const size = Number(req.url.slice(1)) || 64;
  const [incoming, outgoing] = [frame(size, true).length, frame(size, false)];
  const accept = createHash('sha1')
    .update(`${req.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest('base64');
  socket.setNoDelay(true);
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  );
  let read = 0;
  socket.on('data', (chunk) => {
    read += chunk.length;
    for (; read >= incoming; read -= incoming) socket.write(outgoing);
  });
  socket.on('error', () => socket.destroy());
  socket.on('end', () => socket.end());
});
server.listen(0, '127.0.0.1', () => process.stdout.write(`${server.address().port}\n`));
