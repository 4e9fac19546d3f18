/**
 * How long a test waits for something that has to come, in ms: far longer than any machine needs. What comes is not waited
 * for any longer.
 */
export const TEST_TIMEOUT_MS = 30_000;
