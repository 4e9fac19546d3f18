// A Close of the gateway's own between two frames, its answer, and the end.
import { expect, it } from 'vitest';
import { closeFrame, frame, openTunnel } from '../../support/tunnel-fixture.ts';
import type { Context } from './context.ts';

const LONG = 60_000;

export function describeClose({ engine, transport }: Context): void {
  it('both receivers get the code and the reason, toward the backend masked with a fresh random key', async () => {
    const keys = new Set<string>();
    for (let i = 0; i < 3; i++) {
      const rig = await openTunnel(engine(), transport);
      rig.tunnel.close(1012, 'drain', LONG);
      await rig.client.expect(Buffer.from([0x88, 7, 3, 0xf4]), Buffer.from('drain'));
      const toBackend = await rig.backend.frame();
      expect(toBackend).toMatchObject({ opcode: 8, fin: true, masked: true });
      expect(toBackend.payload.toString('latin1')).toBe('\x03\xf4drain');
      keys.add(toBackend.key.toString('hex'));
      rig.tunnel.cut('test');
      expect(await rig.end).toMatchObject({ code: 1012, initiator: 'gateway', reason: 'drain' });
    }
    expect(keys.size).toBe(3);
  });

  it('for each receiver it waits for the end of a message', async () => {
    const rig = await openTunnel(engine(), transport);
    const parts = [
      frame('one', { fin: false }),
      frame('two', { opcode: 0, fin: false }),
      frame('three', { opcode: 0 }),
    ];
    rig.backend.send(parts[0]!);
    await rig.client.expect(parts[0]!);
    rig.tunnel.close(1001, 'drain', LONG);
    // The other direction is between messages, and does not wait.
    expect(await rig.backend.close()).toBe(1001);
    rig.backend.send(parts[1]!, frame('p', { opcode: 9 }), parts[2]!, frame('never'));
    await rig.client.expect(parts[1]!, frame('p', { opcode: 9 }), parts[2]!);
    expect(await rig.client.close()).toBe(1001);
    rig.tunnel.cut('test');
    expect((await rig.end).discarded).toBe(frame('never').length);
  });

  it('a Close never stands inside a frame', async () => {
    const rig = await openTunnel(engine(), transport);
    const big = frame(Buffer.alloc(1024 ** 2, 'x'), { mask: true, opcode: 2 });
    rig.client.send(big.subarray(0, 5_000));
    await rig.backend.take(5_000);
    rig.tunnel.close(1001, 'drain', LONG);
    expect(await rig.client.close()).toBe(1001);
    rig.client.send(big.subarray(5_000), frame('never', { mask: true }));
    await rig.backend.expect(big.subarray(5_000));
    expect(await rig.backend.close()).toBe(1001);
    rig.tunnel.cut('test');
    await rig.end;
  });

  it('after half the deadline any frame boundary will do', async () => {
    const rig = await openTunnel(engine(), transport);
    const begun = frame('one', { fin: false });
    rig.backend.send(begun);
    await rig.client.expect(begun);
    const at = performance.now();
    rig.tunnel.close(1001, 'drain', 3_600);
    expect(await rig.client.close()).toBe(1001);
    expect(performance.now() - at).toBeGreaterThan(1_700);
    expect(performance.now() - at).toBeLessThan(3_600);
    rig.tunnel.cut('test');
    await rig.end;
  });

  it('after 2 s any frame boundary will do', async () => {
    const rig = await openTunnel(engine(), transport);
    const begun = frame('one', { fin: false });
    const long = frame(Buffer.alloc(400), { opcode: 0, fin: false });
    rig.backend.send(begun, long.subarray(0, 100));
    await rig.client.expect(begun, long.subarray(0, 100));
    const at = performance.now();
    rig.tunnel.close(1001, 'drain', LONG);
    expect(await rig.backend.close()).toBe(1001);
    await new Promise((resolve) => setTimeout(resolve, 2_300));
    rig.backend.send(long.subarray(100), frame('never', { opcode: 0 }));
    await rig.client.expect(long.subarray(100));
    expect(await rig.client.close()).toBe(1001);
    expect(performance.now() - at).toBeLessThan(8_000);
    rig.tunnel.cut('test');
    await rig.end;
  });

  it('a receiver toward which a Close has passed gets none of ours', async () => {
    const rig = await openTunnel(engine(), transport);
    rig.backend.send(closeFrame(1000));
    await rig.client.expect(closeFrame(1000));
    rig.tunnel.close(1001, 'drain', LONG);
    expect(await rig.backend.close()).toBe(1001);
    rig.client.send(closeFrame(1000, { mask: true }));
    // The natural closing handshake finishes: the client's answer brings FIN, and nothing else.
    await rig.client.expectEnd();
    rig.client.fin();
    rig.backend.fin();
    await rig.backend.expectEnd();
    expect(await rig.end).toMatchObject({ code: 1000, initiator: 'backend', reason: 'closed', cut: false });
  });

  it('an end that has sent its Close gets ours as the answer, and FIN', async () => {
    const rig = await openTunnel(engine(), transport);
    const close = closeFrame(1000, { mask: true });
    rig.client.send(close);
    await rig.backend.expect(close);
    rig.tunnel.close(1001, 'drain', LONG);
    expect(await rig.client.close()).toBe(1001);
    await rig.client.expectEnd();
    rig.client.fin();
    rig.backend.send(closeFrame(1000));
    rig.backend.fin();
    await rig.backend.expectEnd();
    expect(await rig.end).toMatchObject({ code: 1000, initiator: 'client', cut: false });
  });

  it('from then on nothing of the other end is relayed: it is read, never paused, and discarded', async () => {
    const rig = await openTunnel(engine(), transport);
    rig.client.socket.pause();
    rig.tunnel.close(1001, 'drain', LONG);
    expect(await rig.backend.close()).toBe(1001);
    const blast = frame(Buffer.alloc(16 * 1024 ** 2, 'y'), { opcode: 2 });
    await new Promise<void>((written) => rig.backend.socket.write(blast, () => written()));
    rig.backend.send(closeFrame(1001));
    rig.backend.fin();
    await rig.backend.expectEnd();
    rig.client.socket.resume();
    expect(await rig.client.close()).toBe(1001);
    rig.client.send(closeFrame(1001, { mask: true }));
    await rig.client.expectEnd();
    rig.client.fin();
    const end = await rig.end;
    expect(end.toClient.bytes).toBe(0);
    expect(end.discarded).toBe(blast.length + closeFrame(1001).length + closeFrame(1001, { mask: true }).length);
    expect(end.cut).toBe(false);
  });

  it('a direction that has not reached its boundary keeps relaying, and an answering Close is its last boundary', async () => {
    const rig = await openTunnel(engine(), transport);
    const begun = frame('one', { fin: false, mask: true });
    const more = frame('two', { opcode: 0, fin: false, mask: true });
    rig.client.send(begun);
    await rig.backend.expect(begun);
    rig.tunnel.close(1001, 'drain', LONG);
    expect(await rig.client.close()).toBe(1001);
    rig.client.send(more);
    await rig.backend.expect(more);
    rig.client.send(closeFrame(1001, { mask: true }));
    const close = await rig.backend.frame();
    expect(close).toMatchObject({ opcode: 8, masked: true });
    expect(close.payload.toString('latin1')).toBe('\x03\xe9drain');
    await rig.client.expectEnd();
    rig.tunnel.cut('test');
    await rig.end;
  });

  it('a Close of an end that crosses ours passes where its receiver still waits', async () => {
    const rig = await openTunnel(engine(), transport);
    const [toClient, toBackend] = [frame('a', { fin: false }), frame('b', { fin: false, mask: true })];
    rig.backend.send(toClient);
    rig.client.send(toBackend);
    await rig.client.expect(toClient);
    await rig.backend.expect(toBackend);
    rig.tunnel.close(1001, 'drain', LONG);
    rig.client.send(closeFrame(1000, { mask: true }));
    await rig.backend.expect(closeFrame(1000, { mask: true }));
    rig.backend.send(closeFrame(1000));
    await rig.client.expect(closeFrame(1000));
    await rig.client.expectEnd();
    rig.client.fin();
    rig.backend.fin();
    await rig.backend.expectEnd();
    expect(await rig.end).toMatchObject({ code: 1000, reason: 'drain', cut: false });
  });

  it("a receiver's answer is consumed; the client then gets FIN at once, the backend after its own", async () => {
    const rig = await openTunnel(engine(), transport);
    rig.tunnel.close(1001, 'drain', LONG);
    expect(await rig.client.close()).toBe(1001);
    expect(await rig.backend.close()).toBe(1001);
    rig.client.send(closeFrame(1001, { mask: true }));
    await rig.client.expectEnd();
    rig.client.fin();
    rig.backend.send(closeFrame(1001));
    // No FIN toward the backend before its own: it can still say something, and gets no answer.
    rig.backend.send(frame('after'));
    expect(rig.backend.ended).toBe(false);
    rig.backend.fin();
    await rig.backend.expectEnd();
    const end = await rig.end;
    expect(end).toMatchObject({ code: 1001, initiator: 'gateway', reason: 'drain', cut: false });
    expect(end.fromClient.bytes).toBe(0);
  });

  it('the backend gets FIN after at most 5 s without its own', async () => {
    const rig = await openTunnel(engine(), transport);
    rig.tunnel.close(1001, 'drain', LONG);
    await rig.backend.close();
    const at = performance.now();
    rig.backend.send(closeFrame(1001));
    await rig.backend.expectEnd();
    expect(performance.now() - at).toBeGreaterThan(4_500);
    expect(performance.now() - at).toBeLessThan(10_000);
    rig.tunnel.cut('test');
    await rig.end;
  });

  it('input that comes after the FIN is read, so that it cannot turn the Close into a RST; then the side is destroyed', async () => {
    const rig = await openTunnel(engine(), transport);
    rig.tunnel.close(1001, 'drain', LONG);
    rig.client.socket.pause();
    rig.client.send(closeFrame(1001, { mask: true }));
    await rig.backend.close();
    rig.backend.send(closeFrame(1001));
    rig.backend.fin();
    await rig.backend.expectEnd();
    const at = performance.now();
    // Little enough to be read within 5 s on any machine; one byte unread would be a RST.
    const noise = Buffer.alloc(512 * 1024);
    await new Promise<void>((written) => rig.client.socket.write(noise, () => written()));
    rig.client.socket.resume();
    expect(await rig.client.close()).toBe(1001);
    await rig.client.expectEnd();
    expect(rig.client.error).toBe(null);
    const end = await rig.end;
    expect(performance.now() - at).toBeGreaterThan(4_000);
    expect(performance.now() - at).toBeLessThan(12_000);
    expect(end.cut).toBe(false);
    expect(end.discarded).toBeGreaterThanOrEqual(noise.length);
  });

  it("every wait ends at the caller's deadline: past it the tunnel is cut and counted as cut", async () => {
    const rig = await openTunnel(engine(), transport);
    const at = performance.now();
    rig.tunnel.close(1001, 'drain', 700);
    expect(await rig.client.close()).toBe(1001);
    const end = await rig.end;
    expect(performance.now() - at).toBeGreaterThan(600);
    expect(performance.now() - at).toBeLessThan(5_000);
    expect(end).toMatchObject({ code: 1001, reason: 'drain', cut: true });
  });

  it('a later close() may shorten the deadline', async () => {
    const rig = await openTunnel(engine(), transport);
    rig.tunnel.close(1001, 'drain', LONG);
    rig.tunnel.close(1012, 'again', 300);
    expect(await rig.client.close()).toBe(1001);
    expect(await rig.end).toMatchObject({ code: 1001, reason: 'drain', cut: true });
  });

  it('cut() ends it at once', async () => {
    const rig = await openTunnel(engine(), transport);
    rig.tunnel.cut('test');
    rig.tunnel.cut('again');
    expect(await rig.end).toMatchObject({ code: null, initiator: 'gateway', reason: 'test', cut: true });
    rig.tunnel.close(1001, 'late', LONG);
    expect(rig.ends()).toBe(1);
  });

  it.each([
    ['a 64-bit length with the top bit set', frame('', { opcode: 2, declared: 2n ** 63n, form: 64 })],
    ['a control frame over 125 bytes', frame(Buffer.alloc(126), { opcode: 9 })],
    ['a control frame with FIN=0', frame('x', { opcode: 9, fin: false })],
  ])('a direction lost by %s is opaque, and close() cuts it without a Close', async (_name, bytes) => {
    const rig = await openTunnel(engine(), transport);
    const passes = [frame('before'), bytes, Buffer.from('anything at all')];
    rig.backend.send(...passes);
    await rig.client.expect(...passes);
    rig.backend.send(bytes.subarray(0, 1));
    await rig.client.expect(bytes.subarray(0, 1));
    rig.tunnel.close(1001, 'drain', LONG);
    await rig.client.expectEnd();
    rig.client.fin();
    expect(await rig.backend.close()).toBe(1001);
    await rig.backend.expectEnd();
    rig.backend.fin();
    expect((await rig.end).toClient.messages).toBe(1);
  });
}
