// Which challenges are answered, and with what.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { Challenges } from '../../../src/acme/challenges.ts';
import { AcmeStorage } from '../../../src/acme/storage.ts';
import { TestClock } from '../../support/clock.ts';

const dir = mkdtempSync(join(tmpdir(), 'upgate-acme-'));
const storage = new AcmeStorage(join(dir, 'authority'));
const TOKEN = 'DGyRejmCefe7v4NfDGDKfA';
const challenge = { domain: 'a.example', token: TOKEN, keyAuthorization: `${TOKEN}.thumbprint` };
let challenges: Challenges;
beforeEach(() => {
  challenges = new Challenges(new TestClock(Date.now()));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe('over HTTP', () => {
  it('are answered while they are open', async () => {
    const close = await challenges.present({ ...challenge, type: 'http-01' }, storage);
    expect(challenges.textFor(TOKEN)).toBe(challenge.keyAuthorization);
    expect(challenges.awaitsTls).toBe(false);
    close();
    expect(challenges.textFor(TOKEN)).toBeNull();
  });

  it('are answered by every gateway that shares the directory', async () => {
    const other = new Challenges(new TestClock(Date.now()));
    other.share([join(dir, 'nowhere'), storage.challengeFolder]);
    const close = await challenges.present({ ...challenge, type: 'http-01' }, storage);
    expect(await other.textFor(TOKEN)).toBe(challenge.keyAuthorization);
    close();
    await expect.poll(() => other.textFor(TOKEN)).toBeNull();
  });

  it.each([
    ['is empty', ''],
    ['leads elsewhere', '../../account.key'],
    ['leads elsewhere, encoded', '..%2f..%2faccount.key'],
    ['has a query', `${TOKEN}?x=1`],
    ['is of another folder', `${TOKEN}/${TOKEN}`],
    ['is longer than a name of a file', 'x'.repeat(300)],
    ['is short', 'account'],
  ])('a token that %s is none', (_, token) => {
    challenges.share([dir]);
    writeFileSync(join(dir, 'account'), 'secret');
    expect(challenges.textFor(token)).toBeNull();
  });

  it('are looked for sixteen at a time', async () => {
    challenges.share([storage.challengeFolder]);
    const asked = Array.from({ length: 20 }, () => challenges.textFor(TOKEN));
    expect(asked.filter((answer) => answer === null)).toHaveLength(4);
    await Promise.all(asked);
    expect(challenges.textFor(TOKEN)).not.toBeNull();
  });
});

it('by ALPN have a certificate for the name while they are open', async () => {
  const close = await challenges.present({ ...challenge, type: 'tls-alpn-01' }, storage);
  expect(challenges.awaitsTls).toBe(true);
  expect(challenges.contextFor('b.example')).toBeNull();
  expect(challenges.contextFor('a.example')).not.toBeNull();
  const second = await challenges.present({ ...challenge, type: 'tls-alpn-01' }, storage);
  close();
  // The newer one stays.
  expect(challenges.awaitsTls).toBe(true);
  second();
  expect(challenges.awaitsTls).toBe(false);
});
