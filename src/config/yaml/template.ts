// A text of the config with places that a request fills: `{name}` is a segment of the path, `{query.name}` a query
// parameter, `{claim.name}` a claim of the client's credentials. Pure; values come from websocket/rooms/room-names.ts.

/** Where a place is filled from. */
export interface Placeholder {
  readonly from: 'path' | 'query' | 'claim';
  readonly name: string;
}

export type ParsedTemplate = readonly (string | Placeholder)[];

const PLACEHOLDER = /^(?:(query)\.)?([A-Za-z_][A-Za-z0-9_-]*)$/;
/** Names of claims may be anything, URLs among them. */
const CLAIM = /^claim\.(.+)$/;

/** Reads a template; null where its braces hold no place. */
export function parseTemplate(text: string): ParsedTemplate | null {
  const template: (string | Placeholder)[] = [];
  for (const [index, part] of text.split(/[{}]/).entries()) {
    // Braces alternate, so that every second part stood within them; the rest of the text shows whether they did.
    if (index % 2 === 0) {
      if (part !== '') template.push(part);
      continue;
    }
    const [, claim] = CLAIM.exec(part) ?? [];
    if (claim !== undefined) {
      template.push({ from: 'claim', name: claim });
      continue;
    }
    const [, query, name] = PLACEHOLDER.exec(part) ?? [];
    if (name === undefined) return null;
    template.push({ from: query === undefined ? 'path' : 'query', name });
  }
  return text.replace(/\{[^{}]*\}/g, '').search(/[{}]/) === -1 && text !== '' ? template : null;
}
