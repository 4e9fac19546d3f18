// What a connection passes before node's server gets it, where real sockets can't be made to do it: a peer that is gone
// already. The rest is e2e/proxy-protocol.test.ts.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, Socket } from 'node:net';
import { expect, it } from 'vitest';
import type { ListenerRules } from '../../../src/actions/listener-rules.ts';
import { peerOf } from '../../../src/actions/peer.ts';
import { ProxyPreambleFilter } from '../../../src/listen/proxy-preamble.ts';

const RULES = {} as ListenerRules;
const silent = (): never => {
  throw new Error('nothing is told here');
};

it.each(['tcp', 'unix'] as const)('over %s: one without an address', (over) => {
  const taken: Socket[] = [];
  const server = createServer((socket) => taken.push(socket));
  new ProxyPreambleFilter(server, {
    address: 'a',
    over,
    rules: RULES,
    admits: () => true,
    deliver: (_socket, http1) => http1(),
    emit: silent,
  });
  const socket = new Socket();
  server.emit('connection', socket);
  // By TCP it was reset before anyone looked, and must not be taken for a peer on a unix socket.
  expect(socket.destroyed).toBe(over === 'tcp');
  expect(taken).toEqual(over === 'tcp' ? [] : [socket]);
});

it('the peer is known when the connection is gone, and when it comes again', async () => {
  const taken: Socket[] = [];
  const server = createServer((socket) => taken.push(socket));
  new ProxyPreambleFilter(server, {
    address: 'a',
    over: 'tcp',
    rules: RULES,
    admits: () => true,
    deliver: (_socket, http1) => http1(),
    emit: silent,
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [socket] = (await once(server, 'connection')) as [Socket];
  const port = client.localPort;
  socket.destroy();
  await once(socket, 'close');
  expect(peerOf(socket)).toEqual({ address: '127.0.0.1', port, destination: null, listener: RULES });
  server.emit('connection', socket);
  expect(taken).toEqual([socket, socket]);
  client.destroy();
  server.close();
});

it('a connection that nobody let in has no address of anyone', () =>
  expect(peerOf(new Socket()).address).toBe('unknown'));
