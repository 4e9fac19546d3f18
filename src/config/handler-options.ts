// The options of the handlers of a terminating route, each under its handler's name, as a part of schema.ts.
import { wait, z } from './terms.ts';

/** Options of the handler `push`; the handler asks here for what stands when the config has no `push`. */
export const pushOptions = z.strictObject({
  text: z.string().prefault('hello world').describe('The message'),
  every: wait().prefault('10s').describe('Sent at once, and again after each of these'),
});
