// Writes what is derived from the schema: config/gateway.schema.json, and the table of fields in docs/configuration.md
// between its two markers. Run by `npm run generate`, after a build.
import { readFile, writeFile } from 'node:fs/promises';
import { formatFieldTable, listFields } from '../../dist/config/schema/fields.js';
import { formatEditorSchema } from '../../dist/config/schema/json-schema.js';

const schemaFile = new URL('../../config/gateway.schema.json', import.meta.url);
const docsFile = new URL('../../docs/configuration.md', import.meta.url);
const table = /(<!-- fields:start -->\n)[\s\S]*(\n<!-- fields:end -->)/;

await writeFile(schemaFile, formatEditorSchema());
const docs = await readFile(docsFile, 'utf8');
if (!table.test(docs)) throw new Error('docs/configuration.md has no fields:start and fields:end');
await writeFile(
  docsFile,
  docs.replace(table, (_, start, end) => `${start}\n${formatFieldTable(listFields())}\n${end}`),
);
