// Limits on what a direction carries, and the waits that end a tunnel.
import { expect, it } from 'vitest';
import type { DirectionLimits } from '../../../src/relay/relay.ts';
import { closeFrame, frame, openTunnel, sampled } from '../../support/tunnel-fixture.ts';
import type { Context } from './context.ts';

const NONE: DirectionLimits = { maxMessage: null, messagesPerSecond: null, bytesPerSecond: null, onLimit: 'close' };
const fromClient = (limits: Partial<DirectionLimits>) => ({ fromClient: { ...NONE, ...limits }, toClient: null });
const toClient = (limits: Partial<DirectionLimits>) => ({ fromClient: null, toClient: { ...NONE, ...limits } });
const up = (text: string, options = {}) => frame(text, { mask: true, ...options });

export function describeLimits({ engine, transport, clock }: Context): void {
  it('a message up to `max_message` passes; the header of a larger one does not: 1009 to the offender, 1001 to the other', async () => {
    const fixture = await openTunnel(engine(), transport, { limits: fromClient({ maxMessage: 5 }) });
    fixture.client.send(up('12345'), up('123456'), up('never'));
    await fixture.backend.expect(up('12345'));
    expect(await fixture.backend.close()).toBe(1001);
    expect(await fixture.client.close()).toBe(1009);
    fixture.client.send(closeFrame(1009, { mask: true }));
    await fixture.client.expectEnd();
    fixture.client.fin();
    fixture.backend.send(closeFrame(1001));
    fixture.backend.fin();
    await fixture.backend.expectEnd();
    const end = await fixture.end;
    expect(end).toMatchObject({ code: 1009, initiator: 'gateway', reason: 'max_message', cut: false });
    expect(end.fromClient).toEqual({ bytes: up('12345').length, messages: 1 });
  });

  it('`max_message` counts over all fragments, not the control frames between them', async () => {
    const fixture = await openTunnel(engine(), transport, { limits: toClient({ maxMessage: 10 }) });
    const passes = [frame('12345', { fin: false }), frame('a long ping', { opcode: 9 }), frame('6789', { opcode: 0 })];
    const begun = [frame('12345', { fin: false }), frame('67890', { opcode: 0, fin: false })];
    fixture.backend.send(...passes, ...begun, frame('1', { opcode: 0 }));
    await fixture.client.expect(...passes, ...begun);
    expect(await fixture.client.close()).toBe(1001);
    expect(await fixture.backend.close()).toBe(1009);
    fixture.tunnel.cut('test');
    await fixture.end;
  });

  it('a 2 GiB frame is refused from its header, before its payload moves, even when the header is split', async () => {
    const header = frame('', { mask: true, opcode: 2, declared: 2n ** 31n, form: 64 });
    for (let cut = 0; cut <= header.length; cut += 3) {
      const fixture = await openTunnel(engine(), transport, { limits: fromClient({ maxMessage: 1024 ** 2 }) });
      fixture.client.send(up('first'), header.subarray(0, cut));
      await fixture.backend.expect(up('first'));
      fixture.client.send(header.subarray(cut));
      expect(await fixture.backend.close()).toBe(1001);
      expect(await fixture.client.close()).toBe(1009);
      fixture.tunnel.cut('test');
      expect((await fixture.end).fromClient.bytes).toBe(up('first').length);
    }
  });

  it('the offender waits for its own boundary, and its bytes are discarded for at most 5 s', async () => {
    const fixture = await openTunnel(engine(), transport, { limits: fromClient({ maxMessage: 5 }) });
    const begun = frame('half an answer', { fin: false });
    fixture.backend.send(begun);
    await fixture.client.expect(begun);
    const at = clock.now;
    fixture.client.send(up('too much'));
    expect(await fixture.backend.close()).toBe(1001);
    fixture.backend.send(frame('the other half', { opcode: 0 }));
    await fixture.client.expect(frame('the other half', { opcode: 0 }));
    expect(await fixture.client.close()).toBe(1009);
    fixture.client.send(Buffer.alloc(1024 ** 2));
    await clock.advance(4_900);
    expect([fixture.ends(), fixture.client.closed]).toEqual([0, false]);
    const end = await clock.during(fixture.end);
    expect(clock.now - at).toBeLessThan(6_000);
    expect(end.cut).toBe(true);
    expect(end.discarded).toBeGreaterThanOrEqual(1024 ** 2);
  });

  it('`messages_per_second` with `on_limit: close`: a second’s worth may come at once, one more is 1008', async () => {
    const fixture = await openTunnel(engine(), transport, { limits: fromClient({ messagesPerSecond: 3 }) });
    const ended = up('', { opcode: 0 });
    fixture.client.send(up('1'), up('2', { fin: false }), up('2', { opcode: 0, fin: false }), ended, up('3'), up('4'));
    await fixture.backend.expect(up('1'), up('2', { fin: false }), up('2', { opcode: 0, fin: false }), ended, up('3'));
    expect(await fixture.backend.close()).toBe(1001);
    expect(await fixture.client.close()).toBe(1008);
    fixture.tunnel.cut('test');
    expect(await fixture.end).toMatchObject({ code: 1008, reason: 'messages_per_second' });
  });

  it.each<[string, Buffer]>([
    ['ping', up('p', { opcode: 9 })],
    ['ping without a payload', up('', { opcode: 9 })],
    ['pong', up('p'.repeat(125), { opcode: 10 })],
    ['control frame of no known opcode', up('x', { opcode: 11 })],
    ['empty fragment', up('', { opcode: 0, fin: false })],
  ])('`messages_per_second` counts a %s as a message, in one piece and in many', async (_name, one) => {
    for (const pieces of [1, 3]) {
      const fixture = await openTunnel(engine(), transport, { limits: fromClient({ messagesPerSecond: 1 }) });
      const first = up('1', { fin: false });
      fixture.client.send(first);
      const size = Math.ceil(one.length / pieces);
      for (let at = 0; at < one.length; at += size) {
        fixture.client.send(one.subarray(at, at + size));
        if (pieces > 1) await clock.advance(0);
      }
      await fixture.backend.expect(first);
      expect(await fixture.backend.close()).toBe(1001);
      expect(await fixture.client.close()).toBe(1008);
      fixture.tunnel.cut('test');
      const end = await fixture.end;
      expect(end).toMatchObject({ code: 1008, reason: 'messages_per_second', discarded: one.length });
      expect(end.fromClient.bytes).toBe(first.length);
    }
  });

  it('`messages_per_second` with `on_limit: pause` holds a flood of pings back', async () => {
    const limits = fromClient({ messagesPerSecond: 20, onLimit: 'pause' });
    const fixture = await openTunnel(engine(), transport, { limits });
    const ping = up('', { opcode: 9 });
    fixture.client.send(Buffer.concat(Array.from({ length: 1_000_000 }, () => ping)));
    await clock.advance(1_000);
    fixture.tunnel.cut('test');
    // One read may run past the rate, and is paid for before the next.
    expect((await fixture.end).fromClient.bytes).toBeLessThan(600_000);
  });

  it('`messages_per_second` does not count the answers to our own pings, nor a Close', async () => {
    const limits = fromClient({ messagesPerSecond: 1 });
    const fixture = await openTunnel(engine(), transport, { limits, ping: { everyMs: 50, timeoutMs: 60_000 } });
    for (let i = 0; i < 8; i++) {
      const { opcode, payload } = await clock.during(fixture.client.frame());
      expect(opcode).toBe(9);
      fixture.client.send(frame(payload, { opcode: 10, mask: true }));
    }
    fixture.client.send(up('1'), closeFrame(1000, { mask: true }));
    for (;;) {
      const { opcode } = await fixture.backend.frame();
      if (opcode === 8) break;
    }
    fixture.tunnel.cut('test');
    expect(await fixture.end).toMatchObject({ code: 1000, initiator: 'client', reason: 'closed' });
  });

  it('`bytes_per_second` counts pings as it counts everything', async () => {
    const fixture = await openTunnel(engine(), transport, { limits: fromClient({ bytesPerSecond: 1_000 }) });
    fixture.client.send(Buffer.concat(Array.from({ length: 400 }, () => up('', { opcode: 9 }))));
    expect(await fixture.client.close()).toBe(1008);
    fixture.tunnel.cut('test');
    expect(await fixture.end).toMatchObject({ code: 1008, reason: 'bytes_per_second' });
  });

  it('`bytes_per_second` with `on_limit: close` is 1008', async () => {
    const fixture = await openTunnel(engine(), transport, { limits: toClient({ bytesPerSecond: 1_000 }) });
    const big = frame(Buffer.alloc(900));
    fixture.backend.send(big);
    await fixture.client.expect(big);
    fixture.backend.send(frame(Buffer.alloc(30_000)));
    expect(await fixture.client.close()).toBe(1001);
    expect(await fixture.backend.close()).toBe(1008);
    fixture.tunnel.cut('test');
    expect(await fixture.end).toMatchObject({ code: 1008, reason: 'bytes_per_second' });
  });

  it.each([
    ['messagesPerSecond', 10],
    ['bytesPerSecond', 10 * up('xx').length],
  ] as const)('%s with `on_limit: pause` holds the sender back, and all arrives', async (limit, rate) => {
    const fixture = await openTunnel(engine(), transport, {
      limits: fromClient({ [limit]: rate, onLimit: 'pause' }),
    });
    const at = clock.now;
    for (let i = 0; i < 10; i++) {
      fixture.client.send(up(String(i + 10)));
      await fixture.backend.expect(up(String(i + 10)));
    }
    expect(clock.now - at).toBe(0);
    for (let i = 10; i < 30; i++) {
      fixture.client.send(up(String(i + 10)));
      await clock.during(fixture.backend.expect(up(String(i + 10))));
    }
    // 10 at once, then 10 a second.
    expect(clock.now - at).toBeGreaterThan(1_700);
    expect(clock.now - at).toBeLessThan(6_000);
    fixture.tunnel.cut('test');
    expect((await fixture.end).fromClient.messages).toBe(30);
  });

  it.each([
    ['64-bit length', frame('', { mask: true, opcode: 2, declared: 2n ** 63n, form: 64 })],
    ['control length', frame(Buffer.alloc(126), { mask: true, opcode: 9 })],
    ['control fragment', frame('x', { mask: true, opcode: 9, fin: false })],
  ])(
    'a lost direction with a limit ends the tunnel (%s): 1002 to the sender, 1001 to the other side',
    async (_name, bytes) => {
      const fixture = await openTunnel(engine(), transport, { limits: fromClient({ maxMessage: 1_000 }) });
      fixture.client.send(up('before'), bytes);
      await fixture.backend.expect(up('before'));
      expect(await fixture.backend.close()).toBe(1001);
      expect(await fixture.client.close()).toBe(1002);
      fixture.client.fin();
      fixture.backend.send(closeFrame(1001));
      fixture.backend.fin();
      expect(await fixture.end).toMatchObject({ code: 1002, initiator: 'gateway', reason: 'lost' });
      const lost = (direction: string) =>
        sampled(fixture.engine, 'websocket_lost_directions_total', { route: 'r', direction });
      expect([lost('from_client'), lost('to_client')]).toEqual([1, 0]);
    },
  );

  it('idle: 1001 to both after no byte in either direction', async () => {
    const fixture = await openTunnel(engine(), transport, { idleMs: 3_000 });
    for (let i = 0; i < 3; i++) {
      await clock.advance(2_900);
      fixture.backend.send(frame('awake'));
      await fixture.client.expect(frame('awake'));
    }
    await clock.advance(2_900);
    expect(fixture.client.length + fixture.backend.length).toBe(0);
    await clock.advance(200);
    expect(await fixture.client.close()).toBe(1001);
    expect(await fixture.backend.close()).toBe(1001);
    fixture.tunnel.cut('test');
    expect(await fixture.end).toMatchObject({ code: 1001, initiator: 'gateway', reason: 'idle' });
  });

  it('a tunnel opened long after the last one ended is as young as any', async () => {
    const relay = engine();
    const first = await openTunnel(relay, transport, { idleMs: 900 });
    first.tunnel.cut('test');
    await first.end;
    await clock.advance(1_300);
    const second = await openTunnel(relay, transport, { idleMs: 900 });
    await clock.advance(800);
    expect(second.client.length).toBe(0);
    await clock.advance(200);
    expect(await second.client.close()).toBe(1001);
    second.tunnel.cut('test');
    await second.end;
  });

  it("our pings and their pongs don't count against idle", async () => {
    const fixture = await openTunnel(engine(), transport, { idleMs: 1_000, ping: { everyMs: 300, timeoutMs: 60_000 } });
    const at = clock.now;
    const answer = async (peer: typeof fixture.client, mask: boolean) => {
      for (;;) {
        const got = await peer.frame();
        if (got.opcode === 8) return got.payload.readUInt16BE(0);
        peer.send(frame(got.payload, { opcode: 10, mask }));
      }
    };
    const both = Promise.all([answer(fixture.client, true), answer(fixture.backend, false)]);
    expect(await clock.during(both)).toEqual([1001, 1001]);
    expect(clock.now - at).toBeLessThan(5_000);
    fixture.tunnel.cut('test');
    expect(await fixture.end).toMatchObject({ reason: 'idle' });
  });

  it('max_lifetime: 1001, up to a tenth early', async () => {
    const fixture = await openTunnel(engine(), transport, { maxLifetimeMs: 2_000 });
    await clock.advance(1_750);
    expect(fixture.client.length).toBe(0);
    await clock.advance(300);
    expect(await fixture.client.close()).toBe(1001);
    fixture.tunnel.cut('test');
    expect(await fixture.end).toMatchObject({ code: 1001, reason: 'max_lifetime' });
  });
}
