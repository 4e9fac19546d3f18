// What a load prints at its end, for bench.mjs.

/** Prints one line of JSON: what was done, what failed, and the 99th percentile of these round trips, in microseconds. */
export function printSummary({ done, failed, times }) {
  times.sort((a, b) => a - b);
  const p99 = Math.round((times[Math.floor(times.length * 0.99)] ?? 0) * 1000);
  process.stdout.write(`${JSON.stringify({ done, failed, p99 })}\n`);
}
