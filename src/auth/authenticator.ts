// Who a client is: the seam between a request that shows credentials and those who can tell what they are worth. One file
// for each kind of credentials; where they stand among the steps of a request's way in is pipeline/access.ts.
import type { Rejection } from '../handshake/rejection.ts';
import type { Claims } from '../http/claims.ts';
import type { Fields } from '../http/fields.ts';
import type { Client } from '../http/forwarding/forwarded.ts';
import type { Request } from '../http/head.ts';
import type { PresentedToken } from '../http/token.ts';
import type { ClientClosed } from '../net/client-closed.ts';

/** Who a client was found to be. */
export interface Principal {
  /** The name it goes by in log and API, and by which its sessions are revoked; null where the credentials name nobody. */
  readonly subject: string | null;
  /** The claims of a token, or what another kind of credentials says of the sort. */
  readonly claims: Claims;
  /** Milliseconds since 1970 at which the credentials end, and a live session with them; null: never. */
  readonly expiresAt: number | null;
  /** Fields for the backend, flat, in place of the client's own of these names. */
  readonly fields: Fields;
}

/** Another server's answer that goes to the client as it is: that server was asked, and said no. */
export interface PassthroughResponse {
  readonly status: number;
  readonly phrase: string;
  /** As they may reach the client, flat, without framing. */
  readonly answer: Fields;
  readonly body: Buffer;
}

/** A request whose client is to be told. */
export interface AuthRequest {
  /** X-Request-Id of the request. */
  readonly id: string;
  /** Without its token. */
  readonly request: Request;
  /** Its path, normalised, as the backend gets it but for a prefix that is changed. */
  readonly path: string;
  /** The token, of routes that look for one. */
  readonly token: PresentedToken;
  readonly client: Client;
  /** Tells by its signal() when the client has left; nothing that is found out then is of use. */
  readonly clientClosed: ClientClosed;
}

export type AuthResult = Principal | Rejection | PassthroughResponse;

/** One kind of credentials with its options; it serves all requests of a route. */
export interface Authenticator {
  /** May reject with a GatewayError; whoever could not find out says `auth_unavailable`, and never lets in. */
  authenticate(asking: AuthRequest): AuthResult | Promise<AuthResult>;
}
