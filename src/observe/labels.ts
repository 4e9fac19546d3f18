// Values that clients and backends choose, reduced to a few: every distinct value of a label is a time series for ever.
// Routes, upstreams, servers, modes and reasons are bounded by the config and the code, and need nothing here.

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH']);
/** The gateway's own close codes (docs/auth.md): credential expired, revoked. */
const OWN_CODES = new Set([4401, 4403]);

/** A route's name; `none` where no route matched. */
export function routeLabel(route: string | null): string {
  return route ?? 'none';
}

/** One of the nine methods of RFC 9110 §9 and RFC 5789, else `OTHER`. Methods are case-sensitive. */
export function methodLabel(method: string): string {
  return METHODS.has(method) ? method : 'OTHER';
}

/** A status of three digits (RFC 9110 §15), else `other`. */
export function statusLabel(status: number): string {
  return Number.isInteger(status) && status >= 100 && status <= 599 ? String(status) : 'other';
}

/** A close code of RFC 6455 §7.4: 1000 to 1014 and our own as they are, the rest of 3000 to 4999 as a class. */
export function closeCodeLabel(code: number | null): string {
  if (code === null) return 'none';
  if (!Number.isInteger(code)) return 'other';
  if ((code >= 1000 && code <= 1014) || OWN_CODES.has(code)) return String(code);
  if (code >= 3000 && code <= 3999) return '3xxx';
  return code >= 4000 && code <= 4999 ? '4xxx' : 'other';
}
