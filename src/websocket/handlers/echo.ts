// The handler `echo`: every message goes back as it came, same type, same bytes. A client that sends and does not read
// is not read from either, so that what is owed to it stays bounded.
import type { ConnectionHandlerFactory } from '../handler.ts';

export const echo: ConnectionHandlerFactory = {
  open(connection) {
    return {
      message(type, data) {
        if (!connection.send(type, data)) connection.hold();
      },
      closed() {},
    };
  },
};
