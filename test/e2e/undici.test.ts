import { openUndici } from '../../src/upstream/undici.ts';
import { describeHttpEngine } from './http-engine.suite.ts';

describeHttpEngine('undici', openUndici);
