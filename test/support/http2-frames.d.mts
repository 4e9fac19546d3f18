export declare const FRAME: {
  readonly data: 0;
  readonly headers: 1;
  readonly priority: 2;
  readonly reset: 3;
  readonly settings: 4;
  readonly push: 5;
  readonly ping: 6;
  readonly goaway: 7;
  readonly window: 8;
  readonly continuation: 9;
};
export declare const END_STREAM: number;
export declare const ACK: number;
export declare const END_HEADERS: number;
export declare const PREFACE: Buffer;
export declare function frame(type: number, flags?: number, stream?: number, payload?: Buffer): Buffer;
