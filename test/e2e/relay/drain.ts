// Draining tunnels in every state: no receiver sees a torn frame, and an ordinary client library reports the code.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { expect, it } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { FRAME, FrameCursor, HEADER } from '../../../src/relay/js/cursor.ts';
import type { Tunnel, TunnelEnd } from '../../../src/relay/relay.ts';
import { closeFrame, frame, OPTIONS, openTunnel, type Peer, type TunnelFixture } from '../../support/tunnel-fixture.ts';
import type { Context } from './context.ts';

/** Answers a Close as an end should, and reads to the end. */
async function finish(fixture: TunnelFixture, side: 'client' | 'backend'): Promise<number> {
  const peer = fixture[side];
  const code = await peer.close();
  peer.send(closeFrame(code, { mask: side === 'client' }));
  peer.fin();
  await peer.expectEnd();
  return code;
}

/** Sends messages in fragments and odd pieces until a Close comes, answers it, and returns all bytes it got. */
async function blather(peer: Peer, mask: boolean, seed: number): Promise<Buffer> {
  const cursor = new FrameCursor();
  let at = 0;
  const closed = () => {
    while (at < peer.length || cursor.event === HEADER) {
      at = cursor.step(peer.bytes, at);
      if (cursor.event === FRAME && cursor.opcode === 8) return true;
    }
    return false;
  };
  let random = seed * 7919 + 1;
  const next = (max: number) => {
    random = (random * 48_271) % 0x7fffffff;
    return random % max;
  };
  while (!closed() && !peer.ended) {
    const message = Buffer.concat([
      frame(Buffer.alloc(next(400)), { fin: false, mask }),
      frame(Buffer.alloc(next(100)), { opcode: 9, mask }),
      frame(Buffer.alloc(next(3_000)), { opcode: 0, mask }),
    ]);
    for (let from = 0; from < message.length; ) {
      const to = from + 1 + next(900);
      peer.send(message.subarray(from, to));
      from = to;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  peer.send(closeFrame(1001, { mask }));
  peer.fin();
  return peer.rest();
}

/** Reads what a receiver got: the code of its Close, whether a frame was torn, and how many bytes stand behind. */
function closesWhole(bytes: Buffer): { code: number | null; torn: boolean; behind: number } {
  const cursor = new FrameCursor();
  let at = 0;
  while (at < bytes.length || cursor.event === HEADER) {
    at = cursor.step(bytes, at);
    if (cursor.event === FRAME && cursor.opcode === 8) break;
  }
  return { code: cursor.closeCode, torn: cursor.inFrame || cursor.held > 0, behind: bytes.length - at };
}

export function describeDrain({ engine, transport }: Context): void {
  const drain = (fixture: TunnelFixture) => fixture.tunnel.close(1001, 'drain', 20_000);

  it('mid-way through a megabyte frame', async () => {
    const fixture = await openTunnel(engine(), transport);
    const big = frame(Buffer.alloc(1024 ** 2, 'm'), { opcode: 2 });
    fixture.backend.send(big.subarray(0, 300_000));
    await fixture.client.take(300_000);
    drain(fixture);
    fixture.backend.send(big.subarray(300_000), frame('never'));
    await fixture.client.expect(big.subarray(300_000));
    expect(await Promise.all([finish(fixture, 'client'), finish(fixture, 'backend')])).toEqual([1001, 1001]);
    expect(await fixture.end).toMatchObject({ code: 1001, cut: false });
  });

  it('mid-way through a fragmented message that is never ended', async () => {
    const fixture = await openTunnel(engine(), transport);
    fixture.client.send(frame('begun', { fin: false, mask: true }));
    await fixture.backend.expect(frame('begun', { fin: false, mask: true }));
    fixture.tunnel.close(1001, 'drain', 10_000);
    const client = finish(fixture, 'client');
    expect(await fixture.backend.close()).toBe(1001);
    expect(await client).toBe(1001);
    fixture.backend.send(closeFrame(1001));
    fixture.backend.fin();
    await fixture.backend.expectEnd();
    expect(await fixture.end).toMatchObject({ code: 1001, cut: false });
  });

  it('under back-pressure', async () => {
    const fixture = await openTunnel(engine(), transport);
    fixture.client.socket.pause();
    const big = frame(Buffer.alloc(24 * 1024 ** 2, 'b'), { opcode: 2 });
    fixture.backend.send(big, frame('never'));
    await expect.poll(() => fixture.tunnel.activity().toClient.bytes).toBeGreaterThan(0);
    drain(fixture);
    const backend = finish(fixture, 'backend');
    fixture.client.socket.resume();
    await fixture.client.expect(big);
    expect(await fixture.client.close()).toBe(1001);
    fixture.client.send(closeFrame(1001, { mask: true }));
    fixture.client.fin();
    await fixture.client.expectEnd();
    expect(await backend).toBe(1001);
    expect(await fixture.end).toMatchObject({ code: 1001, cut: false });
  });

  it('already closing', async () => {
    const fixture = await openTunnel(engine(), transport);
    fixture.client.send(closeFrame(1000, { mask: true }));
    await fixture.backend.expect(closeFrame(1000, { mask: true }));
    fixture.backend.send(closeFrame(1000));
    await fixture.client.expect(closeFrame(1000));
    drain(fixture);
    await fixture.client.expectEnd();
    fixture.client.fin();
    fixture.backend.fin();
    await fixture.backend.expectEnd();
    expect(await fixture.end).toMatchObject({ code: 1000, initiator: 'client', cut: false });
  });

  it('half-closed', async () => {
    const fixture = await openTunnel(engine(), transport);
    fixture.client.fin();
    await fixture.backend.expectEnd();
    fixture.backend.send(frame('still'));
    await fixture.client.expect(frame('still'));
    drain(fixture);
    expect(await fixture.client.close()).toBe(1001);
    await fixture.client.expectEnd();
    fixture.backend.fin();
    expect(await fixture.end).toMatchObject({ code: 1001, initiator: 'client', cut: false });
  });

  it('lost', async () => {
    const fixture = await openTunnel(engine(), transport);
    const bytes = frame('', { opcode: 2, declared: 2n ** 64n - 1n, form: 64 });
    fixture.backend.send(bytes);
    await fixture.client.expect(bytes);
    drain(fixture);
    await fixture.client.expectEnd();
    fixture.client.fin();
    expect(await fixture.backend.close()).toBe(1001);
    fixture.backend.fin();
    await fixture.backend.expectEnd();
    expect((await fixture.end).cut).toBe(false);
  });

  it('at any moment of random traffic: whole frames, then the Close, then nothing', async () => {
    for (let run = 0; run < 30; run++) {
      const fixture = await openTunnel(engine(), transport);
      const both = [blather(fixture.client, true, run), blather(fixture.backend, false, run + 1)];
      await fixture[run % 2 === 0 ? 'client' : 'backend'].until((peer) => peer.length > run * 900);
      drain(fixture);
      const whole = { code: 1001, torn: false, behind: 0 };
      for (const bytes of await Promise.all(both)) expect(closesWhole(bytes)).toEqual(whole);
      expect(await fixture.end).toMatchObject({ code: 1001, reason: 'drain', cut: false });
    }
  });

  it.skipIf(transport === 'tls')(
    'ws clients and servers report the code, and every message that came is whole',
    async () => {
      const relay = engine();
      const text = 'z'.repeat(1024 ** 2);
      const digest = createHash('sha256').update(text).digest('hex');
      const backend = new WebSocketServer({ port: 0, host: '127.0.0.1' });
      await once(backend, 'listening');
      const backendCodes: Promise<number>[] = [];
      backend.on('connection', (socket) => {
        backendCodes.push(once(socket, 'close').then(([code]) => code as number));
        socket.on('message', (data) => socket.send(data));
      });
      const tunnels: Tunnel[] = [];
      const ends: Promise<TunnelEnd>[] = [];
      const gateway = http.createServer();
      gateway.on('upgrade', (req, client: net.Socket, rest: Buffer) => {
        client.on('error', () => undefined);
        const upstream = net.connect((backend.address() as net.AddressInfo).port, '127.0.0.1');
        upstream.write(
          `GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n` +
            `Sec-WebSocket-Key: ${req.headers['sec-websocket-key']}\r\n\r\n`,
        );
        upstream.once('data', (answer) => {
          upstream.pause();
          const headLength = answer.indexOf('\r\n\r\n') + 4;
          const sockets = { client, backend: upstream, toClient: answer, headLength, toBackend: rest };
          ends.push(new Promise((resolve) => tunnels.push(relay.open(sockets, OPTIONS, resolve))));
        });
      });
      gateway.listen(0, '127.0.0.1');
      await once(gateway, 'listening');
      const { port } = gateway.address() as net.AddressInfo;
      const clients = Array.from(
        { length: 8 },
        () => new WebSocket(`ws://127.0.0.1:${port}/`, { perMessageDeflate: false }),
      );
      const bad: string[] = [];
      const codes = clients.map((client) => {
        client.on('error', (error) => bad.push(error.message));
        client.on('message', (data) => {
          if (
            createHash('sha256')
              .update(data as Buffer)
              .digest('hex') !== digest
          )
            bad.push('a torn message');
          else client.send(text);
        });
        return once(client, 'close').then(([code]) => code as number);
      });
      // Drained while every client has megabyte messages on the way in both directions.
      await Promise.all(
        clients.map(async (client) => {
          await once(client, 'open');
          client.send(text);
          await once(client, 'message');
        }),
      );
      for (const tunnel of tunnels) tunnel.close(1012, 'drain', 30_000);
      expect(await Promise.all(codes)).toEqual(clients.map(() => 1012));
      expect(await Promise.all(backendCodes)).toEqual(clients.map(() => 1012));
      expect(bad).toEqual([]);
      for (const end of await Promise.all(ends)) expect(end).toMatchObject({ code: 1012, reason: 'drain', cut: false });
      gateway.close();
      backend.close();
    },
  );
}
