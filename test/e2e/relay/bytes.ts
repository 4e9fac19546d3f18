// Nothing that either end sent is altered, reordered or dropped; and what is counted of it.
import { createHash, randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { expect, it } from 'vitest';
import { settled } from '../../support/quiet.ts';
import { closeFrame, frame, HEAD, openTunnel, type Peer, sampled } from '../../support/tunnel-fixture.ts';
import type { Context } from './context.ts';

/** Mixed frames: deflate bit, fragments, control frames between them, reserved bits, odd lengths, every length form. */
function mixed(mask: boolean): Buffer {
  const random = (max: number) => randomBytes(randomInt(max));
  return Buffer.concat([
    frame(random(300), { opcode: 2, rsv: 4, mask }),
    frame(random(90), { opcode: 1, fin: false, mask }),
    frame(random(125), { opcode: 9, mask }),
    frame(random(70_000), { opcode: 0, fin: false, mask }),
    frame('', { opcode: 10, mask }),
    frame(random(17), { opcode: 0, mask }),
    frame(random(50), { opcode: 7, rsv: 3, mask: !mask }),
    frame(random(100), { opcode: 12, mask }),
    frame(random(40), { form: 64, mask }),
    frame(random(40), { form: 16, mask }),
    frame('', { mask }),
    frame(randomBytes(200_000 + randomInt(2_000)), { opcode: 2, mask }),
  ]);
}

/** Writes `total` bytes or a little more in pieces of any size, and returns what their digest is. */
async function blast(socket: Socket, total: number, mask: boolean): Promise<{ sum: string; sent: number }> {
  const hash = createHash('sha256');
  let sent = 0;
  while (sent < total) {
    const bytes = mixed(mask);
    hash.update(bytes);
    sent += bytes.length;
    for (let at = 0; at < bytes.length; ) {
      const size = randomInt(4) === 0 ? 1 + randomInt(30) : 1 + randomInt(100_000);
      const fits = socket.write(bytes.subarray(at, at + size));
      at += size;
      if (!fits) await once(socket, 'drain');
    }
  }
  socket.end(closeFrame(1000, { mask }));
  hash.update(closeFrame(1000, { mask }));
  return { sum: hash.digest('hex'), sent: sent + closeFrame(1000, { mask }).length };
}

async function digestOf(peer: Peer): Promise<string> {
  const hash = createHash('sha256');
  peer.socket.removeAllListeners('data');
  hash.update(peer.bytes);
  peer.socket.on('data', (chunk) => hash.update(chunk));
  await once(peer.socket, 'end');
  return hash.digest('hex');
}

const { RELAY_GIB } = process.env;

export function describeBytes({ engine, transport }: Context): void {
  const volume = RELAY_GIB === '1' ? 1024 ** 3 : 48 * 1024 ** 2;
  it(
    'nothing that either end sent is altered, reordered or dropped',
    async () => {
      const fixture = await openTunnel(engine(), transport);
      const sums = [digestOf(fixture.client), digestOf(fixture.backend)];
      const up = blast(fixture.client.socket, volume / 2, true);
      const down = blast(fixture.backend.socket, volume / 2, false);
      const [toBackend, toClient] = await Promise.all([up, down]);
      expect(await sums[0]).toBe(toClient.sum);
      expect(await sums[1]).toBe(toBackend.sum);
      const end = await fixture.end;
      expect(end).toMatchObject({ code: 1000, reason: 'closed', discarded: 0, cut: false });
      expect(end.fromClient.bytes).toBe(toBackend.sent);
      expect(end.toClient.bytes).toBe(toClient.sent);
    },
    RELAY_GIB === '1' ? 300_000 : 60_000,
  );

  it('the first bytes go out before all others, and frames start behind the head of the 101', async () => {
    const [early, late] = [frame('early'), frame('late')];
    const [rest, more] = [frame('rest', { mask: true }), frame('more', { mask: true })];
    const fixture = await openTunnel(engine(), transport, {
      early: { toClient: early, toBackend: rest.subarray(0, 3) },
      before: () => undefined,
    });
    fixture.backend.send(late);
    fixture.client.send(rest.subarray(3), more);
    await fixture.client.expect(HEAD, early, late);
    await fixture.backend.expect(rest, more);
    fixture.tunnel.cut('test');
    const end = await fixture.end;
    expect(end.toClient).toEqual({ bytes: early.length + late.length, messages: 2 });
    expect(end.fromClient).toEqual({ bytes: rest.length + more.length, messages: 2 });
  });

  it('bytes, messages by type, close code and closer are counted', async () => {
    const fixture = await openTunnel(engine(), transport);
    const up = [
      frame('a', { mask: true }),
      frame('b', { opcode: 2, mask: true }),
      frame('p', { opcode: 9, mask: true }),
    ];
    const down = [frame('x', { fin: false }), frame('y', { opcode: 0 }), frame('z', { opcode: 3 })];
    const close = closeFrame(4321, { mask: true });
    fixture.client.send(...up);
    fixture.backend.send(...down);
    await fixture.client.expect(...down);
    fixture.client.send(close);
    await fixture.backend.expect(...up, close);
    fixture.backend.send(closeFrame(4321));
    fixture.backend.fin();
    await fixture.client.expect(closeFrame(4321));
    await fixture.client.expectEnd();
    fixture.client.fin();
    await fixture.backend.expectEnd();
    const bytes = (parts: Buffer[]) => Buffer.concat(parts).length;
    const count = (direction: string, type: string) =>
      sampled(fixture.engine, 'websocket_messages_total', { route: 'r', direction, type });
    expect(await fixture.end).toEqual({
      fromClient: { bytes: bytes([...up, close]), messages: 2 },
      toClient: { bytes: bytes([...down, closeFrame(4321)]), messages: 2 },
      discarded: 0,
      code: 4321,
      initiator: 'client',
      reason: 'closed',
      cut: false,
    });
    expect([count('from_client', 'text'), count('from_client', 'binary')]).toEqual([1, 1]);
    expect([count('to_client', 'text'), count('to_client', 'binary')]).toEqual([1, 1]);
    expect(sampled(fixture.engine, 'websocket_bytes_total', { route: 'r', direction: 'from_client' })).toBe(
      bytes([...up, close]),
    );
    expect(fixture.ends()).toBe(1);
  });

  it('reserved opcodes, RSV bits, non-minimal lengths and a wrong mask bit pass', async () => {
    const fixture = await openTunnel(engine(), transport);
    const odd = [
      ...[3, 7, 11, 15].map((opcode) => frame('odd', { opcode })),
      frame('rsv', { rsv: 7 }),
      frame('long', { form: 16 }),
      frame('longer', { form: 64 }),
      frame('masked by a server', { mask: true }),
    ];
    fixture.backend.send(...odd);
    fixture.client.send(frame('not masked by a client'));
    await fixture.client.expect(...odd);
    await fixture.backend.expect(frame('not masked by a client'));
    fixture.tunnel.cut('test');
    expect((await fixture.end).toClient.messages).toBe(6);
  });

  it('an incomplete header is held back', async () => {
    for (const header of [frame(Buffer.alloc(300), { mask: true, form: 64 }).subarray(0, 14), frame('x')]) {
      for (let cut = 1; cut < header.length && cut < 14; cut++) {
        if (header.length === 3 && cut > 1) continue;
        const fixture = await openTunnel(engine(), transport);
        fixture.client.send(frame('whole', { mask: true }), header.subarray(0, cut));
        await fixture.backend.expect(frame('whole', { mask: true }));
        // The client's bytes have been read together; now the gateway speaks, and not a byte of the header stands before it.
        fixture.tunnel.close(1001, 'drain', 5_000);
        expect(await fixture.backend.close()).toBe(1001);
        fixture.tunnel.cut('test');
        await fixture.end;
      }
    }
  });

  it('at FIN held bytes are flushed first', async () => {
    const fixture = await openTunnel(engine(), transport);
    const bytes = Buffer.concat([frame('whole', { mask: true }), frame('', { mask: true }).subarray(0, 5)]);
    fixture.client.send(bytes);
    fixture.client.fin();
    await fixture.backend.expect(bytes);
    await fixture.backend.expectEnd();
    fixture.backend.fin();
    await fixture.end;
  });

  it('a part of a control frame is flushed at FIN too', async () => {
    const fixture = await openTunnel(engine(), transport);
    const bytes = frame('a ping in pieces', { opcode: 9 }).subarray(0, 9);
    fixture.backend.send(bytes);
    fixture.backend.fin();
    await fixture.client.expect(bytes);
    await fixture.client.expectEnd();
    fixture.client.fin();
    expect((await fixture.end).toClient.bytes).toBe(9);
  });

  it('with `inspect: off` a tunnel is opaque', async () => {
    const fixture = await openTunnel(engine(), transport, { inspect: false });
    const bytes = Buffer.concat([frame('x').subarray(0, 1)]);
    fixture.backend.send(bytes);
    await fixture.client.expect(bytes);
    fixture.tunnel.close(1001, 'drain', 5_000);
    await fixture.client.expectEnd();
    await fixture.backend.expectEnd();
    fixture.client.fin();
    fixture.backend.fin();
    const end = await fixture.end;
    expect(end).toMatchObject({ code: null, initiator: 'gateway', reason: 'drain' });
    expect(end.toClient).toEqual({ bytes: 1, messages: null });
  });

  it('a receiver that does not read holds its sender back, with bounded memory, and loses nothing', async () => {
    const fixture = await openTunnel(engine(), transport);
    fixture.client.socket.pause();
    const payload = frame(randomBytes(1024 ** 2), { opcode: 2 });
    const copies = 64;
    for (let i = 0; i < copies; i++) fixture.backend.socket.write(payload);
    const { socket } = fixture.backend;
    const taken = await settled(() => socket.bytesWritten - socket.writableLength);
    expect(taken).toBeLessThan(40 * 1024 ** 2);
    const sum = digestOf(fixture.client);
    fixture.client.socket.resume();
    fixture.backend.fin();
    const hash = createHash('sha256');
    for (let i = 0; i < copies; i++) hash.update(payload);
    hash.update(closeFrame1011);
    expect(await sum).toBe(hash.digest('hex'));
    fixture.client.fin();
    await fixture.end;
  });
}

const closeFrame1011 = frame(Buffer.concat([Buffer.from([1011 >> 8, 1011 & 255]), Buffer.from('backend_lost')]), {
  opcode: 8,
});
