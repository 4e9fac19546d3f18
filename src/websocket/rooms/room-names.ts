// Which room a handshake is for and which user joins, from the path, the query and the claims that the route's config
// names. Never from a message: the name of a client is settled before its 101.
import { randomBytes } from 'node:crypto';
import { type ParsedTemplate, type Placeholder, parseTemplate } from '../../config/yaml/template.ts';
import { type Rejection, reject } from '../../handshake/rejection.ts';
import { claimOf, textOf } from '../../http/claims.ts';
import { parametersOf } from '../../http/query.ts';
import type { Opening } from '../handler.ts';

export interface NameRules {
  readonly room: string;
  readonly user?: string | undefined;
  readonly names: { readonly charset: 'ascii' | 'unicode'; readonly length: number };
}

export interface Names {
  readonly room: string;
  readonly user: string;
  /** The route has no names of users; this one is generated. */
  readonly guest: boolean;
}

/** What a name may be; the first character is a letter or digit, so that none looks like an option or a path. */
const CHARSETS = {
  ascii: /^[A-Za-z0-9][A-Za-z0-9._~@+-]*$/,
  unicode: /^[\p{L}\p{N}][\p{L}\p{Mn}\p{Mc}\p{N}._~@+-]*$/u,
} as const;
/** Letters and marks that show nothing, such as fillers, joiners and variation selectors. */
const INVISIBLE = /\p{Default_Ignorable_Code_Point}/u;
/** More marks on a letter than any script writes, or the same one twice (UTS #39 §5.4). */
const HEAPED = /\p{Mn}{5}|(\p{Mn})\1/u;

/** The prefix of generated names; no other user may have it. */
const GUEST = 'guest-';

/** Where the path has this parameter, it names the user without further config. */
const USER = 'user';

export class RoomNames {
  readonly #rules: NameRules;
  readonly #room: ParsedTemplate;
  readonly #user: ParsedTemplate | null;

  constructor(rules: NameRules) {
    this.#rules = rules;
    this.#room = parseTemplate(rules.room) ?? [rules.room];
    this.#user = rules.user === undefined ? null : (parseTemplate(rules.user) ?? [rules.user]);
  }

  /** The names of a handshake; a rejection where one is missing or invalid. */
  resolve(opening: Opening): Names | Rejection {
    const room = this.#fill(this.#room, opening);
    if (typeof room !== 'string') return room;
    const template = this.#user ?? (USER in opening.params ? [{ from: 'path', name: USER } as const] : null);
    if (template === null) return { room, user: guest(), guest: true };
    const user = this.#fill(template, opening);
    if (typeof user !== 'string') return user;
    if (user.toLowerCase().startsWith(GUEST)) return reject('name', `only guests are called ${GUEST}…`);
    return { room, user, guest: false };
  }

  #fill(template: ParsedTemplate, opening: Opening): string | Rejection {
    let text = '';
    for (const part of template) {
      const value = typeof part === 'string' ? part : this.#value(part, opening);
      if (typeof value !== 'string') return value;
      text += value;
    }
    return text;
  }

  #value(placeholder: Placeholder, opening: Opening): string | Rejection {
    const { name } = placeholder;
    const value = valueAt(placeholder, opening);
    if (value === null) return reject('name', `${name} is missing, or is no name`);
    const { charset, length } = this.#rules.names;
    // One name in two normal forms would be two users that look the same, and so would one in wide or ligated letters.
    const normal = value.normalize('NFKC');
    if ([...normal].length > length) return reject('name', `${name} has more than ${length} characters`);
    return isName(normal, charset) ? normal : reject('name', `${name} has characters that no name has here`);
  }
}

function isName(text: string, charset: keyof typeof CHARSETS): boolean {
  return CHARSETS[charset].test(text) && !INVISIBLE.test(text) && !HEAPED.test(text);
}

function valueAt({ from, name }: Placeholder, { params, request, principal }: Opening): string | null {
  if (from === 'path') return decode(params[name]);
  if (from === 'claim') return textOf(claimOf(principal?.claims ?? {}, name));
  return single(parametersOf(request.target.query), name);
}

/** Parameters of a path come as they were sent. */
function decode(value: string | undefined): string | null {
  if (value === undefined) return null;
  try {
    return decodeURIComponent(value);
  } catch {
    return null;
  }
}

/** A parameter that is given twice is ambiguous. */
function single(query: URLSearchParams, name: string): string | null {
  const values = query.getAll(name);
  return values.length === 1 ? (values[0] as string) : null;
}

function guest(): string {
  return `${GUEST}${randomBytes(4).toString('hex')}`;
}
