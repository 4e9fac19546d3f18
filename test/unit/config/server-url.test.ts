import { describe, expect, it } from 'vitest';
import { isServerUrlFault, parseServerUrl } from '../../../src/config/server-url.ts';

describe('parseServerUrl', () => {
  it.each([
    ['ws://127.0.0.1:9001', 'ws://127.0.0.1:9001', false, '127.0.0.1', 9001],
    ['http://127.0.0.1:9001', 'http://127.0.0.1:9001', false, '127.0.0.1', 9001],
    ['wss://chat.example.com:8443', 'wss://chat.example.com:8443', true, 'chat.example.com', 8443],
    ['https://chat.example.com:8443', 'https://chat.example.com:8443', true, 'chat.example.com', 8443],
    ['ws://chat', 'ws://chat', false, 'chat', 80],
    ['http://chat', 'http://chat', false, 'chat', 80],
    ['wss://chat', 'wss://chat', true, 'chat', 443],
    ['https://chat', 'https://chat', true, 'chat', 443],
    ['WS://Chat_1.Example.COM:080/', 'ws://chat_1.example.com:80', false, 'chat_1.example.com', 80],
    [
      'ws://chat.ns.svc.cluster.local.:80',
      'ws://chat.ns.svc.cluster.local.:80',
      false,
      'chat.ns.svc.cluster.local.',
      80,
    ],
    ['ws://[::1]:9001', 'ws://[::1]:9001', false, '::1', 9001],
    ['wss://[FD00:0:0::0001]', 'wss://[fd00::1]', true, 'fd00::1', 443],
    ['ws://a:65535', 'ws://a:65535', false, 'a', 65535],
  ])('%s', (text, url, secure, host, port) => {
    expect(parseServerUrl(text)).toEqual({ url, secure, host, port });
  });

  it.each([
    ['127.0.0.1:9001', 'must be a server address'],
    ['chat', 'must be a server address'],
    ['', 'must be a server address'],
    ['//chat:80', 'must be a server address'],
    ['ws:/chat', 'must be a server address'],
    [' ws://chat', 'must be a server address'],
    ['ws://[::1', 'must be a server address'],
    ['ws://[::1]80', 'must be a server address'],
    ['tcp://chat:80', 'must begin with ws, wss, http or https'],
    ['constructor://chat:80', 'must begin with ws, wss, http or https'],
    ['ws://user:s3cret@chat:80', 'must hold no user or password'],
    ['ws://user@chat', 'must hold no user or password'],
    ['ws://chat:80/ws', 'must hold no path, query or fragment'],
    ['ws://chat//', 'must hold no path, query or fragment'],
    ['ws://chat?x', 'must hold no path, query or fragment'],
    ['ws://chat#x', 'must hold no path, query or fragment'],
    ['ws://chat/\n', 'must hold no path, query or fragment'],
    ['ws://', 'must hold a valid host'],
    ['ws://:80', 'must hold a valid host'],
    ['ws://ch at:80', 'must hold a valid host'],
    ['ws://chat\n', 'must hold a valid host'],
    ['ws://-chat', 'must hold a valid host'],
    ['ws://a..b', 'must hold a valid host'],
    ['ws://300.1.1.1', 'must hold a valid host'],
    ['ws://::1:80', 'must hold a valid host'],
    ['ws://0x7f', 'must hold a valid host'],
    ['ws://0x7f.1', 'must hold a valid host'],
    ['ws://[127.0.0.1]', 'must hold a valid host'],
    ['ws://[]', 'must hold a valid host'],
    ['ws://[fe80::1%eth0]:80', 'must hold a valid host'],
    [`ws://${'a'.repeat(64)}`, 'must hold a valid host'],
    [`ws://${'a.'.repeat(127)}b`, 'must hold a valid host'],
    ['ws://chat:', 'must hold a valid port'],
    ['ws://chat:0', 'must hold a valid port'],
    ['ws://chat:65536', 'must hold a valid port'],
    ['ws://chat:-1', 'must hold a valid port'],
    ['ws://chat:8e1', 'must hold a valid port'],
    ['ws://chat:80:80', 'must hold a valid port'],
    ['ws://chat:000080', 'must hold a valid port'],
  ])('refuses %j: %s', (text, message) => {
    const parsed = parseServerUrl(text);
    if (!isServerUrlFault(parsed)) throw new Error(`accepted as ${parsed.url}`);
    expect(parsed.message).toBe(message);
    expect(parsed.hint).not.toBe('');
  });
});
