// Which files a config names: certificates, keys, secrets. Their content is part of the config in use, so that a change
// of it is a change of the config. They are read by tls.ts, backend-tls.ts and secrets.ts.
import { resolve } from 'node:path';
import { certificateFile } from '../config/acme.ts';
import type { Config } from '../config/schema/schema.ts';

/** Absolute paths, each once; relative ones of the config count from `baseDir`. */
export function namedFiles({ admin, listeners, upstreams, routes }: Config, baseDir: string): string[] {
  const named = [
    admin.token_file,
    ...listeners.flatMap(({ tls }) => [
      ...(tls?.certificates ?? []).flatMap(({ cert, key, ocsp_file }) => [cert, key, ocsp_file]),
      ...(tls?.ticket_key_file ?? []),
      tls?.acme === undefined ? undefined : certificateFile(tls.acme),
      tls?.acme?.ca,
      tls?.client_auth?.ca,
      tls?.client_auth?.crl,
    ]),
    ...Object.values(upstreams).flatMap(({ tls }) => [tls?.ca, tls?.cert, tls?.key]),
    ...routes.flatMap(({ auth, websocket }) => [
      auth?.jwt?.key_file,
      auth?.basic?.users_file,
      websocket?.mode === 'terminate' ? websocket.webhook?.key_file : undefined,
    ]),
  ];
  return [...new Set(named.filter((file) => file !== undefined).map((file) => resolve(baseDir, file)))];
}
