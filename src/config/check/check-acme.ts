// What needs two fields to judge of `tls.acme`: whether an authority could ever issue what it asks for. A part of check.ts.
import type { ConfigPath } from '../problem.ts';
import type { Written } from '../problems/prune.ts';
import type { Config, ListenerConfig, RouteConfig } from '../schema/schema.ts';
import { error, findDuplicates, type Problems, warning } from './findings.ts';

/** What is wrong with `tls.acme` of the listeners, seen beside the rest of the config. */
export function* checkAcme(config: Config, written: Written): Problems {
  for (const [index, listener] of config.listeners.entries()) {
    if (listener.tls?.acme === undefined) continue;
    yield* checkListener(listener, ['listeners', index, 'tls', 'acme'], { config, written });
  }
}

interface Whole {
  readonly config: Config;
  readonly written: Written;
}

function* checkListener({ tls, unix }: ListenerConfig, path: ConfigPath, { config, written }: Whole): Problems {
  const acme = tls?.acme;
  if (acme === undefined || written.lostWithin(path)) return;
  if (!acme.terms_agreed) {
    const hint = "read the authority's terms of service, then set terms_agreed: true";
    yield error([...path, 'terms_agreed'], 'the terms must be agreed to', { hint });
  }
  yield* findDuplicates(acme.domains, [...path, 'domains'], written);
  // Over HTTP by a listener without TLS, by ALPN on port 443 of this one.
  if (unix !== undefined && !config.listeners.some((each) => each.tls === undefined && each.unix === undefined)) {
    const hint = 'add a listener with port: 80 and without tls';
    yield error(path, 'no authority can reach a unix socket to see that the names are yours', { hint });
  }
  if (written.lostWithin(['routes'])) return;
  for (const [index, domain] of acme.domains.entries()) {
    if (config.routes.some((route) => takes(route, domain))) continue;
    yield warning([...path, 'domains', index], 'no route takes this host', { hint: 'is it written right?' });
  }
}

function takes({ match }: RouteConfig, domain: string): boolean {
  return match.host === undefined || match.host.some((host) => fits(host.toLowerCase().replace(/\.$/, ''), domain));
}

/** `*.suffix` is one label before it. */
function fits(host: string, domain: string): boolean {
  return host === domain || (host.startsWith('*.') && host.slice(1) === domain.slice(domain.indexOf('.')));
}
