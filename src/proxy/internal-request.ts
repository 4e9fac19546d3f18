// One request of the gateway's own to one server of a pool, with what the pool and the log need: a server is taken and
// released, the outcome and a failure are reported. Which server, and whether to ask again, is the caller's matter.
import { asGatewayError, GatewayError } from '../errors.ts';
import type { Emit } from '../events.ts';
import { lowerNames } from '../http/fields.ts';
import { outcomeOf } from '../upstream/lease.ts';
import type { Pool, Server } from '../upstream/pool.ts';
import type { Call, InternalClient, Reply } from './internal-client.ts';

export interface InternalRequester {
  readonly pool: Pool;
  readonly caller: InternalClient;
  readonly emit: Emit;
}

export interface InternalRequest extends Omit<Call, 'server'> {
  /** Id of the request or connection on whose behalf it is asked, for the log. */
  readonly id: string;
  /** Whether an answer of this status is none, and another server may be asked. */
  readonly failsWith: (status: number) => boolean;
}

/** An answer, or what broke; `reply` is there where a failing answer came. */
export type InternalResponse =
  | { readonly reply: Reply; readonly error: null }
  | { readonly reply: Reply | null; readonly error: GatewayError };

/** Never rejects. `Host` is not added: it is among the fields. */
export async function requestServer(
  { pool, caller, emit }: InternalRequester,
  server: Server,
  request: InternalRequest,
): Promise<InternalResponse> {
  const { id, failsWith, ...call } = request;
  const lease = pool.take(server);
  const failed = (error: GatewayError): void =>
    emit({
      type: 'upstream_failed',
      upstream: server.upstream,
      server: server.url,
      id,
      reason: error.code,
      detail: error.message,
    });
  try {
    const reply = await caller.call({ server, ...call });
    lease.reportOutcome(outcomeOf(reply.status, lowerNames(reply.fields).includes('retry-after')));
    if (!failsWith(reply.status)) return { reply, error: null };
    const error = new GatewayError('backend_refused', `${server.url} answered ${reply.status}`);
    failed(error);
    return { reply, error };
  } catch (thrown) {
    const error = asGatewayError(thrown, 'upstream', id);
    if (error.source === 'upstream') {
      lease.reportOutcome('failed');
      failed(error);
    }
    return { reply: null, error };
  } finally {
    lease.release();
  }
}
