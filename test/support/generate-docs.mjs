// Writes what is derived from the code: config/gateway.schema.json, the table of fields in docs/configuration.md, and that of metrics in
// docs/metrics.md, each between its two markers. Run by `npm run generate`.
import { readFile, writeFile } from 'node:fs/promises';
import { bundle } from './bundle.mjs';

const modules = ['config/schema/fields.ts', 'config/schema/json-schema.ts', 'observe/metrics-table.ts'];
const [fields, schema, metrics] = await Promise.all(
  (await bundle(...modules.map((name) => `src/${name}`))).map((url) => import(url)),
);

const schemaFile = new URL('../../config/gateway.schema.json', import.meta.url);
await writeFile(schemaFile, schema.formatEditorSchema());
await writeTable('configuration', 'fields', fields.formatFieldTable(fields.listFields()));
await writeTable('metrics', 'metrics', metrics.formatMetricTable());

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
