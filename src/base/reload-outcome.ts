// What a reload tells of itself, to whoever asked for it and to the log.

/** What a new config means for what is live. */
export interface ReloadOutcome {
  /** Sessions that go on. */
  readonly kept: number;
  /** Sessions that are closed, by why. */
  readonly draining: readonly { readonly why: string; readonly sessions: number }[];
  /** Settings that differ from those that the process was started with, and take effect at a restart. */
  readonly restartNeeded: readonly string[];
}

/** The event of a reload. */
export interface ConfigReloaded {
  readonly type: 'config_reloaded';
  readonly result: 'success' | 'failure';
  /** What triggered it: `signal`, `file` or `api`. */
  readonly trigger: string;
  /** One line a problem, with position and hint, where it failed. */
  readonly problems: readonly string[];
  /** Null where it failed. */
  readonly outcome: ReloadOutcome | null;
}
