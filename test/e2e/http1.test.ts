import { openHttp1 } from '../../src/proxy/http1/engine.ts';
import { describeHttpEngine } from './http-engine.suite.ts';
import { describeToldBinding } from './http-engine-binding.suite.ts';
import { describePool } from './http1-pool.suite.ts';

describeHttpEngine('http1', openHttp1, (stages) => {
  describePool(stages);
  describeToldBinding(stages);
});
