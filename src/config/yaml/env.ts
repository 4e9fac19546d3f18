// `${VAR}` in one value of the config. Runs on values after parsing, so that the environment can never add a key, a list
// entry or a comment; what a variable holds is not read again. Does not read the environment itself: it is handed in.

export type Env = Readonly<Record<string, string | undefined>>;

export interface Substituted {
  readonly text: string;
  /** Whether a reference was replaced, be it by its default. */
  readonly replaced: boolean;
  /** What came from the environment: secrets, never to be shown. */
  readonly secrets: readonly string[];
  readonly faults: readonly EnvFault[];
}

export interface EnvFault {
  readonly message: string;
  readonly hint: string;
}

/** `$${`, then `${...}` up to the next brace, then a `${` that is not closed before another brace. */
const REFERENCE = /\$\$\{|\$\{([^{}]*)\}|\$\{/g;
const BODY = /^([A-Za-z_][A-Za-z0-9_]*)(?::([-?])(.*))?$/s;
const FORMS = `write \${VAR}, \${VAR:-default} or \${VAR:?message}, and $\${ for a plain \${`;

/** Replaces each reference in the text; a fault leaves its reference as it stands. */
export function substitute(text: string, env: Env): Substituted {
  let replaced = false;
  const secrets: string[] = [];
  const faults: EnvFault[] = [];
  const result = text.replaceAll(REFERENCE, (reference: string, body: string | undefined) => {
    if (reference === '$${') return '${';
    const found = body === undefined ? { fault: unclosed() } : lookUp(body, env);
    if ('fault' in found) {
      faults.push(found.fault);
      return reference;
    }
    replaced = true;
    if (found.secret) secrets.push(found.value);
    return found.value;
  });
  return { text: result, replaced, secrets, faults };
}

type EnvLookup = { readonly value: string; readonly secret: boolean } | { readonly fault: EnvFault };

function lookUp(body: string, env: Env): EnvLookup {
  const [, name, operator, word = ''] = BODY.exec(body) ?? [];
  if (name === undefined) return { fault: { message: `\${${body}} is no reference to a variable`, hint: FORMS } };
  const value = Object.hasOwn(env, name) ? env[name] : undefined;
  if (operator === undefined) {
    if (value !== undefined) return { value, secret: true };
    const hint = `set ${name}, or give it a default: \${${name}:-...}`;
    return { fault: { message: `the environment variable ${name} is not set`, hint } };
  }
  // As in a shell, `:` makes an empty variable count as unset.
  if (value !== undefined && value !== '') return { value, secret: true };
  if (operator === '-') return { value: word, secret: false };
  const message = `the environment variable ${name} is not set`;
  return { fault: { message: word === '' ? message : `${message}: ${word}`, hint: `set ${name}` } };
}

function unclosed(): EnvFault {
  return { message: `"\${" without its "}"`, hint: `one reference cannot hold another; ${FORMS}` };
}
