// Text to Config: parses the YAML, inserts environment variables, checks the schema and the rules across fields, and
// reports all problems at once, each with its line and column. Pure: opens no file and reads no process environment.

import { check } from './check/check.ts';
import type { ConfigPath, LocatedProblem, Problem } from './problem.ts';
import { assumeModes, type Completed } from './problems/assumed-mode.ts';
import { type Explained, explainIssues, unfoldIssue, wordIssue } from './problems/issues.ts';
import { PathSet, prune, type Written, writtenOf } from './problems/prune.ts';
import { inputSchema } from './schema/json-schema.ts';
import { type Config, type SchemaIssue, schema } from './schema/schema.ts';
import { readDocument } from './yaml/document.ts';
import type { Env } from './yaml/env.ts';
import type { Positions } from './yaml/positions.ts';
import { type MapNode, plainValue } from './yaml/tree.ts';

export interface Parsed {
  /** Null if there is any error. */
  readonly config: Config | null;
  /** The config without its invalid values, for further checks; null if nothing is left. */
  readonly partial: Config | null;
  /** The routes of `partial` that lost a part of their match, by index. */
  readonly widened: Widened;
  /** Errors and warnings, in the order of the file. */
  readonly problems: readonly LocatedProblem[];
  /** The positions of the values in the file. */
  readonly positions: Positions;
  /** Adds the position in the file to a problem of `config` or `partial`. */
  locate(problem: Problem): LocatedProblem;
}

/**
 * Routes that would match more than they were meant to, and so seem to shadow others: whether what is left still has the
 * paths as they were written.
 */
export type Widened = ReadonlyMap<number, { readonly knowsPath: boolean }>;

const NONE: Widened = new Map();

/** The origin of a text, and the environment for its `${VAR}`. */
export interface Source {
  /** The name of the file for messages. */
  readonly file: string;
  readonly env: Env;
}

/** Reads a config. Never throws: what is wrong is in `problems`. */
export function parseConfig(text: string, { file, env }: Source): Parsed {
  const document = readDocument(text, file, env);
  if (document.root === null)
    return {
      config: null,
      partial: null,
      widened: NONE,
      problems: sort(document.problems),
      positions: document.positions,
      locate: document.locate,
    };

  const { root, assumed, issues } = findIssues(document.root);
  const spoiled = document.spoiled.filter((path) => !new PathSet(assumed).has(path));
  const found = issues.filter(({ problem }) => !new PathSet(document.spoiled).hasOrPartOf(problem.path));
  const { config: sound, removed } = prune(root, spoiled);
  const written = writtenOf(
    root,
    removed,
    found.flatMap(({ meant }) => (meant === undefined ? [] : [meant])),
  );
  const problems = [
    ...document.problems,
    ...found.map(({ problem }) => document.locate(problem)),
    ...(sound === null ? [] : check(sound, written)).map((problem) =>
      document.locate({ ...problem, path: written.pathInFile(problem.path) }),
    ),
  ];
  const config = problems.every(({ severity }) => severity === 'warning') ? sound : null;
  const locate = (problem: Problem) => document.locate({ ...problem, path: written.pathInFile(problem.path) });
  return {
    config,
    partial: sound,
    widened: widenedIn(sound, written),
    problems: sort(problems),
    positions: document.positions,
    locate,
  };
}

function widenedIn(sound: Config | null, written: Written): Widened {
  const matches = (sound?.routes ?? []).map((_, index): ConfigPath => ['routes', index, 'match']);
  return new Map(
    matches.flatMap((match, index) => {
      if (!written.lostWithin(match)) return [];
      const path = [...match, 'path'];
      return [[index, { knowsPath: written.has(path) && !written.lostWithin(path) }] as const];
    }),
  );
}

interface Found extends Pick<Completed, 'root' | 'assumed'> {
  readonly issues: readonly Explained[];
}

/** All schema violations: those of the modes as written, and the others with the assumed modes. */
function findIssues(written: MapNode): Found {
  const asWritten = issuesOf(written);
  // The JSON Schema is needed for error messages only: a start with a valid file does not build it.
  if (asWritten.length === 0) return { root: written, assumed: [], issues: [] };
  const schema = inputSchema();
  const { root, assumed, unsure } = assumeModes(written, schema);
  if (assumed.length === 0) return { root, assumed, issues: explainIssues(asWritten, { schema, root }) };
  const modes = new PathSet(assumed);
  const ofModes = asWritten.filter(({ path }) => modes.has(path as ConfigPath));
  const guessed = new PathSet(unsure);
  const others = issuesOf(root).filter(({ path }) => !guessed.has(path as ConfigPath));
  const issues = [...explainIssues(ofModes, { schema, root: written }), ...explainIssues(others, { schema, root })];
  return { root, assumed, issues };
}

function issuesOf(root: MapNode): readonly SchemaIssue[] {
  const value = plainValue(root, () => false);
  const result = schema.safeParse(value, { error: wordIssue });
  return result.success ? [] : result.error.issues.flatMap(unfoldIssue);
}

function sort(problems: readonly LocatedProblem[]): readonly LocatedProblem[] {
  return problems.toSorted((one, other) => one.line - other.line || one.column - other.column);
}
