// What becomes of one end when the other vanishes, and half-close.
import { expect, it } from 'vitest';
import { closeFrame, frame, openTunnel } from '../../support/tunnel-fixture.ts';
import type { Context } from './context.ts';

export function describeLost({ engine, transport, clock }: Context): void {
  const resets = it.skipIf(transport === 'tls');

  it('backend FIN between two frames: 1011 to the client, and FIN at once', async () => {
    const fixture = await openTunnel(engine(), transport);
    fixture.backend.send(frame('last'));
    fixture.backend.fin();
    await fixture.client.expect(frame('last'));
    expect(await fixture.client.close()).toBe(1011);
    await fixture.client.expectEnd();
    fixture.client.fin();
    await fixture.backend.expectEnd();
    expect(await fixture.end).toMatchObject({ code: 1011, initiator: 'backend', reason: 'closed', cut: false });
  });

  it('backend FIN inside a message, but between two frames: 1011', async () => {
    const fixture = await openTunnel(engine(), transport);
    fixture.backend.send(frame('last', { fin: false }));
    fixture.backend.fin();
    await fixture.client.expect(frame('last', { fin: false }));
    expect(await fixture.client.close()).toBe(1011);
    await fixture.client.expectEnd();
    fixture.client.fin();
    await fixture.end;
  });

  it.each([
    ['a payload', 5],
    ['a header', 1],
  ])('backend FIN inside %s: what came is flushed, and no Close', async (_name, cut) => {
    const fixture = await openTunnel(engine(), transport);
    const bytes = Buffer.concat([frame('whole'), frame('torn').subarray(0, cut)]);
    fixture.backend.send(bytes);
    fixture.backend.fin();
    await fixture.client.expect(bytes);
    await fixture.client.expectEnd();
    fixture.client.fin();
    expect(await fixture.end).toMatchObject({ code: null, initiator: 'backend' });
  });

  it('backend FIN with a Close: the client gets FIN behind it, and no 1011', async () => {
    const fixture = await openTunnel(engine(), transport);
    fixture.backend.send(closeFrame(1000));
    fixture.backend.fin();
    await fixture.client.expect(closeFrame(1000));
    await fixture.client.expectEnd();
    fixture.client.send(closeFrame(1000, { mask: true }));
    fixture.client.fin();
    await fixture.backend.expect(closeFrame(1000, { mask: true }));
    await fixture.backend.expectEnd();
    expect(await fixture.end).toMatchObject({ code: 1000, initiator: 'backend', reason: 'closed', cut: false });
  });

  resets('backend RST: 1011 to the client, and FIN at once', async () => {
    const fixture = await openTunnel(engine(), transport);
    fixture.backend.send(frame('last'));
    await fixture.client.expect(frame('last'));
    fixture.backend.reset();
    expect(await fixture.client.close()).toBe(1011);
    await fixture.client.expectEnd();
    fixture.client.fin();
    expect(await fixture.end).toMatchObject({ code: 1011, initiator: 'backend', reason: 'reset' });
  });

  resets('backend RST inside a frame: FIN without a Close', async () => {
    const fixture = await openTunnel(engine(), transport);
    const torn = frame('torn').subarray(0, 4);
    fixture.backend.send(torn);
    await fixture.client.expect(torn);
    fixture.backend.reset();
    await fixture.client.expectEnd();
    fixture.client.fin();
    expect(await fixture.end).toMatchObject({ code: null, reason: 'reset' });
  });

  it('client FIN without a Close: the backend gets FIN, the other direction lives on', async () => {
    const fixture = await openTunnel(engine(), transport);
    fixture.client.send(frame('question', { mask: true }));
    fixture.client.fin();
    await fixture.backend.expect(frame('question', { mask: true }));
    await fixture.backend.expectEnd();
    for (const word of ['an', 'answer', 'in', 'parts']) {
      fixture.backend.send(frame(word));
      await fixture.client.expect(frame(word));
    }
    fixture.backend.send(closeFrame(1000));
    fixture.backend.fin();
    await fixture.client.expect(closeFrame(1000));
    await fixture.client.expectEnd();
    expect(await fixture.end).toMatchObject({ code: 1000, initiator: 'client', reason: 'closed', cut: false });
  });

  it("a backend FIN that answers the client's is no loss: FIN, and no 1011", async () => {
    const fixture = await openTunnel(engine(), transport);
    fixture.client.fin();
    await fixture.backend.expectEnd();
    fixture.backend.send(frame('bye'));
    fixture.backend.fin();
    await fixture.client.expect(frame('bye'));
    await fixture.client.expectEnd();
    expect(await fixture.end).toMatchObject({ code: null, initiator: 'client', reason: 'closed', cut: false });
  });

  it('after a client FIN the other direction ends with 30 s of silence', async () => {
    const fixture = await openTunnel(engine(), transport);
    fixture.client.fin();
    await fixture.backend.expectEnd();
    await clock.advance(20_000);
    fixture.backend.send(frame('still there'));
    await fixture.client.expect(frame('still there'));
    await clock.advance(29_900);
    expect(fixture.client.length).toBe(0);
    await clock.advance(200);
    expect(await fixture.client.close()).toBe(1001);
    await fixture.client.expectEnd();
    await clock.during(fixture.end);
  });

  resets('client RST: what is owed to the backend is flushed, then it gets FIN', async () => {
    const fixture = await openTunnel(engine(), transport);
    const bytes = Buffer.concat([frame('whole', { mask: true }), frame('torn', { mask: true }).subarray(0, 9)]);
    fixture.client.send(bytes);
    await fixture.backend.expect(bytes);
    fixture.client.reset();
    await fixture.backend.expectEnd();
    fixture.backend.fin();
    expect(await fixture.end).toMatchObject({ code: null, initiator: 'client', reason: 'reset' });
  });

  resets('client RST while the backend does not read: all that was read is flushed', async () => {
    const fixture = await openTunnel(engine(), transport);
    const held = frame('', { mask: true }).subarray(0, 3);
    fixture.client.send(frame('whole', { mask: true }), held);
    await fixture.backend.expect(frame('whole', { mask: true }));
    fixture.backend.socket.pause();
    fixture.client.reset();
    fixture.backend.socket.resume();
    await fixture.backend.expect(held);
    await fixture.backend.expectEnd();
    fixture.backend.fin();
    await fixture.end;
  });

  it('a client that is gone before the tunnel opens ends it, once', async () => {
    const fixture = await openTunnel(engine(), transport, {
      before: async (gateway, _backend, peers) => {
        gateway.on('error', () => undefined);
        peers.client.socket.destroy();
        gateway.destroy();
        await new Promise((resolve) => gateway.once('close', resolve));
      },
    });
    await fixture.backend.expectEnd();
    fixture.backend.fin();
    expect(await fixture.end).toMatchObject({ initiator: 'client', reason: 'reset' });
    expect(fixture.ends()).toBe(1);
  });

  it('a backend that sent FIN right behind its 101 is lost like any other', async () => {
    const fixture = await openTunnel(engine(), transport, {
      before: (_client, _gateway, { backend }) => backend.fin(),
    });
    await fixture.client.until((peer) => peer.bytes.indexOf('\r\n\r\n') > 0);
    fixture.client.bytes = fixture.client.bytes.subarray(fixture.client.bytes.indexOf('\r\n\r\n') + 4);
    expect(await fixture.client.close()).toBe(1011);
    await fixture.client.expectEnd();
    fixture.client.fin();
    await fixture.end;
  });
}
