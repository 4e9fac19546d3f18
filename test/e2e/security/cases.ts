// Every case, in the groups and the order of docs/security-comparison.md.
import type { Case } from './attack.ts';
import type { Script } from './canary.ts';
import { ANSWER_SCRIPTS, ANSWERS } from './cases-answers.ts';
import { BOTH_FRAMINGS, CHUNKS, CODINGS, LENGTHS, UNREAD } from './cases-framing.ts';
import { CLAIMS, HOSTS, LINES, STARTS } from './cases-heads.ts';
import { GUARDED_HOSTS, GUARDED_PATHS, METHODS, NAME_SCRIPTS, ORIGINS } from './cases-names.ts';
import { TARGETS } from './cases-targets.ts';
import { BEHIND_UPGRADES, BODIES, H2C, UPGRADE_SCRIPTS } from './cases-upgrades.ts';

export interface Group {
  readonly title: string;
  readonly cases: readonly Case[];
}

export const GROUPS: readonly Group[] = [
  { title: 'Content-Length beside Transfer-Encoding', cases: BOTH_FRAMINGS },
  { title: 'Transfer-Encoding alone', cases: CODINGS },
  { title: 'Content-Length', cases: LENGTHS },
  { title: 'Chunks and trailers', cases: CHUNKS },
  { title: 'Bodies that nobody wants', cases: UNREAD },
  { title: 'Lines and fields', cases: LINES },
  { title: 'Start lines', cases: STARTS },
  { title: 'Host', cases: HOSTS },
  { title: 'Fields that speak for somebody else', cases: CLAIMS },
  { title: 'Targets', cases: TARGETS },
  { title: 'A guarded host, written in other ways', cases: GUARDED_HOSTS },
  { title: 'A guarded path, written in other ways', cases: GUARDED_PATHS },
  { title: 'Origins of a list', cases: ORIGINS },
  { title: 'Methods', cases: METHODS },
  { title: 'Behind an upgrade', cases: BEHIND_UPGRADES },
  { title: 'Upgrades with a body', cases: BODIES },
  { title: 'h2c and other upgrades', cases: H2C },
  { title: 'Answers of a backend', cases: ANSWERS },
];

export const SCRIPTS: Readonly<Record<string, Script>> = { ...UPGRADE_SCRIPTS, ...NAME_SCRIPTS, ...ANSWER_SCRIPTS };
