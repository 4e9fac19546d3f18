// What check says of lists of addresses, in the words an operator sees.
import { expect, it } from 'vitest';
import { parseConfig } from '../../../../src/config/parse.ts';

const problemsOf = (listener: object, route: object, trusted: string[] = [], http: object = {}) => {
  const config = {
    listeners: [{ port: 80, ...listener }],
    trusted_proxies: trusted,
    http,
    routes: [{ name: 'a', respond: {}, ...route }],
  };
  return parseConfig(JSON.stringify(config), { file: 'g', env: {} }).problems.map(
    ({ severity, message, hint, path }) =>
      `${severity} ${path.join('.')}: ${message}${hint === undefined ? '' : ` (${hint})`}`,
  );
};

it.each<[string, object, string[]]>([
  ['lists', { allow: ['10.0.0.0/8', '::1', 'unix'], deny: ['10.9.0.0/16', '192.0.2.1'] }, []],
  [
    'one of a range',
    { deny: ['10.0.0.0/8', '10.1.2.3'] },
    ['warning routes.0.deny.1: adds nothing to 10.0.0.0/8 (take it out)'],
  ],
  [
    'a range behind',
    { deny: ['10.1.2.3', '10.0.0.0/8'] },
    ['warning routes.0.deny.0: adds nothing to 10.0.0.0/8 (take it out)'],
  ],
  ['the same twice', { allow: ['::1', '0:0::1'] }, ['warning routes.0.allow.1: adds nothing to ::1 (take it out)']],
  ['unix twice', { allow: ['unix', 'unix'] }, ['warning routes.0.allow.1: adds nothing to unix (take it out)']],
  [
    'IPv4 as IPv6',
    { allow: ['10.0.0.0/8', '::ffff:10.0.0.1'] },
    ['warning routes.0.allow.1: adds nothing to 10.0.0.0/8 (take it out)'],
  ],
  ['two families', { allow: ['0.0.0.0/0', '::/0'] }, []],
  [
    'what is denied',
    { allow: ['10.9.1.0/24', '10.0.0.0/8'], deny: ['10.9.0.0/16'] },
    [
      'warning routes.0.allow.0: adds nothing to 10.0.0.0/8 (take it out)',
      'warning routes.0.allow.0: lets nobody in (it is refused by 10.9.0.0/16 of "deny", which is looked at first)',
    ],
  ],
])('%s', (_, route, problems) => expect(problemsOf({}, route)).toEqual(problems));

it('trusted proxies are such a list', () =>
  expect(problemsOf({}, {}, ['::1', '::1'])).toEqual(['warning trusted_proxies.1: adds nothing to ::1 (take it out)']));

it.each<[string, string[], object, string[]]>([
  ['the default', ['10.0.0.0/8'], {}, []],
  ['X-Forwarded-*', ['10.0.0.0/8'], { believe: 'x-forwarded' }, []],
  ['nobody', [], { believe: 'forwarded' }, []],
  [
    'Forwarded',
    ['10.0.0.0/8'],
    { believe: 'forwarded' },
    [
      'warning http.believe: a proxy that hands on the Forwarded of its clients lets them name any address ' +
        '(every one of trusted_proxies has to write it anew; nginx and HAProxy do so only where they are told to)',
    ],
  ],
  [
    'auto',
    ['10.0.0.0/8'],
    { believe: 'auto' },
    [
      'warning http.believe: "auto" is X-Forwarded-* alone, and no Forwarded is read ' +
        '(write x-forwarded; or forwarded, where that is what the proxies write)',
    ],
  ],
])('of trusted proxies is believed: %s', (_, trusted, http, problems) =>
  expect(problemsOf({}, {}, trusted, http)).toEqual(problems),
);

it.each<[string, object, RegExp]>([
  ['nothing', { allow: [] }, /^error routes\.0\.allow: /],
  [
    'no address',
    { allow: ['localhost'] },
    /^error routes\.0\.allow\.0: must be an IP address or a CIDR range, .* or "unix"/,
  ],
  ['a zone', { deny: ['fe80::1%eth0'] }, /^error routes\.0\.deny\.0: must be an IP address/],
])('%s is an error', (_, route, problem) => expect(problemsOf({}, route)).toEqual([expect.stringMatching(problem)]));

it.each<[string, object, string[]]>([
  ['proxies', { proxy_protocol: { from: ['10.0.0.0/8'] } }, []],
  ['a proxy on a unix socket', { port: undefined, unix: '/a', proxy_protocol: { from: ['unix'] } }, []],
  [
    'addresses on a unix socket',
    { port: undefined, unix: '/a', proxy_protocol: { from: ['::1'] } },
    ['error listeners.0.proxy_protocol.from: no peer on a unix socket has an address (write from: [unix])'],
  ],
  [
    'unix on a port',
    { proxy_protocol: { from: ['unix'] } },
    [
      'error listeners.0.proxy_protocol.from: "unix" is for a listener on a unix socket (name the proxies by their addresses)',
    ],
  ],
  [
    'the same twice',
    { proxy_protocol: { from: ['::1', '::1'] } },
    ['warning listeners.0.proxy_protocol.from.1: adds nothing to ::1 (take it out)'],
  ],
])('from: %s', (_, listener, problems) => expect(problemsOf(listener, {})).toEqual(problems));
