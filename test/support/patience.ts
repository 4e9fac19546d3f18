/** How long a test waits for something that has to come, in ms: far longer than any machine needs. What comes is never waited for longer. */
export const PATIENCE_MS = 30_000;
