// What a listener's config says of HTTP/2, defaults in. Pure.
import type { ListenerConfig } from './schema/schema.ts';

export type Http2Config = NonNullable<ListenerConfig['http2']>;

const DEFAULTS: Http2Config = { extended_connect: false, prior_knowledge: false, max_streams: 128, window: 256 * 1024 };

/** Null: it is off. Unset it is on with TLS. */
export function http2Of({ http2, tls }: ListenerConfig): Http2Config | null {
  if (http2 !== undefined) return http2;
  return tls === undefined ? null : DEFAULTS;
}
