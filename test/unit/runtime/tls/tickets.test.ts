import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { ticketKeyOf } from '../../../../src/net/ticket-keys.ts';
import { TlsConfigError } from '../../../../src/runtime/tls/pem.ts';
import { loadTicketKeys } from '../../../../src/runtime/tls/tickets.ts';

const dir = mkdtempSync(join(tmpdir(), 'upgate-'));
afterAll(() => rmSync(dir, { recursive: true }));

const [one, two, three] = [randomBytes(48), randomBytes(80), randomBytes(48)] as const;
const write = (name: string, content: Buffer | string) => writeFileSync(join(dir, name), content);
write('one', one);
write('two', `${two.toString('base64')}\n${three.toString('base64')}\n`);
write('none', 'no key\n');
write('many', `${Array.from({ length: 16 }, () => randomBytes(48).toString('base64')).join('\n')}\n`);

const problemsOf = async (files: string[]) => {
  const thrown: unknown = await loadTicketKeys(files, dir).then(
    () => null,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(TlsConfigError);
  return (thrown as TlsConfigError).problems.map(({ path, message }) => [
    path.join('.'),
    message.replaceAll(`${dir}/`, ''),
  ]);
};

it('are those of all files in their order; none where no file is named', async () => {
  expect(await loadTicketKeys(['one', join(dir, 'two')], dir)).toEqual([one, two, three].map(ticketKeyOf));
  expect(await loadTicketKeys(undefined, dir)).toBeNull();
});

it('names each file that is missing or holds none', async () => {
  expect(await problemsOf(['one', 'gone', 'none', '.'])).toEqual([
    ['ticket_key_file', 'cannot read gone: there is no such file'],
    ['ticket_key_file', 'none holds no ticket keys: 48 or 80 octets, or lines of so many in base64'],
    ['ticket_key_file', `cannot read ${dir}: it is a directory`],
  ]);
});

it('are 16 at most', async () => {
  expect(await loadTicketKeys(['many'], dir)).toHaveLength(16);
  expect(await problemsOf(['many', 'one'])).toEqual([['ticket_key_file', 'more than 16 keys']]);
});
