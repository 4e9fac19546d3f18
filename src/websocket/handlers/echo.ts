// The handler `echo`: every message goes back as it came, same type, same bytes. While a client does not read, the
// gateway does not read from it either, so that its send queue stays bounded.
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
