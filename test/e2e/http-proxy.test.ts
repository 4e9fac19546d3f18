import { openHttpProxy } from '../../src/proxy/http-proxy/http-proxy.ts';
import { describeHttpEngine } from './http-engine.suite.ts';

describeHttpEngine('http-proxy', openHttpProxy);
