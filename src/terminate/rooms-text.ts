// The handler `rooms` with `format: text`: what one says, the others get as `user: message`, so that the tutorials' chat
// clients and a bare browser console work. Where the route knows no users, they get the message alone.
import type { Said, View } from './broker.ts';
import type { Talk, TalkOptions } from './room-talk.ts';

/** `named`: whether the members that come by this route have names. */
export function textView(named: boolean): View {
  return {
    message: (_, said) => (named && said.user !== null ? `${said.user}: ${textOf(said)}` : textOf(said)),
    presence: () => null,
    gap: () => null,
  };
}

export function textTalk({ connection, joined, may }: TalkOptions): Talk {
  return {
    message(type, data) {
      if (type === 'binary') return void connection.close(1003, 'text_only');
      if (!may.publish) return void connection.close(1008, 'not_allowed');
      // There is no word for it in this format: while the broker is away the members of this gateway have got it.
      joined.publish(JSON.stringify(data.toString())).catch(() => {});
    },
  };
}

/** A text is said as it is; another value, of a member with `format: json`, as its JSON. */
function textOf({ data }: Said): string {
  return data.startsWith('"') ? (JSON.parse(data) as string) : data;
}
