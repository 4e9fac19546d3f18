// A Close of the gateway's own between two frames, its answer, and the end.
import { expect, it } from 'vitest';
import { closeFrame, frame, openTunnel } from '../../support/tunnel-fixture.ts';
import type { Context } from './context.ts';

const LONG = 60_000;

export function describeClose({ engine, transport, clock }: Context): void {
  it('both receivers get the code and the reason, toward the backend masked with a fresh random key', async () => {
    const keys = new Set<string>();
    for (let i = 0; i < 3; i++) {
      const fixture = await openTunnel(engine(), transport);
      fixture.tunnel.close(1012, 'drain', LONG);
      await fixture.client.expect(Buffer.from([0x88, 7, 3, 0xf4]), Buffer.from('drain'));
      const toBackend = await fixture.backend.frame();
      expect(toBackend).toMatchObject({ opcode: 8, fin: true, masked: true });
      expect(toBackend.payload.toString('latin1')).toBe('\x03\xf4drain');
      keys.add(toBackend.key.toString('hex'));
      fixture.tunnel.cut('test');
      expect(await fixture.end).toMatchObject({ code: 1012, initiator: 'gateway', reason: 'drain' });
    }
    expect(keys.size).toBe(3);
  });

  it('for each receiver it waits for the end of a message', async () => {
    const fixture = await openTunnel(engine(), transport);
    const parts = [
      frame('one', { fin: false }),
      frame('two', { opcode: 0, fin: false }),
      frame('three', { opcode: 0 }),
    ];
    fixture.backend.send(parts[0]!);
    await fixture.client.expect(parts[0]!);
    fixture.tunnel.close(1001, 'drain', LONG);
    // The other direction is between messages, and does not wait.
    expect(await fixture.backend.close()).toBe(1001);
    fixture.backend.send(parts[1]!, frame('p', { opcode: 9 }), parts[2]!, frame('never'));
    await fixture.client.expect(parts[1]!, frame('p', { opcode: 9 }), parts[2]!);
    expect(await fixture.client.close()).toBe(1001);
    fixture.tunnel.cut('test');
    expect((await fixture.end).discarded).toBe(frame('never').length);
  });

  it('a Close never stands inside a frame', async () => {
    const fixture = await openTunnel(engine(), transport);
    const big = frame(Buffer.alloc(1024 ** 2, 'x'), { mask: true, opcode: 2 });
    fixture.client.send(big.subarray(0, 5_000));
    await fixture.backend.take(5_000);
    fixture.tunnel.close(1001, 'drain', LONG);
    expect(await fixture.client.close()).toBe(1001);
    fixture.client.send(big.subarray(5_000), frame('never', { mask: true }));
    await fixture.backend.expect(big.subarray(5_000));
    expect(await fixture.backend.close()).toBe(1001);
    fixture.tunnel.cut('test');
    await fixture.end;
  });

  it('after half the deadline any frame boundary will do', async () => {
    const fixture = await openTunnel(engine(), transport);
    const begun = frame('one', { fin: false });
    fixture.backend.send(begun);
    await fixture.client.expect(begun);
    fixture.tunnel.close(1001, 'drain', 3_600);
    await clock.advance(1_750);
    expect(fixture.client.length).toBe(0);
    await clock.advance(100);
    expect(await fixture.client.close()).toBe(1001);
    fixture.tunnel.cut('test');
    await fixture.end;
  });

  it('after 2 s any frame boundary will do', async () => {
    const fixture = await openTunnel(engine(), transport);
    const begun = frame('one', { fin: false });
    const long = frame(Buffer.alloc(400), { opcode: 0, fin: false });
    fixture.backend.send(begun, long.subarray(0, 100));
    await fixture.client.expect(begun, long.subarray(0, 100));
    fixture.tunnel.close(1001, 'drain', LONG);
    expect(await fixture.backend.close()).toBe(1001);
    await clock.advance(2_050);
    fixture.backend.send(long.subarray(100), frame('never', { opcode: 0 }));
    await fixture.client.expect(long.subarray(100));
    expect(await fixture.client.close()).toBe(1001);
    fixture.tunnel.cut('test');
    await fixture.end;
  });

  it('a receiver toward which a Close has passed gets none of ours', async () => {
    const fixture = await openTunnel(engine(), transport);
    fixture.backend.send(closeFrame(1000));
    await fixture.client.expect(closeFrame(1000));
    fixture.tunnel.close(1001, 'drain', LONG);
    expect(await fixture.backend.close()).toBe(1001);
    fixture.client.send(closeFrame(1000, { mask: true }));
    // The natural closing handshake finishes: the client's answer brings FIN, and nothing else.
    await fixture.client.expectEnd();
    fixture.client.fin();
    fixture.backend.fin();
    await fixture.backend.expectEnd();
    expect(await fixture.end).toMatchObject({ code: 1000, initiator: 'backend', reason: 'closed', cut: false });
  });

  it('an end that has sent its Close gets ours as the answer, and FIN', async () => {
    const fixture = await openTunnel(engine(), transport);
    const close = closeFrame(1000, { mask: true });
    fixture.client.send(close);
    await fixture.backend.expect(close);
    fixture.tunnel.close(1001, 'drain', LONG);
    expect(await fixture.client.close()).toBe(1001);
    await fixture.client.expectEnd();
    fixture.client.fin();
    fixture.backend.send(closeFrame(1000));
    fixture.backend.fin();
    await fixture.backend.expectEnd();
    expect(await fixture.end).toMatchObject({ code: 1000, initiator: 'client', cut: false });
  });

  it('from then on nothing of the other end is relayed: it is read, never paused, and discarded', async () => {
    const fixture = await openTunnel(engine(), transport);
    fixture.client.socket.pause();
    fixture.tunnel.close(1001, 'drain', LONG);
    expect(await fixture.backend.close()).toBe(1001);
    const blast = frame(Buffer.alloc(16 * 1024 ** 2, 'y'), { opcode: 2 });
    await new Promise<void>((written) => fixture.backend.socket.write(blast, () => written()));
    fixture.backend.send(closeFrame(1001));
    fixture.backend.fin();
    await fixture.backend.expectEnd();
    fixture.client.socket.resume();
    expect(await fixture.client.close()).toBe(1001);
    fixture.client.send(closeFrame(1001, { mask: true }));
    await fixture.client.expectEnd();
    fixture.client.fin();
    const end = await fixture.end;
    expect(end.toClient.bytes).toBe(0);
    expect(end.discarded).toBe(blast.length + closeFrame(1001).length + closeFrame(1001, { mask: true }).length);
    expect(end.cut).toBe(false);
  });

  it('a direction that has not reached its boundary keeps relaying, and an answering Close is its last boundary', async () => {
    const fixture = await openTunnel(engine(), transport);
    const begun = frame('one', { fin: false, mask: true });
    const more = frame('two', { opcode: 0, fin: false, mask: true });
    fixture.client.send(begun);
    await fixture.backend.expect(begun);
    fixture.tunnel.close(1001, 'drain', LONG);
    expect(await fixture.client.close()).toBe(1001);
    fixture.client.send(more);
    await fixture.backend.expect(more);
    fixture.client.send(closeFrame(1001, { mask: true }));
    const close = await fixture.backend.frame();
    expect(close).toMatchObject({ opcode: 8, masked: true });
    expect(close.payload.toString('latin1')).toBe('\x03\xe9drain');
    await fixture.client.expectEnd();
    fixture.tunnel.cut('test');
    await fixture.end;
  });

  it('a Close of an end that crosses ours passes where its receiver still waits', async () => {
    const fixture = await openTunnel(engine(), transport);
    const [toClient, toBackend] = [frame('a', { fin: false }), frame('b', { fin: false, mask: true })];
    fixture.backend.send(toClient);
    fixture.client.send(toBackend);
    await fixture.client.expect(toClient);
    await fixture.backend.expect(toBackend);
    fixture.tunnel.close(1001, 'drain', LONG);
    fixture.client.send(closeFrame(1000, { mask: true }));
    await fixture.backend.expect(closeFrame(1000, { mask: true }));
    fixture.backend.send(closeFrame(1000));
    await fixture.client.expect(closeFrame(1000));
    await fixture.client.expectEnd();
    fixture.client.fin();
    fixture.backend.fin();
    await fixture.backend.expectEnd();
    expect(await fixture.end).toMatchObject({ code: 1000, reason: 'drain', cut: false });
  });

  it("a receiver's answer is consumed; the client then gets FIN at once, the backend after its own", async () => {
    const fixture = await openTunnel(engine(), transport);
    fixture.tunnel.close(1001, 'drain', LONG);
    expect(await fixture.client.close()).toBe(1001);
    expect(await fixture.backend.close()).toBe(1001);
    fixture.client.send(closeFrame(1001, { mask: true }));
    await fixture.client.expectEnd();
    fixture.client.fin();
    fixture.backend.send(closeFrame(1001));
    // No FIN toward the backend before its own: it can still say something, and gets no answer.
    fixture.backend.send(frame('after'));
    expect(fixture.backend.ended).toBe(false);
    fixture.backend.fin();
    await fixture.backend.expectEnd();
    const end = await fixture.end;
    expect(end).toMatchObject({ code: 1001, initiator: 'gateway', reason: 'drain', cut: false });
    expect(end.fromClient.bytes).toBe(0);
  });

  it('the backend gets FIN after at most 5 s without its own', async () => {
    const fixture = await openTunnel(engine(), transport);
    fixture.tunnel.close(1001, 'drain', LONG);
    await fixture.backend.close();
    const at = clock.now;
    fixture.backend.send(closeFrame(1001));
    await clock.advance(4_900);
    expect(fixture.backend.ended).toBe(false);
    await clock.during(fixture.backend.expectEnd());
    expect(clock.now - at).toBeLessThan(6_000);
    fixture.tunnel.cut('test');
    await fixture.end;
  });

  it('input that comes after the FIN is read, so that it cannot turn the Close into a RST; then the side is destroyed', async () => {
    const fixture = await openTunnel(engine(), transport);
    fixture.tunnel.close(1001, 'drain', LONG);
    fixture.client.socket.pause();
    fixture.client.send(closeFrame(1001, { mask: true }));
    await fixture.backend.close();
    fixture.backend.send(closeFrame(1001));
    fixture.backend.fin();
    await fixture.backend.expectEnd();
    const at = clock.now;
    // One byte unread would be a RST.
    const noise = Buffer.alloc(512 * 1024);
    await new Promise<void>((written) => fixture.client.socket.write(noise, () => written()));
    fixture.client.socket.resume();
    expect(await fixture.client.close()).toBe(1001);
    await fixture.client.expectEnd();
    expect(fixture.client.error).toBe(null);
    await clock.advance(4_900);
    expect(fixture.ends()).toBe(0);
    const end = await clock.during(fixture.end);
    expect(clock.now - at).toBeLessThan(6_000);
    expect(end.cut).toBe(false);
    expect(end.discarded).toBeGreaterThanOrEqual(noise.length);
  });

  it("every wait ends at the caller's deadline: past it the tunnel is cut and counted as cut", async () => {
    const fixture = await openTunnel(engine(), transport);
    fixture.tunnel.close(1001, 'drain', 700);
    expect(await fixture.client.close()).toBe(1001);
    await clock.advance(650);
    expect(fixture.ends()).toBe(0);
    await clock.advance(100);
    const end = await fixture.end;
    expect(end).toMatchObject({ code: 1001, reason: 'drain', cut: true });
  });

  it('a later close() may shorten the deadline', async () => {
    const fixture = await openTunnel(engine(), transport);
    fixture.tunnel.close(1001, 'drain', LONG);
    fixture.tunnel.close(1012, 'again', 300);
    expect(await fixture.client.close()).toBe(1001);
    expect(await clock.during(fixture.end)).toMatchObject({ code: 1001, reason: 'drain', cut: true });
  });

  it('cut() ends it at once', async () => {
    const fixture = await openTunnel(engine(), transport);
    fixture.tunnel.cut('test');
    fixture.tunnel.cut('again');
    expect(await fixture.end).toMatchObject({ code: null, initiator: 'gateway', reason: 'test', cut: true });
    fixture.tunnel.close(1001, 'late', LONG);
    expect(fixture.ends()).toBe(1);
  });

  it.each([
    ['a 64-bit length with the top bit set', frame('', { opcode: 2, declared: 2n ** 63n, form: 64 })],
    ['a control frame over 125 bytes', frame(Buffer.alloc(126), { opcode: 9 })],
    ['a control frame with FIN=0', frame('x', { opcode: 9, fin: false })],
  ])('a direction lost by %s is opaque, and close() cuts it without a Close', async (_name, bytes) => {
    const fixture = await openTunnel(engine(), transport);
    const passes = [frame('before'), bytes, Buffer.from('anything at all')];
    fixture.backend.send(...passes);
    await fixture.client.expect(...passes);
    fixture.backend.send(bytes.subarray(0, 1));
    await fixture.client.expect(bytes.subarray(0, 1));
    fixture.tunnel.close(1001, 'drain', LONG);
    await fixture.client.expectEnd();
    fixture.client.fin();
    expect(await fixture.backend.close()).toBe(1001);
    await fixture.backend.expectEnd();
    fixture.backend.fin();
    expect((await fixture.end).toClient.messages).toBe(1);
  });
}
