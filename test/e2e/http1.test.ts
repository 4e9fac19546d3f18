import { openHttp1 } from '../../src/proxy/http1/engine.ts';
import { describeHttpEngine } from './http-engine.suite.ts';

describeHttpEngine('http1', openHttp1);
