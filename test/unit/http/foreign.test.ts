// What a server that speaks no HTTP is taken for by its first octets.
import { describe, expect, it } from 'vitest';
import { foreignStart } from '../../../src/http/foreign.ts';

const octets = (...bytes: number[]) => Buffer.from(bytes);

it.each(['', 'H', 'HTTP', 'HTTP/', 'HTTP/1.1 200 OK'])('%j may be HTTP', (text) => {
  expect(foreignStart(Buffer.from(text))).toBeNull();
});

describe('what is known', () => {
  it.each([
    [Buffer.from('RFB 003.008\n'), 'VNC'],
    [Buffer.from('SSH-2.0-OpenSSH_9.2\r\n'), 'this is SSH (it begins with "SSH-")'],
    [octets(0x15, 0x03, 0x03, 0x00, 0x02), 'this is TLS: write wss:// or https:// for it (it begins with 0x15030300)'],
    [octets(0, 0, 18, 4, 0, 0, 0, 0, 0), 'this is HTTP/2 (it begins with 0x00001204)'],
  ])('%# is named, with its first octets', (bytes, words) => {
    expect(foreignStart(bytes)).toContain(words);
  });
});

it('what is unknown is shown as text where it is text, else in hexadecimal, four octets of it', () => {
  expect(foreignStart(Buffer.from('secret'))).toBe('this is no HTTP: it begins with "secr"');
  expect(foreignStart(octets(0xff, 0x00, 0x41, 0x42, 0x43))).toBe('this is no HTTP: it begins with 0xff004142');
});
