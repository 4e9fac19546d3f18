// What the API's document is put together from: schemas, answers and operations that its parts share.

export const text = { type: 'string' } as const;
export const optionalText = { type: ['string', 'null'] } as const;
export const time = { type: 'string', format: 'date-time' } as const;
export const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` });

/** The schema of an object that has all of these members and no other. */
export function object(properties: Readonly<Record<string, object>>): object {
  return { type: 'object', properties, required: Object.keys(properties), additionalProperties: false };
}

export const answer = (description: string, schema: object) => ({
  description,
  content: { 'application/json': { schema } },
});
export const refusal = (description: string) => ({
  description,
  content: { 'application/problem+json': { schema: ref('Problem') } },
});

const ACCESS_REFUSALS = {
  401: refusal('`unauthorized`: the token is missing or wrong; `WWW-Authenticate` is there'),
  403: refusal('`api_off`: the config has no token, so there is no API; or `host`: see above'),
  405: refusal('`method`: another method; `Allow` names those that there are'),
};
export const GONE = refusal('`gone`: there is no such connection, or not any more');
export const MALFORMED = refusal('`malformed`: `detail` says what');
export const TOO_LARGE = refusal('`too_large`: the body has more than 1 MiB');
export const MEDIA_TYPE = refusal('`media_type`: another Content-Type than those taken');
export const DONE = { description: 'Done' };

export const id = { name: 'id', in: 'path', required: true, schema: text, description: 'Id of the connection' };
export const room = { name: 'room', in: 'path', required: true, schema: { ...text, maxLength: 256 } };
export const query = (name: string, schema: object, description: string) => ({
  name,
  in: 'query',
  schema,
  description,
});

export const body = (...types: readonly string[]) => ({
  required: true,
  content: Object.fromEntries(types.map((type) => [type, { schema: type === 'application/json' ? {} : text }])),
});

/** An operation that needs the token. */
export function operation(
  operationId: string,
  summary: string,
  rest: { readonly responses: object } & Readonly<Record<string, unknown>>,
): object {
  return {
    operationId,
    summary,
    security: [{ bearer: [] }],
    ...rest,
    responses: { ...rest.responses, ...ACCESS_REFUSALS },
  };
}
