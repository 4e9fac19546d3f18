// A backend that takes PROXY preambles: it keeps each connection's preamble as it came, read by somebody else's parser, and
// then is an HTTP and WebSocket server that says what it was asked. With TLS behind the preamble where it is asked for.
import { once } from 'node:events';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import https from 'node:https';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { V1ProxyProtocol, V2ProxyProtocol } from 'proxy-protocol-js';
import { WebSocketServer } from 'ws';

export interface PreambleServer {
  readonly port: number;
  /** What each connection began with, in order: the line of version 1, or what version 2 says, in the words of version 1. */
  readonly preambles: readonly string[];
  /** How many requests have come, handshakes included. */
  readonly requests: () => number;
  close(): void;
}

const SIGNATURE = '\r\n\r\n\0\r\nQUIT\n';

/** The preamble in words and its length, or null where more is needed. */
function take(bytes: Buffer): { text: string; length: number } | null {
  const text = bytes.toString('latin1');
  if (text.startsWith('PROXY ')) {
    const length = text.indexOf('\r\n') + 2;
    if (length === 1) return null;
    const line = text.slice(0, length);
    if (!line.startsWith('PROXY UNKNOWN')) V1ProxyProtocol.parse(line);
    return { text: line.trimEnd(), length };
  }
  if (!SIGNATURE.startsWith(text.slice(0, 12))) throw new Error(`no preamble: ${JSON.stringify(text)}`);
  if (bytes.length < 16 || bytes.length < 16 + bytes.readUInt16BE(14)) return null;
  const length = 16 + bytes.readUInt16BE(14);
  const read = V2ProxyProtocol.parse(bytes.subarray(0, length));
  if (read.command === 0) return { text: 'LOCAL', length };
  const { sourceAddress, destinationAddress, sourcePort, destinationPort } = read.proxyAddress as unknown as {
    readonly [end in 'sourceAddress' | 'destinationAddress']: { readonly address: readonly number[] };
  } & { readonly [end in 'sourcePort' | 'destinationPort']: number };
  const shown = ({ address }: { readonly address: readonly number[] }) =>
    address.length === 4 ? address.join('.') : Buffer.from(address).toString('hex');
  const ends = `${shown(sourceAddress)} ${shown(destinationAddress)} ${sourcePort} ${destinationPort}`;
  return { text: `v2 ${ends}`, length };
}

/** Listens on a free port of 127.0.0.1; a connection that does not begin with a preamble is destroyed. */
export async function startPreambleServer(pair?: { cert: string; key: string }): Promise<PreambleServer> {
  const preambles: string[] = [];
  const sockets = new Set<Socket>();
  const echo = new WebSocketServer({ noServer: true });
  let requests = 0;
  const answer = (req: IncomingMessage, res: ServerResponse) => {
    requests++;
    req.resume().once('end', () => {
      const body = JSON.stringify({ target: req.url, fields: req.rawHeaders });
      res.writeHead(200, { 'Content-Length': Buffer.byteLength(body) }).end(body);
    });
  };
  const inner = pair === undefined ? http.createServer(answer) : https.createServer(pair, answer);
  inner.on('upgrade', (req: IncomingMessage, socket: Duplex, rest: Buffer) => {
    requests++;
    echo.handleUpgrade(req, socket, rest, (client) =>
      client.on('message', (data, binary) => client.send(data, { binary })),
    );
  });
  const outer = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    let held = Buffer.alloc(0);
    const onData = (chunk: Buffer) => {
      held = Buffer.concat([held, chunk]);
      try {
        const taken = take(held);
        if (taken === null) return;
        preambles.push(taken.text);
        socket.off('data', onData).pause();
        if (held.length > taken.length) socket.unshift(held.subarray(taken.length));
        inner.emit('connection', socket);
        if (pair === undefined) socket.resume();
      } catch (error) {
        preambles.push(String(error));
        socket.destroy();
      }
    };
    socket.on('data', onData);
  });
  outer.listen(0, '127.0.0.1');
  await once(outer, 'listening');
  return {
    port: (outer.address() as AddressInfo).port,
    preambles,
    requests: () => requests,
    close: () => {
      outer.close();
      for (const socket of sockets) socket.destroy();
      for (const client of echo.clients) client.terminate();
    },
  };
}
