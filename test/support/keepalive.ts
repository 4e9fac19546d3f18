// What the kernel does about an idle TCP connection (proc(5), tcp).
import { readFileSync } from 'node:fs';

/** Milliseconds until the kernel probes the IPv4 connection between these ports of this machine; null where it does not. */
export function keepaliveMs(localPort: number | undefined, remotePort: number | undefined): number | null {
  const end = (port = 0): string => `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const row = readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .find(([, local, remote]) => local?.endsWith(end(localPort)) && remote?.endsWith(end(remotePort)));
  const [kind, ticks = ''] = (row?.[5] ?? '').split(':');
  return kind === '02' ? Number.parseInt(ticks, 16) * 10 : null;
}
