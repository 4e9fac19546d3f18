import { expect, it, vi } from 'vitest';
import type { AuthRequest } from '../../../src/auth/authenticator.ts';
import { createBasic } from '../../../src/auth/basic.ts';
import type { PasswordHash } from '../../../src/auth/password.ts';
import { lowerNames } from '../../../src/http/fields.ts';
import { ClientClosed } from '../../../src/net/client-closed.ts';

/** A hash that counts its checks, and waits with them until it may go on. */
function hashOf(password: string, go: Promise<void> = Promise.resolve()): PasswordHash {
  return {
    text: `hash of ${password}`,
    matches: vi.fn(async (given: string) => {
      await go;
      return given === password;
    }),
  };
}

const asking = (...authorization: string[]): AuthRequest => askingFrom('192.0.2.1', ...authorization);

function askingFrom(address: string, ...authorization: string[]): AuthRequest {
  const fields = authorization.flatMap((value) => ['Authorization', value]);
  return {
    id: '1',
    request: { head: { fields, names: lowerNames(fields) } },
    client: { address },
    clientClosed: new ClientClosed(),
  } as unknown as AuthRequest;
}

const basic = (text: string | Buffer): string => `Basic ${Buffer.from(text).toString('base64')}`;
const alice = hashOf('wonder:land');
const users = new Map([['alice', alice]]);
const challenge = ['WWW-Authenticate', 'Basic realm="the \\"app\\"", charset="UTF-8"'];
const authenticator = () => createBasic({ realm: 'the "app"', users });

it('knows who shows the right password, which may have a colon', async () => {
  const found = await authenticator().authenticate(asking(basic('alice:wonder:land')));
  expect(found).toEqual({ subject: 'alice', claims: { sub: 'alice' }, expiresAt: null, fields: [] });
});

it('takes the scheme in any case, and names in UTF-8', async () => {
  const umlaut = createBasic({ realm: 'x', users: new Map([['jörg', hashOf('grün')]]) });
  const found = await umlaut.authenticate(asking(basic('jörg:grün').replace('Basic', 'bAsIc ')));
  expect(found).toMatchObject({ subject: 'jörg' });
});

it.each([
  ['nothing', [], 'credentials are missing'],
  ['a wrong password', [basic('alice:wonder')], 'the name or the password is wrong'],
  ['nobody', [basic('bob:wonder:land')], 'the name or the password is wrong'],
  ['another scheme', ['Bearer abc'], 'Authorization is not Basic as RFC 7617 has it'],
  ['no base64', ['Basic a b'], 'Authorization is not Basic as RFC 7617 has it'],
  ['no colon', [basic('alice')], 'Authorization is not Basic as RFC 7617 has it'],
  ['a control character', [basic('alice:wonder:land\n')], 'Authorization is not Basic as RFC 7617 has it'],
  ['no UTF-8', [basic(Buffer.of(0x61, 0xff, 0x3a, 0x62))], 'Authorization is not Basic as RFC 7617 has it'],
  ['five kilobytes', [basic(`alice:${'x'.repeat(5000)}`)], 'Authorization is not Basic as RFC 7617 has it'],
  ['two', [basic('alice:wonder:land'), basic('alice:wonder:land')], 'Authorization is there more than once'],
])('refuses %s, with a challenge', async (_, shown, detail) => {
  const found = await authenticator().authenticate(asking(...shown));
  expect(found).toMatchObject({ reason: 'auth', status: 401, detail, fields: challenge });
});

it('checks somebody nobody knows like everybody else', async () => {
  const hash = hashOf('secret');
  await createBasic({ realm: 'x', users: new Map([['alice', hash]]) }).authenticate(asking(basic('bob:secret')));
  expect(hash.matches).toHaveBeenCalledOnce();
});

