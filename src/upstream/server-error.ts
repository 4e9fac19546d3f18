// What broke of a server's side of an exchange, in the gateway's own words.
import { GatewayError, systemCode } from '../errors.ts';
import { foreignStart } from '../http/foreign.ts';
import { upstreamError } from '../net/dial.ts';

/** `answering`: an answer had begun, so that what is malformed is no start of one. */
export function serverError(cause: unknown, url: string, answering: boolean): GatewayError {
  if (cause instanceof GatewayError) return cause;
  const code = systemCode(cause) ?? '';
  const message = cause instanceof Error ? cause.message : String(cause);
  if (code.startsWith('HPE_')) {
    // node adds what it could not parse.
    const { rawPacket } = cause as { readonly rawPacket?: unknown };
    const foreign = !answering && Buffer.isBuffer(rawPacket) ? foreignStart(rawPacket) : null;
    return new GatewayError('bad_accept', `${url} sent no valid HTTP: ${foreign ?? message}`, cause);
  }
  if (code === 'ETIMEDOUT') return new GatewayError('backend_timeout', `no connection to ${url}: ${message}`, cause);
  return upstreamError(cause, `forwarding to ${url}`);
}
