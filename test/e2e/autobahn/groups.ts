// All cases that need no extension, by group.
import type { Case } from './case.ts';
import { closingCases } from './closing.ts';
import { fragmentationCases } from './fragmentation.ts';
import { framingCases } from './framing.ts';
import { limitCases } from './limits.ts';
import { utf8Cases } from './utf8.ts';

const ALL: readonly Case[] = [...framingCases, ...fragmentationCases, ...utf8Cases, ...closingCases, ...limitCases];

const groupOf = ({ id }: Case) => id.replace(/[.+].*$/, '');

/** In the original's order. */
export const GROUPS: readonly (readonly [group: string, cases: readonly Case[]])[] = [
  ['1 framing', '1'],
  ['2 pings', '2'],
  ['3 reserved bits', '3'],
  ['4 opcodes', '4'],
  ['5 fragmentation', '5'],
  ['6 UTF-8', '6'],
  ['7 closing', '7'],
  ['9 limits', '9'],
  ['10 auto-fragmentation', '10'],
].map(([title, number]) => [title as string, ALL.filter((of) => groupOf(of) === number)] as const);

/** A message and its echo: for handshakes on which it is the offer that matters. */
export const SIMPLEST = framingCases[1] as Case;
