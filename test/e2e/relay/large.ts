// Frames so large that an engine may carry them another way than small ones, what stands behind them, and senders that
// do not stop: the same rules, and nobody waits for another.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { expect, it } from 'vitest';
import { settled } from '../../support/quiet.ts';
import { closeFrame, frame, openTunnel, type TunnelFixture } from '../../support/tunnel-fixture.ts';
import type { Context } from './context.ts';

const MIB = 1024 ** 2;
const NONE = { maxMessage: null, messagesPerSecond: null, bytesPerSecond: null, onLimit: 'close' } as const;

/** Some so large that they come in many reads, some that come in one, and small ones in between and behind. */
const large = (mask: boolean): Buffer[] => [
  frame(randomBytes(MIB), { opcode: 2, mask }),
  frame(randomBytes(40_000), { opcode: 2, mask }),
  frame(randomBytes(300_000), { opcode: 2, fin: false, mask }),
  frame('a ping', { opcode: 9, mask }),
  frame(randomBytes(500_000), { opcode: 0, mask }),
  frame('small', { mask }),
  frame(randomBytes(2 * MIB), { opcode: 2, rsv: 4, mask }),
  frame(randomBytes(70_000), { opcode: 2, mask }),
  frame('', { mask }),
];

/** Waits until the relay has taken something of a large frame for a client that reads nothing. */
async function begun(fixture: TunnelFixture): Promise<void> {
  await expect.poll(() => fixture.tunnel.activity().toClient.bytes).toBeGreaterThan(0);
}

/** Writes as fast as the socket takes it until told to stop, and then to the end of a frame. */
function flood(socket: Socket, bytes: Buffer): () => Promise<void> {
  let stopped = false;
  const over = new AbortController();
  socket.once('close', () => over.abort());
  const done = (async () => {
    while (!stopped && !socket.destroyed) {
      if (!socket.write(bytes)) await once(socket, 'drain', { signal: over.signal }).catch(() => undefined);
    }
  })();
  return () => {
    stopped = true;
    over.abort();
    return done;
  };
}

