import { portOf } from "../../../shared/config-site.ts";
import type { ListenAddress } from "../../../shared/config-values.ts";
import { CutoverError } from "../../../shared/errors.ts";
import type { HealthAnswer } from "../../contracts/ports.ts";
import type { RunSpec } from "../../contracts/privileged.ts";
import { isSecure, type PermittedSite, permittedSite } from "../../host-policy.ts";
import type { AppSettings } from "../../settings.ts";
import type { DeployContext } from "../context.ts";
import { healthHost, type RunFault } from "./run-health.ts";

/** What a visitor of the site gets through nginx, once the new release has the traffic. */

const timeoutMs = 10_000;
/** nginx may be reloading, so what fails is asked again before it counts. */
const tries = 3;
const pauseMs = 400;
const longestChain = 5;

/** The agent got an answer from the instances themselves, so their logs do not say why nginx gets none. */
const noWay =
  "If the app does not answer so itself, nginx cannot reach the instances, and its error log on the host says why (often /var/log/nginx/error.log). An app that changes the mode of its socket must stop that: nginx's user needs it.";

/** Asks each address of the site once. @returns what is wrong, or undefined */
export async function visitorFault(context: DeployContext, spec: RunSpec): Promise<RunFault | undefined> {
  const { ports, settings } = context;
  if (spec.config.site === "none" || (await ports.maintenance.state(spec.app)) !== undefined) return undefined;
  const site = siteOf(spec, settings);
  if (site === undefined) return undefined;
  const { listen, serverNames } = site;
  const visitor = new Visitor(context, { listen, names: serverNames, host: healthHost(spec.config, settings) });
  for (const address of await servedAddresses(context, site)) {
    const fault = await visitor.faultAt(address, spec.config.health.path);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/** Before the first certificate of `tls: auto`, nginx does not listen on the addresses with ssl. */
async function servedAddresses(
  { ports, state }: DeployContext,
  { listen, tls }: PermittedSite,
): Promise<ListenAddress[]> {
  if (tls !== "auto" || (await ports.privileged.certificate(state.app)) !== undefined) return listen;
  return listen.filter((address) => !isSecure(address));
}

/** The host's owner may have changed what the app may have since the cutover began. That says nothing of the release. */
function siteOf({ config }: RunSpec, settings: AppSettings): PermittedSite | undefined {
  try {
    return permittedSite(config, settings);
  } catch (thrown) {
    if (thrown instanceof CutoverError) return undefined;
    throw thrown;
  }
}

/** What is wrong for a visitor. An nginx that is down refuses the visitors of every release: nobody is better off with another. */
interface Fault extends RunFault {
  isDown: boolean;
}

interface SiteAddresses {
  listen: ListenAddress[];
  names: string[];
  host: string;
}

class Visitor {
  readonly #context: DeployContext;
  readonly #site: SiteAddresses;

  constructor(context: DeployContext, site: SiteAddresses) {
    this.#context = context;
    this.#site = site;
  }

  async faultAt(address: ListenAddress, path: string): Promise<RunFault | undefined> {
    let fault: Fault | undefined;
    for (let attempt = 0; attempt < tries; attempt++) {
      if (attempt > 0) await this.#context.ports.clock.sleep(pauseMs, this.#context.stopping);
      fault = await this.#follow(address, path);
      if (fault === undefined) return undefined;
    }
    if (fault?.isDown !== true) return fault;
    this.#context.deployment.warning(`${fault.text}. That is no fault of the release: look at nginx on the host`);
    return undefined;
  }

  /** Follows redirects as far as they stay within the site. */
  async #follow(first: ListenAddress, path: string): Promise<Fault | undefined> {
    const { host } = this.#site;
    const seen = new Set<string>();
    let url = urlOf(first, host, path);
    for (let address = first; seen.size < longestChain; ) {
      seen.add(url.href);
      const asked = { address, host, path: `${url.pathname}${url.search}`, timeoutMs };
      const answer = await this.#context.ports.probe.visit(asked);
      const fault = faultOf(url, answer);
      if (fault !== undefined || answer.kind !== "status") return fault;
      const next = locationOf(answer, url);
      if (next === undefined || !this.#isOwn(next)) return undefined;
      if (seen.has(next.href) && answer.cookie !== true) {
        const text = `${url.href} answers ${answer.status} and sends the visitor to ${next.href}, round in a circle`;
        return { text, isDown: false };
      }
      const listening = this.#addressOf(next);
      if (listening === undefined) {
        this.#warnOfNobody(url, next);
        return undefined;
      }
      address = listening;
      url = next;
    }
    return undefined;
  }

  /** Behind a load balancer that ends TLS, a plain request of this host itself is sent to https, and the visitors' are not. */
  #warnOfNobody({ href }: URL, next: URL): void {
    const { deployment, ports } = this.#context;
    const secure = next.protocol === "https:";
    if (secure && ports.probe.behindProxies === true) return;
    const text = `${href} sends every visitor to ${next.href}, and the site does not listen there on this host`;
    const advice = `. Add "${next.port || 443} ssl" to site.listen, or turn that redirect off. If a load balancer in front of it ends TLS, write its address into agent.yml: trusted_proxies: [...]`;
    deployment.warning(secure ? `${text}${advice}` : text);
  }

  #isOwn({ hostname }: URL): boolean {
    return hostname === this.#site.host || this.#site.names.includes(hostname);
  }

  #addressOf(url: URL): ListenAddress | undefined {
    const secure = url.protocol === "https:";
    const port = url.port === "" ? (secure ? 443 : 80) : Number(url.port);
    return this.#site.listen.find((address) => portOf(address) === port && isSecure(address) === secure);
  }
}

function urlOf(address: ListenAddress, host: string, path: string): URL {
  return new URL(path, `${isSecure(address) ? "https" : "http"}://${host}:${portOf(address)}`);
}

function faultOf(url: URL, answer: HealthAnswer): Fault | undefined {
  if (answer.kind === "unreachable") {
    const text = `a visitor of ${url.href} gets no answer from nginx: ${answer.reason}`;
    return { text, isDown: answer.how === "absent" };
  }
  if (answer.status < 500) return undefined;
  const text = `a visitor of ${url.href} gets ${answer.status} through nginx`;
  return { text, isDown: false, ...([502, 504].includes(answer.status) && { fix: noWay }) };
}

function locationOf({ status, location }: Extract<HealthAnswer, { kind: "status" }>, url: URL): URL | undefined {
  if (status < 300 || status >= 400 || location === undefined) return undefined;
  return URL.canParse(location, url.href) ? new URL(location, url.href) : undefined;
}
