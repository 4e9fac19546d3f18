// Whom a limit of a claim is about.
import { describe, expect, it } from 'vitest';
import { claimKey } from '../../../src/limits/client-key.ts';

describe('claimKey', () => {
  it('is the claim, or of a long one as much memory as of any other', () => {
    expect(claimKey('alice')).toBe('alice');
    const [one, other] = ['a', 'b'].map((end) => claimKey('x'.repeat(30_000) + end));
    expect(one).not.toBe(other);
    expect(one).toHaveLength(43);
  });
});
