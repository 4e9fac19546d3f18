// What is told of a handshake that got no session: what rules go by, and no secret.
import { describe, expect, it } from 'vitest';
import { shownFields } from '../../../src/handshake/shown-fields.ts';
import { handshakeHead } from '../../support/heads.ts';

describe('what a handshake asked for', () => {
  it('is its Origin, its version, and of its subprotocols those that the route lists', () => {
    const offers = ['bearer.c2VjcmV0, chat.v1', 'chat.v2'];
    const head = handshakeHead({ fields: { Origin: 'https://a.example', 'Sec-WebSocket-Protocol': offers } });
    const asked = { origin: 'https://a.example', version: '13' };
    expect(shownFields(head, ['chat.v2', 'chat.v1', 'chat.v0'])).toEqual({
      ...asked,
      subprotocols: ['chat.v2', 'chat.v1'],
    });
    expect(shownFields(head, null)).toEqual({ ...asked, subprotocols: [] });
  });

  it('has the Origin of the field that version 8 names, and null where nothing is said', () => {
    const fields = { Origin: [], 'Sec-WebSocket-Origin': 'https://old.example', 'Sec-WebSocket-Version': '8' };
    const old = { origin: 'https://old.example', version: '8', subprotocols: [] };
    expect(shownFields(handshakeHead({ fields }), [])).toEqual(old);
    const silent = handshakeHead({ fields: { Origin: [], 'Sec-WebSocket-Version': [] } });
    expect(shownFields(silent, [])).toEqual({ origin: null, version: null, subprotocols: [] });
  });
});
