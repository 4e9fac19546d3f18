// Why a TLS handshake failed, from node's error. Pure.

import { systemCode } from '../errors.ts';
import type { TlsResult } from '../events/connection.ts';

/** A failed handshake. */
export interface FailedHandshake {
  readonly error: Error;
  /** Whether the client named a server (SNI). */
  readonly named: boolean;
  /** Whether it must. */
  readonly strictSni: boolean;
  /** What is wrong with the client's certificate; null: nothing, or it sent none. */
  readonly certificateError: string | null;
}

/** The code of the error that there is no certificate for a name. */
export const UNKNOWN_NAME = 'UNKNOWN_NAME';

/** By node's codes, which are those of OpenSSL 3 with `ERR_SSL_` before them (node 20 to 26). */
const RESULTS: readonly (readonly [RegExp, TlsResult])[] = [
  [/^ERR_SSL_(HTTP_REQUEST|HTTPS_PROXY_REQUEST|WRONG_VERSION_NUMBER|NOT_SSL_RECORD.*|UNKNOWN_PROTOCOL)$/, 'not_tls'],
  [/^ERR_SSL_(UNSUPPORTED_PROTOCOL|VERSION_TOO_LOW|NO_PROTOCOLS_AVAILABLE|INAPPROPRIATE_FALLBACK)$/, 'version'],
  [/^ERR_SSL_(NO_SHARED_(CIPHER|GROUPS?)|NO_SUITABLE_.*|NO_CIPHERS_.*)$/, 'no_shared_cipher'],
  [/^ERR_SSL_NO_APPLICATION_PROTOCOL$/, 'no_protocol'],
  [/^ERR_SSL_(PEER_DID_NOT_RETURN_A_CERTIFICATE|CERTIFICATE_VERIFY_FAILED)$/, 'client_certificate'],
  [/^ERR_SSL_.*ALERT_/, 'alert'],
  [/^ERR_TLS_HANDSHAKE_TIMEOUT$/, 'timeout'],
  [/^ERR_SSL_/, 'malformed'],
  [new RegExp(`^${UNKNOWN_NAME}$`), 'unknown_name'],
];

/** The result, and its description. */
export function failureOf(failed: FailedHandshake): { result: TlsResult; detail: string } {
  const code = systemCode(failed.error) ?? '';
  if (failed.certificateError !== null)
    return { result: 'client_certificate', detail: worded(failed.certificateError) };
  const result = RESULTS.find(([pattern]) => pattern.test(code))?.[1];
  // Without a certificate no cipher can be agreed on.
  if (result === 'no_shared_cipher' && failed.strictSni && !failed.named)
    return { result: 'unknown_name', detail: 'the client names no server' };
  if (result === 'unknown_name') return { result, detail: failed.error.message };
  if (result !== undefined) return { result, detail: worded(code) };
  // node has one code for both, and names a system call only where that failed.
  const reset = 'syscall' in failed.error;
  return reset ? { result: 'reset', detail: worded(code) } : { result: 'closed', detail: 'the client ended it' };
}

/** `ERR_SSL_TLSV1_ALERT_UNKNOWN_CA` as `tlsv1 alert unknown ca`. */
function worded(code: string): string {
  return code
    .replace(/^ERR_(SSL|TLS)_/, '')
    .replaceAll('_', ' ')
    .toLowerCase();
}
