import { openHttpProxy } from '../../src/upstream/http-proxy.ts';
import { describeHttpEngine } from './http-engine.suite.ts';

describeHttpEngine('http-proxy', openHttpProxy);
