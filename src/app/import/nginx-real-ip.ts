// The addresses whose word nginx takes for the client's address (`set_real_ip_from`), as trusted proxies.
import { isIP } from 'node:net';
import type { Directive } from './nginx-syntax.ts';

/** The directives of it. */
export const REAL_IP: ReadonlySet<string> = new Set(['set_real_ip_from', 'real_ip_header', 'real_ip_recursive']);

/** The proxies that all servers trust, of the directives of http and of each server. */
export function trustedProxies(
  http: readonly Directive[],
  servers: readonly (readonly Directive[])[],
): { trusted: string[]; remarks: string[] } {
  const all = [http, ...servers].flat();
  const from = all.filter(({ name }) => name === 'set_real_ip_from');
  if (from.length === 0) return { trusted: [], remarks: [] };
  const header = all.find(({ name }) => name === 'real_ip_header')?.args[0] ?? 'X-Real-IP';
  // A listener with proxy_protocol says so itself.
  const wanted = /^(?:x-forwarded-for|proxy_protocol)$/i.test(header);
  if (!wanted)
    return { trusted: [], remarks: [`real_ip_header ${header} is not carried: the gateway reads X-Forwarded-For`] };
  const trusted = new Set<string>();
  const remarks: string[] = [];
  for (const { args, line } of from) {
    const [address = ''] = args;
    if (isIP(address.split('/')[0] ?? '') === 0)
      remarks.push(`line ${line}: set_real_ip_from ${address} is not carried`);
    else trusted.add(address);
  }
  if (servers.flat().some(({ name }) => name === 'set_real_ip_from'))
    remarks.push('trusted_proxies hold for all servers here, in nginx for the one that names them');
  return { trusted: [...trusted], remarks };
}
