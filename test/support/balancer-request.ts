// A request that a server is wanted for, as the balancers and pools get to see it.
import { type RequestHead, readHead, readRequest } from '../../src/http/head.ts';
import type { Ask } from '../../src/upstream/balance/key.ts';

export interface Asking {
  readonly client?: string;
  readonly target?: string;
  /** Beside Host, flat. */
  readonly fields?: readonly string[];
  readonly kind?: Ask['kind'];
  readonly secure?: boolean;
  readonly viaTrusted?: boolean;
}

/** A GET of `/` by 192.0.2.1, with things changed. */
export function asking(change: Asking = {}): Ask {
  const { client = '192.0.2.1', target = '/', fields = [], kind = 'handshake', secure = false } = change;
  const head: RequestHead = readHead(
    { method: 'GET', url: target, httpVersion: '1.1', rawHeaders: ['Host', 'a', ...fields] },
    secure,
    client,
  );
  const request = readRequest(head);
  if ('fault' in request) throw new Error(request.fault);
  return { client, viaTrusted: change.viaTrusted ?? false, request, kind };
}
