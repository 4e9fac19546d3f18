// The js relay engine against the shared suite.
import { JsRelay } from '../../src/relay/js/js.ts';
import { describeRelay } from './relay.suite.ts';

describeRelay('js', () => new JsRelay(), 'plain');
describeRelay('js', () => new JsRelay(), 'tls');
