// HTTP engines: an answer that breaks off behind bytes that have come. They are the client's, and then it must see that
// there should have been more.
import { expect, it } from 'vitest';
import { readMessage } from '../support/forwarding.ts';
import type { Stages } from './http-engine.suite.ts';

const LENGTH = 1_000_000;
const CONTENT = 'x'.repeat(LENGTH);
const CHUNKED = `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${LENGTH.toString(16)}\r\n${CONTENT}\r\n`;

export function describeBreaks(stages: Stages): void {
  it.each([
    ['in chunks', '1.0', CHUNKED, 'FIN'],
    ['in chunks', '1.0', CHUNKED, 'nonsense'],
    ['in chunks', '1.1', CHUNKED, 'FIN'],
    ['in chunks', '1.1', CHUNKED, 'nonsense'],
    ['of known length', '1.0', `HTTP/1.1 200 OK\r\nContent-Length: ${LENGTH + 1}\r\n\r\n${CONTENT}`, 'FIN'],
    ['of known length', '1.1', `HTTP/1.1 200 OK\r\nContent-Length: ${LENGTH + 1}\r\n\r\n${CONTENT}`, 'FIN'],
  ])('an answer %s for an HTTP/%s client: all of it arrives, then the break (%#)', async (_, version, answer, how) => {
    const stage = await stages.set();
    const { peer, client } = await stage.ask(`GET / HTTP/${version}\r\nHost: a\r\n\r\n`);
    peer.write(answer);
    if (how === 'FIN') peer.socket.end();
    else peer.write('this is no chunk\r\n');
    const { how: end, bytes } = await client.closed();
    const { body, lines } = readMessage(bytes);
    expect(body.split('x')).toHaveLength(LENGTH + 1);
    expect(body).not.toContain('0\r\n\r\n');
    // Where only the end of the connection ends the body, it must not be a FIN.
    if (!lines.some((line) => /^(?:content-length|transfer-encoding):/i.test(line))) expect(end).toBe('reset');
    expect((await stage.front.ending()).code).toBe(how === 'FIN' ? 'backend_refused' : 'bad_accept');
  });

  it('a client that stops reading is not waited for longer than it may stop', async () => {
    const stage = await stages.set({ timeouts: { idle: 200 } });
    const { peer, client } = await stage.ask('GET / HTTP/1.0\r\nHost: a\r\n\r\n');
    client.socket.pause();
    peer.write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1000000\r\n${'x'.repeat(8_000_000)}`);
    peer.socket.resetAndDestroy();
    expect(['backend_refused', 'client_gone']).toContain((await stage.front.ending()).code);
  });
}
