// Which fields cross the gateway, in both directions, for plain requests and handshakes alike (RFC 9110 §7.6.1). Pure.
import { type FieldSection, type Fields, listElements, lowerNames, trimOws } from './fields.ts';
import { type Client, forwardingFields, isForwardingField, mayPass } from './forwarded.ts';
import type { Request } from './head.ts';

/** Fields that belong to one connection, beside those that Connection names. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
]);

/** The names, in lower case, that may not cross: those of one connection and those that Connection names. */
function connectionFields(section: FieldSection): ReadonlySet<string> {
  let dropped: Set<string> | null = null;
  for (const element of listElements(section, 'connection')) {
    const name = element.toLowerCase();
    if (HOP_BY_HOP.has(name)) continue;
    dropped ??= new Set(HOP_BY_HOP);
    dropped.add(name);
  }
  return dropped ?? HOP_BY_HOP;
}

/**
 * The fields of a request for the backend: Host first, then what may cross in its order, then ours. `skip` leaves out
 * further names, given in lower case.
 */
export function requestFields(request: Request, client: Client, skip: ReadonlySet<string>): string[] {
  const { head } = request;
  const dropped = connectionFields(head);
  const fields: string[] = request.host === '' ? [] : ['Host', request.host];
  for (let i = 0; i < head.names.length; i++) {
    const name = head.names[i] as string;
    // A backend that reads `_` as `-` (CGI, WSGI) would take an alias for the field itself.
    const plain = name.includes('_') ? name.replaceAll('_', '-') : name;
    if (plain === 'host' || dropped.has(plain) || dropped.has(name) || skip.has(plain)) continue;
    if (isForwardingField(name) && !mayPass(name, client)) continue;
    fields.push(head.fields[2 * i] as string, trimOws(head.fields[2 * i + 1] as string));
  }
  for (const ours of forwardingFields(head, client, request.host)) fields.push(ours);
  return fields;
}

/** The field a refusal of the gateway's own carries; a backend's answer must not look like one. */
export const REASON_FIELD = 'X-Gateway-Reason';

/** The fields of a backend's answer for the client: what may cross, in its order. */
export function responseFields(fields: Fields): string[] {
  const section = { fields, names: lowerNames(fields) };
  const dropped = connectionFields(section);
  const kept: string[] = [];
  for (let i = 0; i < section.names.length; i++) {
    const name = section.names[i] as string;
    if (dropped.has(name) || name === 'x-gateway-reason') continue;
    kept.push(fields[2 * i] as string, fields[2 * i + 1] as string);
  }
  return kept;
}
