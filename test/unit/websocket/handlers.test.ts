import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { schema, type TerminateConfig } from '../../../src/config/schema/schema.ts';
import type { SessionEnd } from '../../../src/events.ts';
import type { ConnectionHandlerFactory, WebSocketConnection } from '../../../src/websocket/handler.ts';
import { buildHandler, type HandlerServices } from '../../../src/websocket/handlers.ts';

function configOf(websocket: object): TerminateConfig {
  const config = schema.parse({
    listeners: [{ port: 0 }],
    routes: [{ name: 'local', websocket: { mode: 'terminate', ...websocket } }],
  });
  const parsed = config.routes[0]?.websocket;
  if (parsed?.mode !== 'terminate') throw new Error('no terminate route');
  return parsed;
}

/** These handlers need none of it. */
const services = {} as HandlerServices;

const END: SessionEnd = {
  fromClient: { bytes: 0, messages: 0 },
  toClient: { bytes: 0, messages: 0 },
  discarded: 0,
  cut: false,
  code: 1000,
  initiator: 'client',
  reason: 'closed',
};

/** A handler that asks nothing before the 101. */
function build(websocket: object): ConnectionHandlerFactory {
  const handler = buildHandler(configOf(websocket), services);
  if ('admit' in handler) throw new Error('a handler that wants to be asked');
  return handler;
}

function connect(keepsUp = true) {
  const sent: [string, string][] = [];
  let holds = 0;
  const connection: WebSocketConnection = {
    id: 'test',
    send(type, data) {
      sent.push([type, data.toString()]);
      return keepsUp;
    },
    sendPrepared() {
      throw new Error('not expected');
    },
    hold() {
      holds++;
    },
    pause() {
      throw new Error('not expected');
    },
    resume() {
      throw new Error('not expected');
    },
    close() {
      throw new Error('not expected');
    },
  };
  return { connection, sent, holds: () => holds };
}

describe('echo', () => {
  it('sends back what it got, same type', () => {
    const { connection, sent, holds } = connect();
    const conversation = build({ handler: 'echo' }).open(connection);
    conversation.message('text', Buffer.from('ä'));
    conversation.message('binary', Buffer.from([65]));
    conversation.closed(END);
    expect(sent).toEqual([
      ['text', 'ä'],
      ['binary', 'A'],
    ]);
    expect(holds()).toBe(0);
  });

  it('stops reading from a client that does not keep up', () => {
    const { connection, holds } = connect(false);
    build({ handler: 'echo' }).open(connection).message('text', Buffer.from('x'));
    expect(holds()).toBe(1);
  });
});

describe('push', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('says hello world at once and every ten seconds where nothing else is said', () => {
    const { connection, sent } = connect();
    const conversation = build({ handler: 'push' }).open(connection);
    expect(sent).toEqual([['text', 'hello world']]);
    vi.advanceTimersByTime(9_999);
    expect(sent).toHaveLength(1);
    vi.advanceTimersByTime(10_001);
    expect(sent).toHaveLength(3);
    conversation.closed(END);
    vi.advanceTimersByTime(60_000);
    expect(sent).toHaveLength(3);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('says what the config says, to each connection by its own time, and ignores what it gets', () => {
    const handler = build({ handler: 'push', push: { text: 'tick', every: '1s' } });
    const [first, second] = [connect(), connect()];
    const conversation = handler.open(first.connection);
    vi.advanceTimersByTime(500);
    handler.open(second.connection);
    conversation.message('text', Buffer.from('ignored'));
    vi.advanceTimersByTime(600);
    expect(first.sent).toEqual([
      ['text', 'tick'],
      ['text', 'tick'],
    ]);
    expect(second.sent).toEqual([['text', 'tick']]);
  });
});
