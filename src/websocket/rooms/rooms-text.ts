// The handler `rooms` with `format: text`: the others get a member's message as `user: message`, so that the tutorials'
// chat clients and a bare browser console work. Where the route has no users, they get the message alone. A further
// line of a message begins with a space, so that none looks like the message of another user.
import { BrokerError, type Message, type MessageView } from '../broker/broker.ts';
import type { RoomProtocol, RoomProtocolOptions } from './room-protocol.ts';

/** `named`: whether the members that come by this route have names. */
export function textView(named: boolean): MessageView {
  return {
    message: (_, message) =>
      named && message.user !== null ? `${message.user}: ${folded(textOf(message))}` : textOf(message),
    presence: () => null,
    gap: () => null,
  };
}

/** The protocol `text` of one member. */
export function textRoomProtocol({ connection, joined, may, requests }: RoomProtocolOptions): RoomProtocol {
  return {
    message(type, data) {
      if (type === 'binary') return void connection.close(1003, 'text_only');
      if (!may.publish) return void connection.close(1008, 'not_allowed');
      requests.begin(data.length, async () => {
        try {
          await joined.publish(JSON.stringify(data.toString()));
        } catch (error) {
          // This format has no message for the error: while the broker is unavailable the members of this gateway have
          // got it.
          if (!(error instanceof BrokerError)) throw error;
        }
      });
    },
  };
}

/** Every line end of Unicode, CRLF as one. */
const LINE_END = /\r\n|[\n\v\f\r\u0085\u2028\u2029]/g;

function folded(text: string): string {
  return text.replace(LINE_END, '\n ');
}

/** A text is sent as it is; another value, of a member with `format: json`, as its JSON. */
function textOf({ data }: Message): string {
  return data.startsWith('"') ? (JSON.parse(data) as string) : data;
}
