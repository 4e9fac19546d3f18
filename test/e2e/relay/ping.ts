// Pings of the gateway's own: nobody but the pinged end sees them, and alive means any byte.
import { expect, it } from 'vitest';
import { closeFrame, frame, openTunnel, type Peer, sampled } from '../../support/tunnel-fixture.ts';
import type { Context } from './context.ts';

const EVERY_MS = 1_000;
const TIMEOUT_MS = 10_000;
const PING = { everyMs: EVERY_MS, timeoutMs: TIMEOUT_MS };

/** Answers every ping until a Close comes, and returns its code. */
async function answerPings(peer: Peer, mask: boolean): Promise<number> {
  for (;;) {
    const got = await peer.frame();
    if (got.opcode === 8) return got.payload.readUInt16BE(0);
    if (got.opcode === 9) peer.send(frame(got.payload, { opcode: 10, mask }));
  }
}

export function describePing({ engine, transport, clock }: Context): void {
  it('both sides are pinged with 8 random bytes, and only an exact match of the outstanding one is swallowed, once', async () => {
    const fixture = await openTunnel(engine(), transport, { ping: PING });
    await clock.advance(EVERY_MS - 50);
    expect(fixture.client.length + fixture.backend.length).toBe(0);
    await clock.advance(100);
    const ping = await fixture.client.frame();
    const other = await fixture.backend.frame();
    expect(ping).toMatchObject({ opcode: 9, fin: true, masked: false });
    expect(other).toMatchObject({ opcode: 9, fin: true, masked: true });
    expect(ping.payload.length).toBe(8);
    expect(ping.payload.equals(other.payload)).toBe(false);
    const pong = frame(ping.payload, { opcode: 10, mask: true });
    const near = frame(Buffer.concat([ping.payload.subarray(0, 7), Buffer.from([ping.payload[7]! ^ 1])]), {
      opcode: 10,
      mask: true,
    });
    fixture.client.send(near, pong, frame('a', { mask: true }), pong, frame('b', { mask: true }));
    await fixture.backend.expect(near, frame('a', { mask: true }), pong, frame('b', { mask: true }));
    expect(sampled(fixture.engine, 'websocket_pings_total', { route: 'r', result: 'pong' })).toBe(1);
    expect(sampled(fixture.engine, 'websocket_pings_total', { route: 'r', result: 'sent' })).toBe(2);
    fixture.tunnel.cut('test');
    expect((await fixture.end).fromClient.messages).toBe(2);
  });

  it('a pong of ours in pieces is swallowed whole', async () => {
    const fixture = await openTunnel(engine(), transport, { ping: PING });
    const { payload } = await clock.during(fixture.backend.frame());
    await fixture.client.frame();
    const pong = frame(payload, { opcode: 10 });
    for (const byte of pong) {
      fixture.backend.send(Buffer.from([byte]));
      await clock.advance(0);
    }
    fixture.backend.send(frame('behind'));
    await fixture.client.expect(frame('behind'));
    fixture.tunnel.cut('test');
    expect((await fixture.end).toClient.bytes).toBe(frame('behind').length);
  });

  it('a ping stands between the fragments of a message, never inside a frame', async () => {
    const fixture = await openTunnel(engine(), transport, { ping: PING });
    const [first, second] = [frame('one', { fin: false }), frame(Buffer.alloc(200, 'x'), { opcode: 0, fin: false })];
    const bytes = Buffer.concat([first, second]);
    fixture.backend.send(bytes.subarray(0, first.length + 50));
    await fixture.client.expect(bytes.subarray(0, first.length + 50));
    // The backend is pinged meanwhile; the client only when its frame has ended.
    expect((await clock.during(fixture.backend.frame())).opcode).toBe(9);
    expect(fixture.client.length).toBe(0);
    fixture.backend.send(bytes.subarray(first.length + 50));
    await fixture.client.expect(bytes.subarray(first.length + 50));
    expect(await fixture.client.frame()).toMatchObject({ opcode: 9 });
    fixture.tunnel.cut('test');
    await fixture.end;
  });

  it('alive means any byte, not our pong alone', async () => {
    const fixture = await openTunnel(engine(), transport, { ping: PING });
    const backend = answerPings(fixture.backend, false);
    // Longer than the timeout in all.
    for (let pings = 0; pings < 15; pings++) {
      expect((await clock.during(fixture.client.frame())).opcode).toBe(9);
      fixture.client.send(frame('I never answer pings', { mask: true }));
    }
    expect(sampled(fixture.engine, 'websocket_pings_total', { route: 'r', result: 'timeout' })).toBe(0);
    fixture.tunnel.close(1001, 'test', 3_000);
    await backend;
    expect((await clock.during(fixture.end)).fromClient.messages).toBeGreaterThanOrEqual(14);
  });

  it('a client that is silent after a ping is cut, and the backend gets 1001', async () => {
    const fixture = await openTunnel(engine(), transport, { ping: PING });
    expect(await clock.during(answerPings(fixture.backend, false))).toBe(1001);
    await fixture.client.gone();
    fixture.backend.send(closeFrame(1001));
    fixture.backend.fin();
    expect(await fixture.end).toMatchObject({ code: 1001, initiator: 'gateway', reason: 'ping_timeout' });
    expect(sampled(fixture.engine, 'websocket_pings_total', { route: 'r', result: 'timeout' })).toBe(1);
  });

  it('a backend that is silent after a ping is cut, and the client gets 1011', async () => {
    const fixture = await openTunnel(engine(), transport, { ping: PING });
    expect(await clock.during(answerPings(fixture.client, true))).toBe(1011);
    fixture.client.fin();
    expect(await fixture.end).toMatchObject({ code: 1011, initiator: 'gateway', reason: 'ping_timeout' });
  });

  it("a side is not pinged while the other end's own ping is unanswered: that one counts as ours", async () => {
    const fixture = await openTunnel(engine(), transport, { ping: PING });
    const own = frame('from the backend', { opcode: 9 });
    fixture.backend.send(own);
    await fixture.client.expect(own);
    // The client answers nothing, and gets nothing but its end.
    expect(await clock.during(answerPings(fixture.backend, false))).toBe(1001);
    await fixture.client.gone();
    expect(fixture.client.length).toBe(0);
    fixture.backend.fin();
    expect(await fixture.end).toMatchObject({ reason: 'ping_timeout' });
  });

  it("once the other end's ping is answered, ours go out again; its pong passes", async () => {
    const fixture = await openTunnel(engine(), transport, { ping: PING });
    const own = frame('from the backend', { opcode: 9 });
    const answer = frame('from the backend', { opcode: 10, mask: true });
    fixture.backend.send(own);
    await fixture.client.expect(own);
    fixture.client.send(answer);
    await fixture.backend.expect(answer);
    expect(await clock.during(fixture.client.frame())).toMatchObject({ opcode: 9, masked: false });
    fixture.tunnel.cut('test');
    await fixture.end;
  });

  it('an end that answers only the newest of our ping and its peer’s is alive', async () => {
    const fixture = await openTunnel(engine(), transport, { ping: PING });
    // Longer than the timeout in all.
    for (let round = 0; round < 15; round++) {
      const [ping, toBackend] = await clock.during(Promise.all([fixture.client.frame(), fixture.backend.frame()]));
      expect(ping.opcode).toBe(9);
      fixture.backend.send(frame(toBackend.payload, { opcode: 10 }), frame(`own ${round}`, { opcode: 9 }));
      await fixture.client.expect(frame(`own ${round}`, { opcode: 9 }));
      fixture.client.send(frame(`own ${round}`, { opcode: 10, mask: true }));
      await fixture.backend.expect(frame(`own ${round}`, { opcode: 10, mask: true }));
    }
    expect(sampled(fixture.engine, 'websocket_pings_total', { route: 'r', result: 'timeout' })).toBe(0);
    fixture.tunnel.cut('test');
    await fixture.end;
  });

  it('the timer stands still while the ping waits behind what the side has not taken', async () => {
    const big = frame(Buffer.alloc(32 * 1024 ** 2, 'x'), { opcode: 2 });
    // The frame has begun when the tunnel opens, so that no ping can come before it.
    const fixture = await openTunnel(engine(), transport, { ping: PING, early: { toClient: big.subarray(0, 1000) } });
    fixture.client.socket.pause();
    fixture.backend.send(big.subarray(1000));
    // The backend, which is not read while the client takes nothing, answers no ping either.
    await clock.advance(2 * TIMEOUT_MS);
    expect(fixture.client.closed).toBe(false);
    fixture.client.socket.resume();
    await fixture.client.expect(big);
    expect((await clock.during(fixture.client.frame())).opcode).toBe(9);
    fixture.tunnel.cut('test');
    expect(await fixture.end).toMatchObject({ reason: 'test' });
  });

  it('no ping after a Close', async () => {
    const fixture = await openTunnel(engine(), transport, { ping: PING });
    fixture.client.send(closeFrame(1000, { mask: true }));
    await fixture.backend.expect(closeFrame(1000, { mask: true }));
    await clock.advance(3 * EVERY_MS);
    expect(fixture.client.length + fixture.backend.length).toBe(0);
    fixture.tunnel.cut('test');
    await fixture.end;
  });
}
