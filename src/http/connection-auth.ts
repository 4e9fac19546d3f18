// Which connections to a server carry one client's credentials: NTLM and Negotiate authenticate the connection itself
// (RFC 4559 §6), so that the next user of it would be taken for that client. Pure.
import type { AnswerHead } from './answer.ts';
import { type Fields, valuesOf } from './fields.ts';

const CREDENTIALS = /^(?:NTLM|Negotiate)(?:[\t ]|$)/i;
/** One of the challenges of a list. */
const CHALLENGE = /(?:^|,)[\t ]*(?:NTLM|Negotiate)(?:[\t ,]|$)/i;

/** Whether a request with these fields authenticates its connection. */
export function authenticatesConnection(fields: Fields): boolean {
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    if (name.length === 13 && name.toLowerCase() === 'authorization' && CREDENTIALS.test(fields[i + 1] as string))
      return true;
  }
  return false;
}

/** Whether an answer says that its connection is, or is being, authenticated. */
export function answersConnectionAuth(head: AnswerHead): boolean {
  if (head.names.includes('persistent-auth')) return true;
  return valuesOf(head, 'www-authenticate').some((value) => CHALLENGE.test(value));
}
