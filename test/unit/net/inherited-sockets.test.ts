import { describe, expect, it } from 'vitest';
import { type InheritedSocket, InheritedSockets, type ListenAddress } from '../../../src/net/inherited-sockets.ts';

const socket = (fd: number, address: string, name: string | null = null): InheritedSocket => ({ fd, address, name });

describe('which socket a listener gets', () => {
  it.each<[ListenAddress, string]>([
    [{ port: 80 }, '[::]:80'],
    [{ port: 80 }, '0.0.0.0:80'],
    [{ host: '::', port: 80 }, '[::]:80'],
    [{ host: '0:0:0::0001', port: 443 }, '[::1]:443'],
    [{ host: '127.0.0.1', port: 80 }, '127.0.0.1:80'],
    [{ host: 'localhost', port: 80 }, '127.0.0.1:80'],
    [{ unix: '/run/upgate.sock' }, '/run/upgate.sock'],
  ])('%j: the one at %s', async (place, address) => {
    const sockets = new InheritedSockets([socket(3, '127.0.0.9:1'), socket(4, address)]);
    expect(await sockets.take(place)).toBe(4);
    expect(sockets.left.map(({ fd }) => fd)).toEqual([3]);
    // It is not there a second time.
    expect(await sockets.take(place)).toBeNull();
  });

  it.each<[ListenAddress, string]>([
    [{ port: 80 }, '127.0.0.1:80'],
    [{ port: 80 }, '[::]:8080'],
    [{ host: '0.0.0.0', port: 80 }, '[::]:80'],
    [{ host: 'nowhere.invalid', port: 80 }, '127.0.0.1:80'],
    [{ unix: '/run/upgate.sock' }, '@/run/upgate.sock'],
  ])('%j: not the one at %s', async (place, address) => {
    expect(await new InheritedSockets([socket(3, address)]).take(place)).toBeNull();
  });

  it('with a name: the one of that name alone, wherever it is bound', async () => {
    const sockets = new InheritedSockets([socket(3, '[::]:443', 'plain'), socket(4, '[::]:8443', 'tls')]);
    expect(await sockets.take({ port: 443, fd_name: 'tls' })).toBe(4);
    expect(await sockets.take({ port: 443, fd_name: 'tls' })).toBe(
      'no descriptor that was passed is named "tls"; those left: plain',
    );
  });

  it('none where none was passed, name or not', async () => {
    const none = new InheritedSockets([]);
    expect([none.any, await none.take({ port: 443, fd_name: 'tls' })]).toEqual([false, null]);
  });
});
