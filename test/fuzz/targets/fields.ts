// Lists in fields: tokens, subprotocols, extensions. Each line of the input is one line of the field. What is read equals
// what a slow reader makes of it, octet by octet; extensions are also what ws reads, wherever it reads them.
import * as ws from 'ws';
import { readExtensions } from '../../../src/handshake/extensions.ts';
import { isRejection } from '../../../src/handshake/rejection.ts';
import { readOffer } from '../../../src/handshake/subprotocol.ts';
import { isToken, listElements, listHas, lowerNames } from '../../../src/http/fields.ts';
import { promise, type Target } from '../target.ts';

/** The parser of ws, which its types leave out. */
const { extension } = ws as unknown as {
  extension: { parse(text: string): Record<string, Record<string, (string | true)[]>[]> };
};

const TOKEN = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const slowToken = (text: string) => text !== '' && [...text].every((char) => TOKEN.includes(char));

/** The elements of RFC 9110 §5.6.1, one octet after the other. */
function slowElements(lines: readonly string[]): string[] {
  const elements: string[] = [];
  for (const line of lines) {
    let element = '';
    let blank = '';
    for (const char of `${line},`) {
      if (char === ',') {
        if (element !== '') elements.push(element);
        element = blank = '';
      } else if (char === ' ' || char === '\t') blank += char;
      else {
        element += element === '' ? char : blank + char;
        blank = '';
      }
    }
  }
  return elements;
}

function checkExtensions(fields: readonly string[], lines: readonly string[]): string {
  const ours = readExtensions({ fields, names: lowerNames(fields) });
  let theirs: ReturnType<typeof extension.parse> | null = null;
  try {
    theirs = lines.length === 1 ? extension.parse(lines[0] as string) : null;
  } catch {}
  if (isRejection(ours)) {
    promise(theirs === null, 'ws reads extensions that are refused here');
    return ours.reason;
  }
  const regrouped: NonNullable<typeof theirs> = Object.create(null);
  for (const { name, parameters } of ours) {
    promise(slowToken(name), 'the name of an extension is no token');
    const group: Record<string, (string | true)[]> = Object.create(null);
    for (const [parameter, value] of parameters) {
      promise(slowToken(parameter) && (value === null || slowToken(value)), 'a parameter is no token');
      group[parameter] = [...(group[parameter] ?? []), value ?? true];
    }
    regrouped[name] = [...(regrouped[name] ?? []), group];
  }
  if (theirs !== null) promise(JSON.stringify(regrouped) === JSON.stringify(theirs), 'ws reads other extensions');
  return `${Math.min(ours.length, 5)} extensions${theirs === null ? '' : ', as ws'}`;
}

export const fields: Target = {
  name: 'fields',
  words: [
    ',',
    ', ',
    ';',
    '; ',
    '=',
    '"',
    '\\',
    ' ',
    '\t',
    '\n',
    'a',
    'websocket',
    'Upgrade',
    'permessage-deflate',
    'client_max_window_bits=10',
    '__proto__',
    '\x80',
    '\0',
  ],
  longest: 4096,
  open: () => ({
    close() {},
    check(input) {
      const lines = input.toString('latin1').split('\n');
      const of = lines.flatMap((line) => ['X-List', line]);
      const section = { fields: of, names: lowerNames(of) };
      const elements = listElements(section, 'x-list');
      const slow = slowElements(lines);
      promise(JSON.stringify(elements) === JSON.stringify(slow), 'a list is read in another way');
      for (const element of slow.slice(0, 20)) {
        promise(listHas(section, 'x-list', element.toLowerCase()), 'an element of the list is not found in it');
        promise(isToken(element) === slowToken(element), 'what a token is differs');
      }
      promise(!listHas(section, 'x-list', 'not-in-the-list'), 'something is found that is not in the list');
      const offer = readOffer({
        fields: of,
        names: of.map((_, i) => (i % 2 === 0 ? 'sec-websocket-protocol' : '')).filter((name) => name !== ''),
      });
      const sound = slow.every(slowToken) && new Set(slow).size === slow.length;
      promise(isRejection(offer) !== sound, 'an offer is sound for one reader only');
      if (!isRejection(offer))
        promise(JSON.stringify(offer) === JSON.stringify(slow), 'an offer is read in another way');
      const named = lines.flatMap((line) => ['Sec-WebSocket-Extensions', line]);
      return `${Math.min(slow.length, 5)} ${sound} ${checkExtensions(named, lines)}`;
    },
  }),
};
