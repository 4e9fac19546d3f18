// Holds answers of the admin API to its own document.
import { expect } from 'vitest';
import * as z from 'zod';

export interface ApiResponse {
  readonly status: number;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly body: string;
}

interface Described {
  readonly responses: Readonly<Record<string, { readonly content?: Content }>>;
}

type Content = Readonly<Record<string, { readonly schema: object }>>;
type Paths = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

export interface ApiDocument {
  readonly openapi: string;
  readonly paths: Paths;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
}

const METHODS = ['get', 'post', 'delete', 'put', 'patch', 'head', 'options'];

/** Method and path of each operation. */
export function operationsOf(paths: Paths): string[] {
  return Object.entries(paths).flatMap(([path, item]) =>
    Object.keys(item)
      .filter((key) => METHODS.includes(key))
      .map((method) => `${method.toUpperCase()} ${path}`),
  );
}

/**
 * The answers, by method, path and status, are those that the document promises for these paths and no others, with bodies of
 * the schemas it gives.
 */
export function expectPromised(
  { paths, components }: ApiDocument,
  ofPaths: readonly string[],
  answers: ReadonlyMap<string, ApiResponse>,
): void {
  const promised = promises(Object.fromEntries(Object.entries(paths).filter(([path]) => ofPaths.includes(path))));
  expect([...answers.keys()].sort()).toEqual(promised.map(({ key }) => key).sort());
  for (const { key, content } of promised) {
    const { fields, body, status } = answers.get(key)!;
    if (Object.keys(content).length === 0) {
      expect([key, body, fields['content-type']]).toEqual([key, '', undefined]);
      continue;
    }
    const schema = content[String(fields['content-type'])]?.schema;
    if (schema === undefined) throw new Error(`${key}: ${fields['content-type']} is not promised`);
    const parsed = z.fromJSONSchema(asJsonSchema(schema, components.schemas)).safeParse(JSON.parse(body));
    expect([key, parsed.error?.issues ?? []]).toEqual([key, []]);
    if (status >= 400) expect(JSON.parse(body)).toMatchObject({ status, title: expect.not.stringMatching('Unknown') });
  }
}

/** Everything it promises: method, path, status. */
function promises(paths: Paths): { key: string; content: Content }[] {
  return Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item)
      .filter(([method]) => METHODS.includes(method))
      .flatMap(([method, operation]) =>
        Object.entries((operation as Described).responses).map(([status, { content = {} }]) => ({
          key: `${method.toUpperCase()} ${path} ${status}`,
          content,
        })),
      ),
  );
}

/** A schema of the document on its own: what it refers to comes along. */
function asJsonSchema(schema: object, $defs: object): Parameters<typeof z.fromJSONSchema>[0] {
  return JSON.parse(JSON.stringify({ ...schema, $defs }).replaceAll('#/components/schemas/', '#/$defs/'));
}
