// The refusal of both servers of HTTP/1.1 for a connection whose waiting requests exceed the budget of the process.
import { reject } from '../handshake/rejection.ts';

export const TOO_MUCH_WAITS = reject('limit', 'the requests that wait on all connections take too much memory');
