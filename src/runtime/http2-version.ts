// Which versions of node serve HTTP/2 without faults that are public.
import { http2Of } from '../config/http2.ts';
import type { Problem } from '../config/problem.ts';
import type { ListenerConfig } from '../config/schema/schema.ts';

/**
 * By major version the first minor one without CVE-2025-59465 (a client ends the process by a malformed head), CVE-2025-23085
 * and CVE-2024-27983. Later majors never had them; the ones between get no fixes any more.
 */
const FIXED: ReadonlyMap<number, number> = new Map([
  [20, 20],
  [22, 22],
  [24, 13],
]);
const NEVER_BROKEN = 25;

/** A warning for each listener with HTTP/2, where `node`, such as `20.20.1`, has the faults. */
export function http2Warnings(listeners: readonly ListenerConfig[], node: string): Problem[] {
  const [major = 0, minor = 0] = node.split('.').map(Number);
  const fixed = FIXED.get(major);
  if (major >= NEVER_BROKEN || (fixed !== undefined && minor >= fixed)) return [];
  return listeners.flatMap((listener, i): Problem[] => {
    if (http2Of(listener) === null) return [];
    const message = `HTTP/2 of node ${node} has faults by which a client can end the process (CVE-2025-59465)`;
    const hint = 'update node to 20.20, 22.22, 24.13 or later, or set http2: false';
    return [{ severity: 'warning', path: ['listeners', i], message, hint }];
  });
}
