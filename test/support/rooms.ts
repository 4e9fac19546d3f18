// A client of the JSON protocol of rooms (docs/rooms.md).
import { type Client, openClient } from './client.ts';

export type RoomMessage = Readonly<Record<string, unknown>>;

export interface RoomClient {
  readonly client: Client;
  /** The `joined` message. */
  readonly joined: RoomMessage;
  /** Every message so far, `joined` included. */
  heard(): RoomMessage[];
  say(message: object): void;
  /** The next message. */
  hear(timeoutMs?: number): Promise<RoomMessage>;
  /** The next message with these values; others before it are left out. */
  hearOnly(wanted: RoomMessage, timeoutMs?: number): Promise<RoomMessage>;
  /** Says something, and gives the acknowledgement or the error. */
  publish(data: unknown): Promise<RoomMessage>;
}

export async function joinRoom(url: string): Promise<RoomClient> {
  const client = await openClient(url);
  // Each acknowledgement that is waited for listens.
  client.socket.setMaxListeners(0);
  const say = (message: object) => client.socket.send(JSON.stringify(message));
  const hear = async (timeoutMs?: number) => JSON.parse(String(await client.next(timeoutMs))) as RoomMessage;
  const joined = await hear();
  if (joined['type'] !== 'joined') throw new Error(`not joined: ${JSON.stringify(joined)}`);
  // Each is taken apart once, and not again by everyone who looks.
  const parsed: RoomMessage[] = [];
  const heard = () => {
    for (const text of client.messages.slice(parsed.length)) parsed.push(JSON.parse(String(text)) as RoomMessage);
    return parsed;
  };
  const fits = (message: RoomMessage, wanted: RoomMessage) =>
    Object.entries(wanted).every(([key, value]) => message[key] === value);
  const hearOnly = async (wanted: RoomMessage, timeoutMs?: number) => {
    for (;;) {
      const message = await hear(timeoutMs);
      if (fits(message, wanted)) return message;
    }
  };
  // Answers are told by their ref and looked for among all messages, so that they may come in any order.
  let refs = 0;
  const publish = (data: unknown) => {
    const ref = ++refs;
    return new Promise<RoomMessage>((resolve, reject) => {
      const look = () => {
        const found = heard().find(
          (message) => message['ref'] === ref && ['ack', 'error'].includes(`${message['type']}`),
        );
        if (!found) return;
        client.socket.off('kept', look);
        resolve(found);
      };
      client.socket.on('kept', look);
      void client.closed.then(() => reject(new Error('closed before its acknowledgement')));
      say({ type: 'publish', ref, data });
    });
  };
  return { client, joined, heard, say, hear, hearOnly, publish };
}

/** The messages that a client got: id and data, in the order they came. */
export function messagesOf({ heard }: Pick<RoomClient, 'heard'>): { id: unknown; data: unknown; user: unknown }[] {
  return heard()
    .filter(({ type }) => type === 'message')
    .map(({ id, data, user }) => ({ id, data, user }));
}
