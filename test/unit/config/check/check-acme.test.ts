// What check says of `tls.acme`, in the words an operator sees.
import { describe, expect, it } from 'vitest';
import { authorityFolder, certificateFile } from '../../../../src/config/acme.ts';
import { parseConfig } from '../../../../src/config/parse.ts';

const SOUND = { domains: ['app.example.com'], storage: 'acme', terms_agreed: true };

function problemsOf(acme: object, { tls = {}, at = { port: 443 }, others = [{ port: 80 }], match = {} }: Changes = {}) {
  const listeners = [...others, { ...at, tls: { acme: { ...SOUND, ...acme }, ...tls } }];
  const config = { listeners, routes: [{ name: 'a', respond: {}, match }] };
  return parseConfig(JSON.stringify(config), { file: 'g', env: {} }).problems.map(
    ({ severity, message, path }) => `${severity} ${path.join('.')}: ${message}`,
  );
}
interface Changes {
  readonly tls?: object;
  readonly at?: object;
  readonly others?: object[];
  readonly match?: object;
}
const AT = 'listeners.1.tls.acme';

it.each<[string, object, Changes?]>([
  ['the least', {}],
  [
    'all of it',
    {
      ...{ domains: ['App.Example.com', 'www.example.com'], email: 'ops@example.com', ca: 'ca.pem' },
      ...{ directory: 'https://ca.internal:9000/acme/acme/directory', eab: { kid: 'a', key: 'Zm9v' } },
    },
  ],
  ['TLS alone', {}, { others: [] }],
  ['beside certificates', {}, { tls: { certificates: [{ cert: 'a', key: 'b' }] } }],
  ['routes for the host', {}, { match: { host: ['*.example.com'] } }],
])('takes %s', (_, acme, changes) => expect(problemsOf(acme, changes)).toEqual([]));

it.each<[string, object, string]>([
  [
    'a wildcard',
    { domains: ['*.example.com'] },
    `error ${AT}.domains.0: a wildcard needs dns-01, which is left to another client of ACME`,
  ],
  ['an address', { domains: ['192.0.2.1'] }, `error ${AT}.domains.0: must be a DNS name, such as app.example.com`],
  [
    'a name without a dot',
    { domains: ['localhost'] },
    `error ${AT}.domains.0: must be a DNS name, such as app.example.com`,
  ],
  ['a final dot', { domains: ['a.example.'] }, `error ${AT}.domains.0: must be a DNS name, such as app.example.com`],
  [
    'a name twice',
    { domains: ['app.example.com', 'APP.example.com'] },
    `error ${AT}.domains.1: the same as listeners[1].tls.acme.domains[0]`,
  ],
  ['terms that are not agreed to', { terms_agreed: false }, `error ${AT}.terms_agreed: the terms must be agreed to`],
  [
    'http',
    { directory: 'http://ca.example/' },
    `error ${AT}.directory: must be an https URL, got "http://ca.example/"`,
  ],
  [
    'two addresses',
    { email: 'a@b.example,c@d.example' },
    `error ${AT}.email: must be an email address, got "a@b.example,c@d.example"`,
  ],
  ['a key that is not in base64url', { eab: { kid: 'a', key: '+/' } }, `error ${AT}.eab.key: must be in base64url`],
])('refuses %s', (_, acme, problem) => {
  const found = problemsOf(acme);
  expect(found).toHaveLength(1);
  expect(found[0]).toContain(problem);
});

it('refuses one of its own beside it', () => {
  const found = problemsOf({}, { tls: { self_signed: ['localhost'] } });
  expect(found).toEqual(['error listeners.1.tls.self_signed: "self_signed" beside "acme"']);
});

it('needs an address that an authority can reach', () => {
  const at = { unix: '/run/upgate.sock' };
  expect(problemsOf({}, { at, others: [] })).toEqual([
    'error listeners.0.tls.acme: no authority can reach a unix socket to see that the names are yours',
  ]);
  expect(problemsOf({}, { at })).toEqual([]);
});

it.each([['other.example'], ['*.app.example.com'], ['*.com']])('warns where all routes are for others: %s', (host) => {
  expect(problemsOf({}, { match: { host } })).toEqual([`warning ${AT}.domains.0: no route takes this host`]);
});

describe('the files', () => {
  const directory = 'https://acme-v02.api.letsencrypt.org/directory';
  const config = { storage: '/var/lib/acme', directory, domains: ['b.example', 'a.example'] };

  it('are under the authority, by the first name and all of them in any order', () => {
    expect(authorityFolder(config)).toBe('/var/lib/acme/acme-v02.api.letsencrypt.org-directory');
    expect(certificateFile({ ...config, domains: ['a.example'] })).toBe(`${authorityFolder(config)}/a.example.pem`);
    const file = certificateFile(config);
    expect(file).toMatch(/\/b\.example-[0-9a-f]{8}\.pem$/);
    expect(certificateFile({ ...config, domains: ['b.example', 'c.example'] })).not.toBe(file);
  });

  it('are nowhere else, whatever the URL of the directory holds', () => {
    const folder = authorityFolder({ storage: 's', directory: 'https://ca.example:9000/../..//%2e%2e/A~b?x' });
    expect(folder).toMatch(/^s\/ca\.example-9000[\w.-]*$/);
  });
});
