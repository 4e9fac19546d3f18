// Writes what is derived from the code: config/gateway.schema.json, the table of fields in docs/configuration.md, and that of metrics in
// docs/metrics.md, each between its two markers. Run by `npm run generate`, after a build.
import { readFile, writeFile } from 'node:fs/promises';
import { formatFieldTable, listFields } from '../../dist/config/schema/fields.js';
import { formatEditorSchema } from '../../dist/config/schema/json-schema.js';
import { formatMetricTable } from '../../dist/observe/metrics-table.js';

const schemaFile = new URL('../../config/gateway.schema.json', import.meta.url);
await writeFile(schemaFile, formatEditorSchema());
await writeTable('configuration', 'fields', formatFieldTable(listFields()));
await writeTable('metrics', 'metrics', formatMetricTable());

async function writeTable(page, name, table) {
  const file = new URL(`../../docs/${page}.md`, import.meta.url);
  const place = new RegExp(`(<!-- ${name}:start -->\\n)[\\s\\S]*(\\n<!-- ${name}:end -->)`);
  const docs = await readFile(file, 'utf8');
  if (!place.test(docs)) throw new Error(`docs/${page}.md has no ${name}:start and ${name}:end`);
  await writeFile(
    file,
    docs.replace(place, (_, start, end) => `${start}\n${table}\n${end}`),
  );
}
