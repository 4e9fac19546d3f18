// What becomes of one end when the other vanishes, and half-close.
import { expect, it } from 'vitest';
import { closeFrame, frame, openTunnel } from '../../support/tunnel-fixture.ts';
import type { Context } from './context.ts';

const { RELAY_SLOW } = process.env;

export function describeLost({ engine, transport }: Context): void {
  const resets = it.skipIf(transport === 'tls');

  it('backend FIN between two frames: 1011 to the client, and FIN at once', async () => {
    const rig = await openTunnel(engine(), transport);
    rig.backend.send(frame('last'));
    rig.backend.fin();
    await rig.client.expect(frame('last'));
    expect(await rig.client.close()).toBe(1011);
    await rig.client.expectEnd();
    rig.client.fin();
    await rig.backend.expectEnd();
    expect(await rig.end).toMatchObject({ code: 1011, initiator: 'backend', reason: 'closed', cut: false });
  });

  it('backend FIN inside a message, but between two frames: 1011', async () => {
    const rig = await openTunnel(engine(), transport);
    rig.backend.send(frame('last', { fin: false }));
    rig.backend.fin();
    await rig.client.expect(frame('last', { fin: false }));
    expect(await rig.client.close()).toBe(1011);
    await rig.client.expectEnd();
    rig.client.fin();
    await rig.end;
  });

  it.each([
    ['a payload', 5],
    ['a header', 1],
  ])('backend FIN inside %s: what came is flushed, and no Close', async (_name, cut) => {
    const rig = await openTunnel(engine(), transport);
    const bytes = Buffer.concat([frame('whole'), frame('torn').subarray(0, cut)]);
    rig.backend.send(bytes);
    rig.backend.fin();
    await rig.client.expect(bytes);
    await rig.client.expectEnd();
    rig.client.fin();
    expect(await rig.end).toMatchObject({ code: null, initiator: 'backend' });
  });

  it('backend FIN with a Close: the client gets FIN behind it, and no 1011', async () => {
    const rig = await openTunnel(engine(), transport);
    rig.backend.send(closeFrame(1000));
    rig.backend.fin();
    await rig.client.expect(closeFrame(1000));
    await rig.client.expectEnd();
    rig.client.send(closeFrame(1000, { mask: true }));
    rig.client.fin();
    await rig.backend.expect(closeFrame(1000, { mask: true }));
    await rig.backend.expectEnd();
    expect(await rig.end).toMatchObject({ code: 1000, initiator: 'backend', reason: 'closed', cut: false });
  });

  resets('backend RST: 1011 to the client, and FIN at once', async () => {
    const rig = await openTunnel(engine(), transport);
    rig.backend.send(frame('last'));
    await rig.client.expect(frame('last'));
    rig.backend.reset();
    expect(await rig.client.close()).toBe(1011);
    await rig.client.expectEnd();
    rig.client.fin();
    expect(await rig.end).toMatchObject({ code: 1011, initiator: 'backend', reason: 'reset' });
  });

  resets('backend RST inside a frame: FIN without a Close', async () => {
    const rig = await openTunnel(engine(), transport);
    const torn = frame('torn').subarray(0, 4);
    rig.backend.send(torn);
    await rig.client.expect(torn);
    rig.backend.reset();
    await rig.client.expectEnd();
    rig.client.fin();
    expect(await rig.end).toMatchObject({ code: null, reason: 'reset' });
  });

  it('client FIN without a Close: the backend gets FIN, the other direction lives on', async () => {
    const rig = await openTunnel(engine(), transport);
    rig.client.send(frame('question', { mask: true }));
    rig.client.fin();
    await rig.backend.expect(frame('question', { mask: true }));
    await rig.backend.expectEnd();
    for (const word of ['an', 'answer', 'in', 'parts']) {
      rig.backend.send(frame(word));
      await rig.client.expect(frame(word));
    }
    rig.backend.send(closeFrame(1000));
    rig.backend.fin();
    await rig.client.expect(closeFrame(1000));
    await rig.client.expectEnd();
    expect(await rig.end).toMatchObject({ code: 1000, initiator: 'client', reason: 'closed', cut: false });
  });

  it("a backend FIN that answers the client's is no loss: FIN, and no 1011", async () => {
    const rig = await openTunnel(engine(), transport);
    rig.client.fin();
    await rig.backend.expectEnd();
    rig.backend.send(frame('bye'));
    rig.backend.fin();
    await rig.client.expect(frame('bye'));
    await rig.client.expectEnd();
    expect(await rig.end).toMatchObject({ code: null, initiator: 'client', reason: 'closed', cut: false });
  });

  it.skipIf(RELAY_SLOW !== '1')(
    'after a client FIN the other direction ends with 30 s of silence',
    async () => {
      const rig = await openTunnel(engine(), transport);
      rig.client.fin();
      await rig.backend.expectEnd();
      const at = performance.now();
      expect(await rig.client.close()).toBe(1001);
      expect(performance.now() - at).toBeGreaterThan(29_000);
      await rig.client.expectEnd();
      await rig.end;
    },
    45_000,
  );

  resets('client RST: what is owed to the backend is flushed, then it gets FIN', async () => {
    const rig = await openTunnel(engine(), transport);
    const bytes = Buffer.concat([frame('whole', { mask: true }), frame('torn', { mask: true }).subarray(0, 9)]);
    rig.client.send(bytes);
    await rig.backend.expect(bytes);
    rig.client.reset();
    await rig.backend.expectEnd();
    rig.backend.fin();
    expect(await rig.end).toMatchObject({ code: null, initiator: 'client', reason: 'reset' });
  });

  resets('client RST while the backend does not read: all that was read is flushed', async () => {
    const rig = await openTunnel(engine(), transport);
    const held = frame('', { mask: true }).subarray(0, 3);
    rig.client.send(frame('whole', { mask: true }), held);
    await rig.backend.expect(frame('whole', { mask: true }));
    rig.backend.socket.pause();
    rig.client.reset();
    rig.backend.socket.resume();
    await rig.backend.expect(held);
    await rig.backend.expectEnd();
    rig.backend.fin();
    await rig.end;
  });

  it('a client that is gone before the tunnel opens ends it, once', async () => {
    const rig = await openTunnel(engine(), transport, {
      before: async (gateway, _backend, peers) => {
        gateway.on('error', () => undefined);
        peers.client.socket.destroy();
        gateway.destroy();
        await new Promise((resolve) => gateway.once('close', resolve));
      },
    });
    await rig.backend.expectEnd();
    rig.backend.fin();
    expect(await rig.end).toMatchObject({ initiator: 'client', reason: 'reset' });
    expect(rig.ends()).toBe(1);
  });

  it('a backend that sent FIN right behind its 101 is lost like any other', async () => {
    const rig = await openTunnel(engine(), transport, {
      before: (_client, _gateway, { backend }) => backend.fin(),
    });
    await rig.client.until((peer) => peer.bytes.indexOf('\r\n\r\n') > 0);
    rig.client.bytes = rig.client.bytes.subarray(rig.client.bytes.indexOf('\r\n\r\n') + 4);
    expect(await rig.client.close()).toBe(1011);
    await rig.client.expectEnd();
    rig.client.fin();
    await rig.end;
  });
}
