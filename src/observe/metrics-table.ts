// The table of metrics for docs/metrics.md, made of the catalog by `npm run generate`; a test holds the page to it.
import { METRICS } from './catalog.ts';
import type { Metric } from './metric.ts';

/** Markdown. */
export function formatMetricTable(): string {
  const rows = Object.entries<Metric>(METRICS).map(([name, { type, labels, doc, help }]) => {
    const named = labels.map((label) => `\`${label}\``).join(', ');
    return `| \`gateway_${name}\` | ${type} | ${named}${named === '' ? '' : ' '}| ${doc ?? help.replace(/\.$/, '')} |`;
  });
  return ['| Metric | Type | Labels | Meaning |', '|---|---|---|---|', ...rows].join('\n');
}
