// Every fuzz target there is.
import type { Target } from './target.ts';
import { answer } from './targets/answer.ts';
import { clientHello } from './targets/client-hello.ts';
import { config } from './targets/config.ts';
import { connection } from './targets/connection.ts';
import { cursor } from './targets/cursor.ts';
import { fields } from './targets/fields.ts';
import { head } from './targets/head.ts';
import { origin } from './targets/origin.ts';
import { preamble } from './targets/preamble.ts';
import { request } from './targets/request.ts';
import { wire } from './targets/wire.ts';

export const TARGETS: readonly Target[] = [
  config,
  head,
  fields,
  origin,
  answer,
  cursor,
  preamble,
  clientHello,
  request,
  connection,
  wire,
];
