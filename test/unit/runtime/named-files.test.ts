// Every file that a config can name is watched: what is told here is what the schema has, so that a new key can't be left out.
import { expect, it } from 'vitest';
import { editorSchema } from '../../../src/config/schema/json-schema.ts';
import { schema } from '../../../src/config/schema/schema.ts';
import { namedFiles } from '../../../src/runtime/named-files.ts';

const config = schema.parse({
  admin: { port: 0, token_file: 'admin-token' },
  listeners: [
    { port: 0 },
    {
      port: 0,
      tls: {
        certificates: [
          { cert: 'a.crt', key: 'a.key', ocsp_file: 'a.ocsp' },
          { cert: '/etc/b.crt', key: 'a.key' },
        ],
        ticket_key_file: ['new.key', 'old.key'],
        client_auth: { ca: 'clients.pem', crl: 'revoked.pem' },
        acme: { domains: ['a.example'], storage: 'acme', directory: 'https://ca.example/dir', ca: 'acme-ca.pem' },
      },
    },
  ],
  upstreams: { chat: { servers: ['wss://chat:1'], tls: { ca: 'backend.pem', cert: 'us.crt', key: 'us.key' } } },
  routes: [
    {
      name: 'hooked',
      auth: { jwt: { key_file: 'jwt.pem', algorithms: ['RS256'], audience: 'a', issuer: 'b' } },
      websocket: {
        mode: 'terminate',
        handler: 'webhook',
        webhook: { upstream: 'chat', path: '/', key_file: 'hook.key' },
        origins: 'any',
      },
    },
    { name: 'basic', auth: { basic: { users_file: 'users' } }, http: { upstream: 'chat' } },
  ],
});

it('is all of them, once each, as absolute paths', () => {
  expect(namedFiles(config, '/srv').sort()).toEqual(
    [
      ...[
        '/etc/b.crt',
        '/srv/a.crt',
        '/srv/a.ocsp',
        '/srv/a.key',
        '/srv/admin-token',
        '/srv/backend.pem',
        '/srv/clients.pem',
      ],
      ...[
        '/srv/new.key',
        '/srv/old.key',
        '/srv/acme-ca.pem',
        '/srv/acme/ca.example-dir/a.example.pem',
        '/srv/hook.key',
        '/srv/jwt.pem',
        '/srv/revoked.pem',
        '/srv/us.crt',
        '/srv/us.key',
        '/srv/users',
      ],
    ].sort(),
  );
});

it('is one for each key of the schema that is the path of a file', () => {
  const paths = new Set<string>();
  const walk = (value: unknown, key: string): void => {
    if (typeof value !== 'object' || value === null) return;
    const { description } = value as { description?: unknown };
    if (typeof description === 'string' && /^Path of (the|a|an|its|their) (?!unix)/.test(description))
      paths.add(`${key}: ${description}`);
    for (const [name, inner] of Object.entries(value)) walk(inner, name);
  };
  walk(editorSchema(), '');
  // a.crt, a.key, a.ocsp; keys of tickets; client_auth; acme; tls of an upstream; three secrets of routes; the admin's.
  expect([...paths].map((path) => path.split(':')[0]).sort()).toEqual(
    [
      'ca',
      'ca',
      'ca',
      'cert',
      'cert',
      'crl',
      'key',
      'key',
      'key_file',
      'ocsp_file',
      'ticket_key_file',
      'token_file',
      'users_file',
    ].sort(),
  );
});
