// One backend of the soak, a process of its own, so that it can be killed, frozen and restarted. It echoes WebSocket
// messages, and answers HTTP with bodies that can be checked. Its parent sends `reset` to have all its connections reset,
// and `garbage` to have it answer handshakes and requests with bytes that are no HTTP, until `sane`.
//   node backend.mjs [PORT]      prints its port
import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';

const LARGE = randomBytes(256 * 1024);
/** Bytes of a download: 32 MiB. */
const ENDLESS = 128 * LARGE.length;
const DIGEST = createHash('sha256').update(LARGE).digest('hex');

let insane = false;
const sockets = new Set();

const server = createServer((req, res) => {
  if (insane) return void req.socket.end('\0\x01HTTP what? nothing\r\n\r\n');
  if (req.method === 'POST') {
    const hash = createHash('sha256');
    req.on('data', (chunk) => hash.update(chunk));
    req.on('end', () => res.end(hash.digest('hex')));
    return;
  }
  if (req.url.startsWith('/download/')) return void download(req, res);
  if (req.url.startsWith('/large')) return void res.setHeader('X-Digest', DIGEST).end(LARGE);
  res.end('fine');
});
/** More than anybody waits for, in each way that a body can end, and on connections that are kept and that are not. */
function download(req, res) {
  const { socket } = req;
  const framing = req.url.split('/')[2];
  if (framing === 'length') res.setHeader('Content-Length', ENDLESS);
  if (framing === 'closing') res.setHeader('Connection', 'close');
  let write = (bytes) => res.write(bytes);
  let drained = res;
  if (framing === 'until-close' || framing === '1.0') {
    // Written by hand: node would send chunks.
    socket.write(`HTTP/1.${framing === '1.0' ? 0 : 1} 200 OK\r\nConnection: close\r\n\r\n`);
    write = (bytes) => socket.write(bytes);
    drained = socket;
  }
  let left = ENDLESS;
  const more = () => {
    while (left > 0 && !socket.destroyed) {
      left -= LARGE.length;
      if (!write(LARGE)) return void drained.once('drain', more);
    }
    if (drained === socket) socket.end();
    else res.end();
  };
  more();
}

server.on('connection', (socket) => {
  sockets.add(socket);
  socket.on('error', () => socket.destroy());
  socket.once('close', () => sockets.delete(socket));
});

const websockets = new WebSocketServer({ noServer: true, maxPayload: 16 * 1024 * 1024, perMessageDeflate: false });
server.on('upgrade', (req, socket, head) => {
  if (insane)
    return void socket.end(`HTTP/1.1 101 Sure\r\nUpgrade: websocket\r\n\r\n${randomBytes(200).toString('latin1')}`);
  // Some answer with interim answers first, and late; some never, for clients who leave meanwhile.
  if (req.url.includes('/mute')) return;
  if (req.url.includes('/interim')) {
    socket.write('HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n');
    setTimeout(() => upgrade(req, socket, head), Math.random() * 300);
  } else upgrade(req, socket, head);
});

function upgrade(req, socket, head) {
  if (socket.destroyed) return;
  websockets.handleUpgrade(req, socket, head, (ws) => {
    ws.on('error', () => {});
    ws.on('message', (data, binary) => {
      // A client that does not read must not fill this process either.
      if (ws.bufferedAmount > 4 * 1024 * 1024) ws.pause();
      ws.send(data, { binary }, () => ws.resume());
    });
  });
}

process.on('message', (command) => {
  if (command === 'reset') for (const socket of sockets) socket.resetAndDestroy();
  else insane = command === 'garbage';
});
process.on('disconnect', () => process.exit(0));
server.listen(Number(process.argv[2] ?? 0), '127.0.0.1', () => process.send({ port: server.address().port }));
