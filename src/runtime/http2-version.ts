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

/** The first nghttp2 without CVE-2026-27135: a frame of a wrong size behind GOAWAY ends the process. */
const NGHTTP2_FIXED = [1, 68, 1];

/**
 * A warning for each listener that asks for HTTP/2, where node brings an nghttp2 that a client can end: without TLS by four
 * frames, with TLS by some hundred connections of malformed ones, which did not end node 22 and 24.
 */
export function nghttp2Warnings(listeners: readonly ListenerConfig[], nghttp2: string): Problem[] {
  if (!isBefore(nghttp2.split('.').map(Number), NGHTTP2_FIXED)) return [];
  return listeners.flatMap((listener, i): Problem[] => {
    const { http2, tls } = listener;
    if (http2 === undefined || http2 === null || (tls === undefined && !http2.prior_knowledge)) return [];
    const message = `a client can end the process by malformed HTTP/2: this node has nghttp2 ${nghttp2} (CVE-2026-27135)`;
    const hint = 'update node to a version of 22, 24 or 26 with nghttp2 1.68.1, or set http2: false';
    return [{ severity: 'warning', path: ['listeners', i], message, hint }];
  });
}

function isBefore(version: readonly number[], other: readonly number[]): boolean {
  const at = other.findIndex((part, i) => part !== (version[i] ?? 0));
  return at !== -1 && (version[at] ?? 0) < (other[at] as number);
}

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