export function describeLarge({ engine, transport, clock }: Context): void {
  it('large frames and small ones between them arrive as they were, both ways, and are counted', async () => {
    const fixture = await openTunnel(engine(), transport);
    const [up, down] = [large(true), large(false)];
    fixture.client.send(...up);
    fixture.backend.send(...down);
    await Promise.all([fixture.backend.expect(...up), fixture.client.expect(...down)]);
    fixture.client.send(...up);
    await fixture.backend.expect(...up);
    fixture.tunnel.cut('test');
    const end = await fixture.end;
    expect(end.fromClient).toEqual({ bytes: 2 * Buffer.concat(up).length, messages: 14 });
    expect(end.toClient).toEqual({ bytes: Buffer.concat(down).length, messages: 7 });
  });

  it('an opaque tunnel carries them too', async () => {
    const fixture = await openTunnel(engine(), transport, { inspect: false });
    const bytes = randomBytes(8 * MIB);
    fixture.backend.send(bytes);
    fixture.client.send(bytes, Buffer.from('end'));
    await Promise.all([fixture.client.expect(bytes), fixture.backend.expect(bytes, Buffer.from('end'))]);
    fixture.tunnel.cut('test');
    expect((await fixture.end).toClient).toEqual({ bytes: bytes.length, messages: null });
  });

  it('a receiver that stops and starts again gets all of them', async () => {
    const fixture = await openTunnel(engine(), transport);
    const frames = [...large(false), ...large(false), ...large(false), ...large(false)];
    fixture.client.socket.pause();
    fixture.backend.send(...frames);
    const expected = fixture.client.expect(...frames);
    for (let i = 0; i < 20; i++) {
      await clock.advance(0);
      fixture.client.socket.resume();
      await clock.advance(0);
      fixture.client.socket.pause();
    }
    fixture.client.socket.resume();
    await expected;
    fixture.tunnel.cut('test');
    await fixture.end;
  });

  it('a frame over `max_message` behind large ones: they arrive whole, nothing of it does', async () => {
    for (const size of [200_001, 50_000_000]) {
      const fixture = await openTunnel(engine(), transport, {
        limits: { fromClient: { ...NONE, maxMessage: 200_000 }, toClient: null },
      });
      const allowed = [1, 2, 3].map(() => frame(randomBytes(200_000), { opcode: 2, mask: true }));
      fixture.client.send(
        ...allowed,
        frame(randomBytes(1_000), { opcode: 2, mask: true, declared: BigInt(size), form: 64 }),
      );
      await fixture.backend.expect(...allowed);
      expect(await fixture.backend.close()).toBe(1001);
      expect(await fixture.client.close()).toBe(1009);
      fixture.tunnel.cut('test');
      expect((await fixture.end).fromClient).toEqual({ bytes: Buffer.concat(allowed).length, messages: 3 });
    }
  });

  it('a byte rate that a large frame breaks in its middle: the frame arrives whole, then the Close', async () => {
    const fixture = await openTunnel(engine(), transport, {
      limits: { fromClient: { ...NONE, bytesPerSecond: 600_000 }, toClient: null },
    });
    const first = frame(randomBytes(400_000), { opcode: 2, mask: true });
    // Far more than comes in meanwhile, also on a slow machine.
    const second = frame(randomBytes(4_000_000), { opcode: 2, mask: true });
    fixture.client.send(first);
    await fixture.backend.expect(first);
    fixture.client.send(second.subarray(0, 100_000));
    await fixture.backend.expect(second.subarray(0, 100_000));
    fixture.client.send(second.subarray(100_000), frame('never', { mask: true }));
    await fixture.backend.expect(second.subarray(100_000));
    expect(await fixture.backend.close()).toBe(1001);
    expect(await fixture.client.close()).toBe(1008);
    fixture.tunnel.cut('test');
    await fixture.end;
  });

  it('a Close of the gateway stands behind a large frame that its receiver has not taken', async () => {
    const fixture = await openTunnel(engine(), transport);
    const bytes = frame(randomBytes(12 * MIB), { opcode: 2 });
    fixture.client.socket.pause();
    fixture.backend.send(bytes);
    await begun(fixture);
    fixture.tunnel.close(1001, 'drain', 10_000);
    fixture.client.socket.resume();
    await fixture.client.expect(bytes);
    expect(await fixture.client.close()).toBe(1001);
    fixture.tunnel.cut('test');
    await fixture.end;
  });

  it('a FIN right behind a large frame, or behind a part of one, arrives behind it', async () => {
    for (const part of [0, 1, 100_000]) {
      const fixture = await openTunnel(engine(), transport);
      const bytes = Buffer.concat([...large(true), frame(randomBytes(200_000), { mask: true }).subarray(0, part)]);
      fixture.client.send(bytes);
      fixture.client.fin();
      await fixture.backend.expect(bytes);
      await fixture.backend.expectEnd();
      fixture.backend.fin();
      expect(await fixture.end).toMatchObject({ initiator: 'client', reason: 'closed', discarded: 0 });
    }
  });

  it('an answer to a Close behind large frames ends the tunnel like any other', async () => {
    const fixture = await openTunnel(engine(), transport);
    const frames = large(false);
    fixture.backend.send(...frames, closeFrame(1000));
    fixture.backend.fin();
    await fixture.client.expect(...frames, closeFrame(1000));
    await fixture.client.expectEnd();
    fixture.client.send(closeFrame(1000, { mask: true }));
    fixture.client.fin();
    expect(await fixture.end).toMatchObject({ code: 1000, initiator: 'backend', reason: 'closed', cut: false });
  });

  // Below TLS of its own node sends a FIN for it.
  it.skipIf(transport === 'tls')('a client that resets while large frames wait for it ends the tunnel', async () => {
    const fixture = await openTunnel(engine(), transport);
    fixture.client.socket.pause();
    const stop = flood(fixture.backend.socket, frame(randomBytes(MIB), { opcode: 2 }));
    await settled(() => fixture.tunnel.activity().toClient.bytes);
    fixture.client.reset();
    expect(await clock.during(fixture.end)).toMatchObject({ initiator: 'client', reason: 'reset' });
    fixture.backend.socket.destroy();
    await stop();
  });

  it('many receivers that take nothing do not hold up one that does', async () => {
    const shared = engine();
    const slow = await Promise.all(Array.from({ length: 12 }, () => openTunnel(shared, transport)));
    const frames = Array.from({ length: 8 }, () => frame(randomBytes(MIB), { opcode: 2 }));
    for (const fixture of slow) {
      fixture.client.socket.pause();
      fixture.backend.send(...frames);
    }
    for (const each of slow) await begun(each);
    const fixture = await openTunnel(shared, transport);
    fixture.backend.send(...frames);
    await fixture.client.expect(...frames);
    for (const each of slow) each.client.socket.resume();
    await Promise.all(slow.map((each) => each.client.expect(...frames)));
    for (const each of [...slow, fixture]) each.tunnel.cut('test');
    await Promise.all([...slow, fixture].map((each) => each.end));
  });

  it('a sender that never stops does not starve its neighbours', async () => {
    const shared = engine();
    const [small, big, neighbour] = await Promise.all([1, 2, 3].map(() => openTunnel(shared, transport)));
    for (const fixture of [small!, big!]) fixture.client.socket.removeAllListeners('data').resume();
    const stops = [
      flood(small!.backend.socket, Buffer.concat(Array.from({ length: 5_000 }, () => frame('a small one')))),
      flood(big!.backend.socket, frame(randomBytes(4 * MIB), { opcode: 2 })),
    ];
    const flooded = () => [small!, big!].reduce((sum, { tunnel }) => sum + tunnel.activity().toClient.bytes, 0);
    const passed: number[] = [];
    for (let i = 0; i < 25; i++) {
      const before = flooded();
      neighbour!.client.send(frame('ask', { mask: true }));
      await neighbour!.backend.expect(frame('ask', { mask: true }));
      neighbour!.backend.send(frame('answer'));
      await neighbour!.client.expect(frame('answer'));
      passed.push(flooded() - before);
    }
    for (const fixture of [small!, big!, neighbour!]) fixture.tunnel.cut('test');
    await Promise.all([small!, big!, neighbour!].map((fixture) => fixture.end));
    await Promise.all(stops.map((stop) => stop()));
    // What the floods carry during one exchange of the neighbour's.
    passed.sort((a, b) => a - b);
    expect(passed[12]).toBeLessThan(64 * MIB);
  });
}
