// Which sessions an operator means: what `POST /connections/close` and `GET /connections` have in common.
import { lookupTable } from '../base/lookup-table.ts';
import { parseRange } from '../config/address.ts';
import { compileAddresses } from '../http/forwarding/addresses.ts';
import type { Session } from '../sessions/registry.ts';

/** Takes the value of a criterion; a string says what is wrong with it. */
type Criterion = (value: string) => ((session: Session) => boolean) | string;

const CRITERIA: Readonly<Record<string, Criterion>> = lookupTable({
  route: (value) => (session) => session.route === value,
  address: (value) => {
    if (parseRange(value) === null) return 'address is an IP address or a CIDR range';
    const addresses = compileAddresses([value]);
    return (session) => addresses.has(session.client);
  },
  user: (value) => (session) => session.user === value,
  upstream: (value) => (session) => session.at?.upstream === value,
  server: (value) => (session) => session.at?.server === value,
  id: (value) => (session) => session.id === value,
});

export const CRITERION_NAMES: readonly string[] = Object.keys(CRITERIA);
const LONGEST = 1024;

/** The conditions of all criteria that are given, by name; a string says what is wrong. `alsoTaken` is what the caller has read already. */
export function readConditions(
  given: Readonly<Record<string, unknown>>,
  alsoTaken: readonly string[],
): readonly ((session: Session) => boolean)[] | string {
  const conditions: ((session: Session) => boolean)[] = [];
  for (const [name, value] of Object.entries(given)) {
    const criterion = Object.hasOwn(CRITERIA, name) ? CRITERIA[name] : undefined;
    if (criterion === undefined)
      return `${JSON.stringify(name)} is none of ${[...CRITERION_NAMES, ...alsoTaken].join(', ')}`;
    if (typeof value !== 'string' || value === '' || value.length > LONGEST)
      return `${name} is a text of 1 to ${LONGEST} characters`;
    const found = criterion(value);
    if (typeof found === 'string') return found;
    conditions.push(found);
  }
  return conditions;
}
