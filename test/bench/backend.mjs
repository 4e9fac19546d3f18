// The backend of the benchmark, in a process of its own: answers a handshake with 101 and every whole frame with one of
// the same size; the size is in the path, `/64`. A plain GET gets a body of the size in the path, or a short one; a POST gets
// that once its own body has come. Prints its port.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { frame } from './frames.mjs';

const bodies = new Map([['/', Buffer.from('ok')]]);

function bodyOf(path) {
  const body = bodies.get(path) ?? Buffer.alloc(Number(path.slice(1)) || 2, 'x');
  bodies.set(path, body);
  return body;
}

const server = createServer((req, res) => {
  const body = bodyOf(req.url);
  res.setHeader('Content-Length', body.length);
  if (req.method === 'GET') res.end(body);
  else req.resume().on('end', () => res.end(body));
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