it('remembers what was right for a minute, and nothing that was wrong', async () => {
  const hash = hashOf('secret');
  let now = 0;
  const some = createBasic({ realm: 'x', users: new Map([['alice', hash]]), now: () => now });
  const ask = () => some.authenticate(asking(basic('alice:secret')));
  await ask();
  now = 59_999;
  // Without waiting: nothing is checked.
  expect(ask()).toMatchObject({ subject: 'alice' });
  expect(hash.matches).toHaveBeenCalledTimes(1);
  now = 60_001;
  expect(await ask()).toMatchObject({ subject: 'alice' });
  expect(hash.matches).toHaveBeenCalledTimes(2);
  for (let i = 0; i < 2; i++) await some.authenticate(asking(basic('alice:wrong')));
  expect(hash.matches).toHaveBeenCalledTimes(4);
});

it('forgets the oldest of more than a thousand', async () => {
  const hashes = Array.from({ length: 1001 }, (_, i) => hashOf(`p${i}`));
  const some = createBasic({ realm: 'x', users: new Map(hashes.map((hash, i) => [`u${i}`, hash])) });
  for (let i = 0; i < 1001; i++) await some.authenticate(asking(basic(`u${i}:p${i}`)));
  await some.authenticate(asking(basic('u0:p0')));
  await some.authenticate(asking(basic('u1000:p1000')));
  expect([hashes[0], hashes[1000]].map((hash) => vi.mocked(hash!.matches).mock.calls.length)).toEqual([2, 1]);
});

/** An authenticator whose checks wait until `go` is called. */
function heldChecks() {
  let go = (): void => {};
  const held = new Promise<void>((resolve) => (go = resolve));
  const hash = hashOf('secret', held);
  return { hash, go, basic: createBasic({ realm: 'x', users: new Map([['alice', hash]]) }) };
}

it('checks two at a time, has 64 more of an address wait, and refuses those after them', async () => {
  const { hash, go, basic: some } = heldChecks();
  const found = Array.from({ length: 67 }, (_, i) => some.authenticate(asking(basic(`alice:${i}`))));
  expect(await found[66]).toMatchObject({ reason: 'limit', status: 503 });
  expect(hash.matches).toHaveBeenCalledTimes(2);
  go();
  const all = await Promise.all(found);
  expect(all.filter((one) => 'reason' in one && one.reason === 'auth')).toHaveLength(66);
});

it.each([
  ['one address', () => '192.0.2.1'],
  ['one network of IPv6', (i: number) => `2001:db8::${(i + 1).toString(16)}`],
])(
  'a hundred wrong guesses from %s keep nobody else out, and delay nobody by more than a turn',
  async (_, addressOf) => {
    const { hash, go, basic: some } = heldChecks();
    const guesses = Array.from({ length: 100 }, (_each, i) =>
      some.authenticate(askingFrom(addressOf(i), basic(`alice:${i}`))),
    );
    const right = some.authenticate(askingFrom('198.51.100.7', basic('alice:secret')));
    go();
    expect(await right).toMatchObject({ subject: 'alice' });
    // The two under way, one more of each of the lines, and its own.
    expect(vi.mocked(hash.matches).mock.calls.length).toBeLessThan(8);
    const all = await Promise.all(guesses);
    expect(all.filter((one) => 'reason' in one && one.reason === 'limit')).toHaveLength(34);
  },
);

it('checks a password once that is shown many times at once', async () => {
  const { hash, go, basic: some } = heldChecks();
  const found = Array.from({ length: 40 }, () => some.authenticate(asking(basic('alice:secret'))));
  go();
  for (const each of await Promise.all(found)) expect(each).toMatchObject({ subject: 'alice' });
  expect(hash.matches).toHaveBeenCalledTimes(2);
});

it('checks nothing for a client that leaves the line', async () => {
  const { hash, go, basic: some } = heldChecks();
  const first = [some.authenticate(asking(basic('alice:1'))), some.authenticate(asking(basic('alice:2')))];
  const third = asking(basic('alice:3'));
  const refused = expect(some.authenticate(third)).rejects.toMatchObject({ code: 'client_gone' });
  third.clientClosed.notify();
  await refused;
  go();
  await Promise.all(first);
  expect(hash.matches).toHaveBeenCalledTimes(2);
});
