// Taking sockets over from node: nothing lost, nothing freed too early, nothing closed on the peers; each fact on which
// the hand-over rests has a test here.
import { createHash, randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { MixedRelay } from '../../src/relay/auto.ts';
import { ADDON } from '../../src/relay/native/addon.ts';
import { NativeRelay } from '../../src/relay/native/native.ts';
import type { TunnelEnd } from '../../src/relay/relay.ts';
import { ANSWER, Gateway, HANDSHAKE, type Hooks } from '../support/handover-fixture.ts';
import { settled } from '../support/quiet.ts';
import { connect, frame, HEAD, openTunnel, Peer, sampled } from '../support/tunnel-fixture.ts';

const { UPGATE_NATIVE: addon = ADDON } = process.env;

describe.skipIf(!existsSync(addon))('hand-over to the native relay', () => {
  const cleanup: (() => unknown)[] = [];
  afterEach(async () => {
    for (const undo of cleanup.splice(0).reverse()) await undo();
  });

  function native(threads = 1): NativeRelay {
    const relay = new NativeRelay(threads, addon);
    cleanup.push(() => relay.stop());
    return relay;
  }

  /** A backend whose connections `serve` takes behind the handshake's head. */
  async function backend(serve: (socket: net.Socket) => void): Promise<number> {
    const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      socket.on('error', () => undefined);
      let got = '';
      socket.on('data', function read(chunk) {
        got += chunk.toString('latin1');
        if (!got.includes('\r\n\r\n')) return;
        socket.removeListener('data', read);
        socket.pause();
        const rest = Buffer.from(got.slice(got.indexOf('\r\n\r\n') + 4), 'latin1');
        if (rest.length > 0) socket.unshift(rest);
        serve(socket);
        socket.resume();
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    cleanup.push(() => server.close());
    return (server.address() as net.AddressInfo).port;
  }

  async function gateway(to: number, hooks: Hooks = {}, relay = native()): Promise<{ gate: Gateway; port: number }> {
    const gate = new Gateway(relay, to, hooks);
    const port = await gate.listen();
    cleanup.push(() => gate.server.close());
    return { gate, port };
  }

  function dial(port: number): Peer {
    return new Peer(net.connect({ host: '127.0.0.1', port, allowHalfOpen: true, noDelay: true }));
  }

  it('1: takes two plain open sockets, and neither TLS nor destroyed nor connecting ones', async () => {
    const relay = native();
    const plain = await connect('plain');
    const secure = await connect('tls');
    expect(relay.canTake(plain.accepted, plain.dialled)).toBe(true);
    expect(relay.canTake(plain.accepted, secure.dialled)).toBe(false);
    expect(relay.canTake(secure.accepted, plain.dialled)).toBe(false);
    const early = net.connect({ host: '127.0.0.1', port: 9 });
    early.on('error', () => undefined);
    expect(relay.canTake(early, plain.dialled)).toBe(false);
    early.destroy();
    plain.accepted.destroy();
    expect(relay.canTake(plain.accepted, plain.dialled)).toBe(false);
    for (const socket of [plain.dialled, secure.accepted, secure.dialled]) socket.destroy();
  });

  it('2: not while an earlier answer on the connection is still to be written', async () => {
    const relay = native();
    const verdicts: boolean[] = [];
    let answer: (() => void) | undefined;
    const other = await connect('plain');
    cleanup.push(() => other.dialled.destroy());
    const server = http.createServer((_req, res) => {
      answer = () => res.end('slow');
    });
    server.on('upgrade', (_req, socket: net.Socket) => {
      verdicts.push(relay.canTake(socket, other.dialled));
      answer?.();
      socket.once('drain', () => undefined);
      setImmediate(() => {
        verdicts.push(relay.canTake(socket, other.dialled));
        socket.destroy();
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    cleanup.push(() => server.close());
    const client = dial((server.address() as net.AddressInfo).port);
    client.send(Buffer.from(`GET / HTTP/1.1\r\nHost: a\r\n\r\n${HANDSHAKE}`));
    await client.until((peer) => peer.ended);
    client.fin();
    expect(verdicts).toEqual([false, true]);
  });

  it('2: not while bytes wait in the socket or in its handle', async () => {
    const relay = native();
    const { dialled, accepted } = await connect('plain');
    accepted.pause();
    while (dialled.write(Buffer.alloc(1 << 20)));
    expect(dialled.writableLength).toBeGreaterThan(0);
    expect(relay.canTake(dialled, accepted)).toBe(false);
    dialled.destroy();
    accepted.destroy();
  });

  it('3: what the client sends while the backend is dialled stays in the kernel and arrives in order', async () => {
    const sent = frame(randomBytes(300_000), { opcode: 2, mask: true });
    const port = await backend((socket) => {
      const peer = new Peer(socket);
      void peer.take(sent.length).then((got) => {
        peer.send(frame(createHash('sha256').update(got).digest()));
      });
      socket.write(ANSWER);
    });
    let client: Peer | undefined;
    const early: number[] = [];
    const { port: at } = await gateway(port, {
      before: async (socket) => {
        await new Promise<unknown>((written) => client?.socket.write(sent, written));
        early.push(socket.readableLength, socket.bytesRead - HANDSHAKE.length);
      },
    });
    client = dial(at);
    client.send(Buffer.from(HANDSHAKE));
    await client.expect(Buffer.from(ANSWER), frame(createHash('sha256').update(sent).digest()));
    expect(early).toEqual([0, 0]);
    client.socket.destroy();
  });

  it('3: bytes that node has read already go first', async () => {
    const fixture = await openTunnel(native(), 'plain', {
      before: async (client, _backend, peers) => {
        client.pause();
        client.on('readable', () => undefined);
        peers.client.send(frame('read by node', { mask: true }));
        while (client.readableLength === 0) await new Promise((wake) => setImmediate(wake));
      },
    });
    fixture.client.send(frame('read by C', { mask: true }));
    await fixture.backend.expect(frame('read by node', { mask: true }), frame('read by C', { mask: true }));
    fixture.tunnel.cut('test');
    await fixture.end;
  });

  it('3: sockets that could not be taken go back to node, and the js engine carries them', async () => {
    const relay = new NativeRelay(1, addon);
    cleanup.push(() => relay.stop());
    const mixed = new MixedRelay(relay);
    const fixture = await openTunnel(mixed, 'plain', {
      before: (_client, gateway) => {
        // A descriptor that cannot be duplicated, as when none is left.
        const { _handle: handle } = gateway as unknown as { _handle: object };
        Object.defineProperty(handle, 'fd', { value: 1 << 24 });
      },
    });
    fixture.client.send(frame('question', { mask: true }));
    await fixture.backend.expect(frame('question', { mask: true }));
    fixture.backend.send(frame('answer'));
    await fixture.client.expect(HEAD, frame('answer'));
    fixture.tunnel.cut('test');
    expect(await fixture.end).toMatchObject({ reason: 'test' });
  });

  it('4: a client that resets during the dial is no uncaught error, and its tunnel ends once', async () => {
    const port = await backend((socket) => {
      socket.resume();
      socket.on('end', () => socket.end());
      socket.write(ANSWER);
    });
    let client: Peer | undefined;
    const { gate, port: at } = await gateway(port, {
      before: async () => {
        client?.reset();
        await once(client!.socket, 'close');
      },
    });
    client = dial(at);
    client.send(Buffer.from(HANDSHAKE));
    const { end } = await gate.tunnel();
    expect(await end).toMatchObject({ initiator: 'client', reason: 'reset' });
  });

  it('4: a client that half-closes before the 101 still gets its answer', async () => {
    const port = await backend((socket) => {
      const peer = new Peer(socket);
      socket.write(ANSWER);
      void peer.rest().then((got) => {
        socket.end(Buffer.concat([got, frame(Buffer.from([3, 232]), { opcode: 8 })]));
      });
    });
    let client: Peer | undefined;
    const { gate, port: at } = await gateway(port, {
      before: () => {
        client?.send(frame('last words', { mask: true }));
        client?.fin();
      },
    });
    client = dial(at);
    client.send(Buffer.from(HANDSHAKE));
    const close = frame(Buffer.from([3, 232]), { opcode: 8 });
    await client.expect(Buffer.from(ANSWER), frame('last words', { mask: true }), close);
    await client.expectEnd();
    const { end } = await gate.tunnel();
    expect(await end).toMatchObject({ code: 1000, initiator: 'client', reason: 'closed' });
  });

  it('5: the native side sends every first byte, also to a client that is slow to take them', async () => {
    const first = randomBytes(3 << 20);
    const fixture = await openTunnel(native(), 'plain', {
      early: { toClient: frame(first, { opcode: 2 }) },
      before: (_client, _backend, peers) => {
        peers.client.socket.pause();
      },
    });
    fixture.backend.send(frame('behind'));
    fixture.client.socket.resume();
    await fixture.client.expect(HEAD, frame(first, { opcode: 2 }), frame('behind'));
    fixture.tunnel.cut('test');
    await fixture.end;
  });

  it("6: node's sockets close without a word to the peers, and the server does not wait for tunnels", async () => {
    const port = await backend((socket) => {
      socket.write(ANSWER);
      socket.pipe(socket);
    });
    const seen: string[] = [];
    const { gate, port: at } = await gateway(port, {
      before: (client, other) => {
        for (const [name, socket] of [
          ['client', client],
          ['backend', other],
        ] as const) {
          socket.on('error', () => seen.push(`${name} error`)).on('close', () => seen.push(`${name} close`));
        }
      },
    });
    const client = dial(at);
    client.send(Buffer.from(HANDSHAKE));
    await client.expect(Buffer.from(ANSWER));
    const { client: given, backend: other } = await gate.tunnel();
    expect(given.destroyed && other.destroyed).toBe(true);
    await new Promise((closed) => gate.server.close(closed));
    expect(seen.sort()).toEqual(['backend close', 'client close']);
    client.send(frame('still here', { mask: true }));
    await client.expect(frame('still here', { mask: true }));
    expect(client.ended || client.closed).toBe(false);
    client.socket.destroy();
  });

  it('7: a command for a tunnel that has ended does not reach the one in its slot', async () => {
    const relay = native();
    const first = await openTunnel(relay, 'plain');
    first.tunnel.cut('over');
    await first.end;
    const second = await openTunnel(relay, 'plain');
    first.tunnel.cut('again');
    first.tunnel.close(1001, 'again', 1_000);
    second.client.send(frame('unharmed', { mask: true }));
    await second.backend.expect(frame('unharmed', { mask: true }));
    second.tunnel.cut('test');
    expect(await second.end).toMatchObject({ reason: 'test' });
  });

  it('7: tunnels that end in every way at once, while others open in their slots, each tell it once', async () => {
    const relay = native(2);
    const ends: Promise<TunnelEnd>[] = [];
    let told = 0;
    for (let round = 0; round < 15; round++) {
      const rigs = await Promise.all(Array.from({ length: 12 }, () => openTunnel(relay, 'plain')));
      for (const [i, fixture] of rigs.entries()) {
        ends.push(fixture.end);
        void fixture.end.then(() => told++);
        fixture.client.send(frame(randomBytes(randomInt(5_000)), { opcode: 2, mask: true }));
        if (i % 4 === 0) fixture.tunnel.cut('cut');
        else if (i % 4 === 1) fixture.client.reset();
        else if (i % 4 === 2) fixture.backend.reset();
        else fixture.tunnel.close(1001, 'closed', 50);
        if (i % 4 === 2) fixture.client.fin();
      }
    }
    await Promise.all(ends);
    expect(told).toBe(180);
  });

  it('a closed tunnel is known within 100 ms', async () => {
    const relay = native();
    const waits: number[] = [];
    for (let i = 0; i < 5; i++) {
      const fixture = await openTunnel(relay, 'plain');
      const at = performance.now();
      fixture.tunnel.cut('test');
      await fixture.end;
      waits.push(performance.now() - at);
    }
    expect(Math.min(...waits)).toBeLessThan(100);
  });

  it('a stopped engine takes nothing, still samples what it carried, and ignores commands', async () => {
    const relay = new NativeRelay(1, addon);
    const mixed = new MixedRelay(relay);
    const before = await openTunnel(mixed, 'plain');
    before.client.send(frame('counted', { mask: true }));
    await before.backend.expect(frame('counted', { mask: true }));
    relay.stop();
    relay.stop();
    await before.backend.gone();
    before.tunnel.cut('late');
    before.tunnel.close(1001, 'late', 1_000);
    const after = await openTunnel(mixed, 'plain');
    after.client.send(frame('by js', { mask: true }));
    await after.backend.expect(frame('by js', { mask: true }));
    after.tunnel.cut('test');
    await after.end;
    expect(sampled(mixed, 'websocket_messages_total', { route: 'r', direction: 'from_client' })).toBe(2);
    for (const peer of [before.client, before.backend]) peer.socket.destroy();
  });

  it('8: a peer that resets while it is not read does not keep a thread busy, and what it sent is flushed', async () => {
    const fixture = await openTunnel(native(), 'plain');
    fixture.backend.socket.pause();
    const sent = frame(randomBytes(24 << 20), { opcode: 2, mask: true });
    fixture.client.socket.write(sent);
    await settled(() => fixture.client.socket.bytesWritten - fixture.client.socket.writableLength);
    fixture.client.reset();
    const start = process.cpuUsage();
    await new Promise((wake) => setTimeout(wake, 500));
    const used = process.cpuUsage(start);
    expect(used.user + used.system).toBeLessThan(250_000);
    const end = fixture.backend.rest();
    fixture.backend.socket.resume();
    const got = await end;
    expect(got.equals(sent.subarray(0, got.length))).toBe(true);
    fixture.backend.fin();
    expect(await fixture.end).toMatchObject({ initiator: 'client', reason: 'reset' });
  });

  it('loses nothing with both ends blasting behind handshake and 101, split at random', async () => {
    const size = 60_000;
    const sealed = (mask: boolean) => {
      const body = randomBytes(size);
      return frame(Buffer.concat([body, createHash('sha256').update(body).digest()]), { opcode: 2, mask });
    };
    const whole = (payload: Buffer) =>
      createHash('sha256').update(payload.subarray(0, size)).digest().equals(payload.subarray(size));
    const pour = async (socket: net.Socket, bytes: Buffer) => {
      for (let at = 0; at < bytes.length; ) {
        const piece = 1 + randomInt(9_000);
        socket.write(bytes.subarray(at, at + piece));
        at += piece;
        if (randomInt(3) === 0) await new Promise((wake) => setImmediate(wake));
      }
    };
    const verdicts: boolean[] = [];
    const port = await backend((socket) => {
      const peer = new Peer(socket);
      void pour(socket, Buffer.concat([Buffer.from(ANSWER), sealed(false)]));
      void peer.frame().then(({ payload }) => verdicts.push(whole(payload)));
    });
    const { gate, port: at } = await gateway(port, {}, native(2));
    const tunnels = 150;
    const clients = Array.from({ length: tunnels }, async (_, i) => {
      const client = dial(at);
      await once(client.socket, 'connect');
      const pouring = pour(client.socket, Buffer.concat([Buffer.from(HANDSHAKE), sealed(true)]));
      await client.expect(Buffer.from(ANSWER));
      verdicts.push(whole((await client.frame()).payload));
      await pouring;
      const { tunnel } = await gate.tunnel(i);
      return () => tunnel.cut('test');
    });
    const cuts = await Promise.all(clients);
    await expect.poll(() => verdicts.length).toBe(2 * tunnels);
    expect(verdicts.filter((held) => !held)).toEqual([]);
    for (const cut of cuts) cut();
    await Promise.all(gate.handed.map(({ end }) => end));
  });
});
