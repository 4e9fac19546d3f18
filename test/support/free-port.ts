// Ports for programs that take a number and do not say which one they were given.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';

/** Below those that the system gives away by itself, so that nobody else is given this one meanwhile. */
const FIRST = 12_000;

/** One that nobody listens on. */
export async function freePort(): Promise<number> {
  const [end = 32_768] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split(/\s/).map(Number);
  for (;;) {
    const server = createServer().listen(FIRST + Math.floor(Math.random() * (end - FIRST)), '127.0.0.1');
    const free = await once(server, 'listening').then(
      () => true,
      () => false,
    );
    if (!free) continue;
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    return port;
  }
}
