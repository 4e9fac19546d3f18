import { expect, it } from 'vitest';
import { readHead } from '../../../src/http/head.ts';

it('a message without a start line has an empty one', () => {
  expect(readHead({ httpVersion: '1.1', rawHeaders: [] }, false, '')).toMatchObject({ method: '', target: '' });
});
