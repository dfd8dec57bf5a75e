import { portOf } from "../../../shared/config-site.ts";
import type { ListenAddress } from "../../../shared/config-values.ts";
import { CutoverError } from "../../../shared/errors.ts";
import type { HealthAnswer } from "../../contracts/ports.ts";
import type { RunSpec } from "../../contracts/privileged.ts";
import { isSecure, type PermittedSite, permittedSite } from "../../host-policy.ts";
import type { AppSettings } from "../../settings.ts";
import type { DeployContext } from "../context.ts";
import { largeHeader } from "./large-header.ts";
import { isLogin, isVisitorsMachine, pageFiles, refreshTarget } from "./page-files.ts";
import { healthHost, type RunFault } from "./run-health.ts";

/** What a visitor of the site gets through nginx, once the new release has the traffic. */

const timeoutMs = 10_000;
/** nginx may be reloading, so what fails is asked again before it counts. */
const tries = 3;
const pauseMs = 400;
const longestChain = 5;

/** The agent got an answer from the instances themselves, so their logs do not say why nginx gets none. */
const noWay =
  "If the app does not answer so itself, nginx cannot reach the instances: `cutover doctor` on the host names a directory or a group that is in the way, and nginx's error log says more (often /var/log/nginx/error.log). An app that changes the mode of its socket must stop that: nginx's user needs it.";

/**
 * Asks each address of the site once for the page of the health check, and for the front page, of which it only warns: the
 * release before may have had none either.
 * @returns what is wrong, or undefined
 */
export async function visitorFault(context: DeployContext, spec: RunSpec): Promise<RunFault | undefined> {
  const { ports, settings } = context;
  if (spec.config.site === "none") return undefined;
  if ((await ports.maintenance.state(spec.app)) !== undefined) {
    context.deployment.warning(
      `the site is closed to visitors, and nobody sees this release: \`cutover maintenance off ${spec.app}\` on the host opens it`,
    );
    return undefined;
  }
  const site = siteOf(spec, settings);
  if (site === undefined) return undefined;
  const { listen, serverNames } = site;
  const visitor = new Visitor(context, { listen, names: serverNames, host: healthHost(spec.config, settings) });
  const addresses = await servedAddresses(context, site);
  const { path } = spec.config.health;
  for (const address of addresses) {
    const fault = await visitor.faultAt(address, path);
    if (fault !== undefined) return (fault.isGateway && (await largeHeader(context, spec, fault.text))) || fault;
  }
  if (new URL(path, "http://host").pathname === "/") return undefined;
  for (const address of addresses) await visitor.lookAt(address, "/", path);
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
  /** nginx got no answer that it takes. */
  isGateway?: boolean;
}

interface SiteAddresses {
  listen: ListenAddress[];
  names: string[];
  host: string;
}

class Visitor {
  readonly #context: DeployContext;
  readonly #site: SiteAddresses;
  /** Several addresses may lead to the same page. */
  readonly #told = new Set<string>();

  constructor(context: DeployContext, site: SiteAddresses) {
    this.#context = context;
    this.#site = site;
  }

  async faultAt(address: ListenAddress, path: string): Promise<Fault | undefined> {
    const fault = await this.#tried(address, path);
    if (fault?.isDown !== true) return fault;
    this.#warn(`${fault.text}. That is no fault of the release: look at nginx on the host`);
    return undefined;
  }

  async lookAt(address: ListenAddress, path: string, healthPath: string): Promise<void> {
    const fault = await this.#tried(address, path);
    if (fault === undefined || fault.isDown) return;
    this.#warn(
      `${fault.text}, and the health check, which asks for ${healthPath}, does not show it. If people come to ${path}, set \`health.path: ${path}\` in cutover.yml: then such a release gets no traffic`,
    );
  }

  async #tried(address: ListenAddress, path: string): Promise<Fault | undefined> {
    let fault: Fault | undefined;
    for (let attempt = 0; attempt < tries; attempt++) {
      if (attempt > 0) await this.#context.ports.clock.sleep(pauseMs, this.#context.stopping);
      fault = await this.#follow(address, path);
      if (fault === undefined) return undefined;
    }
    return fault;
  }

  /** Follows redirects as far as they stay within the site. */
  async #follow(first: ListenAddress, path: string): Promise<Fault | undefined> {
    const seen = new Set<string>();
    let cookies = false;
    let url = urlOf(first, this.#site.host, path);
    for (let address = first; seen.size < longestChain; ) {
      seen.add(url.href);
      const answer = await this.#visit(address, url);
      const fault = this.#faultOf(url, answer);
      if (fault !== undefined || answer.kind !== "status") return fault;
      const next = locationOf(answer, url);
      if (next === undefined) return this.#arrivedAt(url, answer);
      if (this.#isOwn(next) && seen.has(next.href) && answer.cookie !== true) {
        return this.#circle(url, next, answer.status);
      }
      const listening = this.#leadsTo(url, next);
      if (listening === undefined) return undefined;
      cookies ||= answer.cookie === true;
      address = listening;
      url = next;
    }
    if (!cookies) {
      this.#warn(
        `${urlOf(first, this.#site.host, path).href} redirects ${longestChain} times in a row, last to ${url.href}: browsers give up after 20. Look at what sends on from there`,
      );
    }
    return undefined;
  }

  async #arrivedAt(url: URL, { status, body }: Extract<HealthAnswer, { kind: "status" }>): Promise<undefined> {
    if (status === 404 && url.pathname === "/") this.#tellOfNoPage(url);
    else await this.#lookAtPage(url, body);
  }

  /** An app that sends all names on to one may be meant for that. */
  #circle(url: URL, next: URL, status: number): Fault | undefined {
    if (next.hostname !== this.#site.host) {
      this.#warnOfOther(url, next);
      return undefined;
    }
    const text = `${url.href} answers ${status} and sends the visitor to ${next.href}, round in a circle`;
    return { text, isDown: false, fix: circleFix };
  }

  /** The site's own address that a redirect leads to; otherwise it is told where it leads. */
  #leadsTo(url: URL, next: URL): ListenAddress | undefined {
    const listening = this.#isOwn(next) ? this.#addressOf(next) : undefined;
    if (listening !== undefined) return listening;
    if (this.#isOwn(next)) this.#warnOfNobody(url, next);
    else this.#warnOfOther(url, next);
    return undefined;
  }

  #visit(address: ListenAddress, { hostname, pathname, search }: URL): Promise<HealthAnswer> {
    return this.#context.ports.probe.visit({ address, host: hostname, path: `${pathname}${search}`, timeoutMs });
  }

  /** An app that serves only an API has no front page, so this is no warning. */
  #tellOfNoPage({ href }: URL): void {
    if (this.#told.has(href)) return;
    this.#told.add(href);
    this.#context.deployment.notice(`${href} answers 404: visitors find no front page`);
  }

  /** Without its style sheet a page is there, and nobody can use it. */
  async #lookAtPage(page: URL, body: string): Promise<void> {
    const refresh = refreshTarget(body, page);
    if (refresh !== undefined && !this.#isOwn(refresh)) this.#warnOfOther(page, refresh);
    const files = pageFiles(body, page);
    const local = files.filter((file) => isVisitorsMachine(file) && file.hostname !== page.hostname);
    if (local[0] !== undefined) {
      this.#warn(
        `the page ${page.href} loads ${local[0].href}, which is on the visitor's own machine: it is an address of development. Build the front end for production, or correct that address`,
      );
    }
    const missing: { href: string; what: string }[] = [];
    for (const file of files.filter(({ hostname }) => hostname === page.hostname)) {
      const address = this.#addressOf(file);
      const answer = address === undefined ? undefined : await this.#visit(address, file);
      if (answer?.kind !== "status") continue;
      if (answer.status >= 400) missing.push({ href: file.href, what: String(answer.status) });
      // What answers every address with the same page; a browser takes that for no style sheet and no script.
      else if (/^\s*<(?:!doctype|html|head|body|p)\b/i.test(answer.body))
        missing.push({ href: file.href, what: "a page" });
    }
    const [first, ...others] = missing;
    if (first === undefined) return;
    const more = others.length === 0 ? "" : ` (and for ${others.length} more)`;
    this.#warn(
      `the page ${page.href} loads ${first.href}, and visitors get ${first.what} for it${more}. Let \`static\` in cutover.yml have the folder that holds it, under the URL that the page names, or build it before: \`collect\``,
    );
  }

  #warnOfOther({ href }: URL, next: URL): void {
    const { app } = this.#context.state;
    if (isVisitorsMachine(next)) {
      this.#warn(
        `${href} sends every visitor to ${next.href}, which is the visitor's own machine. Redirect to a path, such as ${next.pathname}, or correct the address: see \`cutover env list ${app}\` and the settings`,
      );
    } else if (isLogin(next, this.#site.host)) {
      this.#context.deployment.notice(`${href} sends visitors to the login at ${next.origin}`);
    } else {
      this.#warn(
        `${href} sends every visitor to another site, ${next.href}, so nobody sees this release there. If that is not meant, correct the address: look for ${next.hostname} in the code, in \`env\` of cutover.yml and in \`cutover env list ${app}\``,
      );
    }
  }

  /** Behind a load balancer that ends TLS, a plain request of this host itself is sent to https, and the visitors' are not. */
  #warnOfNobody({ href }: URL, next: URL): void {
    const secure = next.protocol === "https:";
    if (secure && this.#context.ports.probe.behindProxies === true) return;
    const text = `${href} sends every visitor to ${next.href}, and the site does not listen there on this host`;
    const advice = secure
      ? `Add "${next.port || 443} ssl" to site.listen, or turn that redirect off. If a load balancer in front of it ends TLS, write its address into agent.yml: trusted_proxies: [...]`
      : `It listens on ${this.#site.listen.join(", ")}: let the app redirect to a path, such as ${next.pathname}, or correct the port`;
    this.#warn(`${text}. ${advice}`);
  }

  #warn(text: string): void {
    if (this.#told.has(text)) return;
    this.#told.add(text);
    this.#context.deployment.warning(text);
  }

  /** A site without a name of its own answers to each. */
  #isOwn(url: URL): boolean {
    const { names, host } = this.#site;
    if (url.hostname === host) return true;
    if (names.every((name) => name === "_")) return !isVisitorsMachine(url);
    return names.some(
      (name) => name === url.hostname || (name.startsWith("*.") && url.hostname.endsWith(name.slice(1))),
    );
  }

  /** Nobody knows whether a site without a name is meant by another one: what its app says to that is no fault. */
  #faultOf(url: URL, answer: HealthAnswer): Fault | undefined {
    const isMeant = url.hostname === this.#site.host || this.#site.names.some((name) => name !== "_");
    return isMeant ? faultOf(url, answer) : undefined;
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

const circleFix =
  "Correct the redirects of these pages: one of them has to answer by itself. The check sends no cookies, so a page that only wants one must set it.";

function faultOf(url: URL, answer: HealthAnswer): Fault | undefined {
  if (answer.kind === "unreachable") {
    const text = `a visitor of ${url.href} gets no answer from nginx: ${answer.reason}`;
    return { text, isDown: answer.how === "absent" };
  }
  if (answer.broken === true) {
    const text = `a visitor of ${url.href} gets ${answer.status} and a page that breaks off`;
    return { text, isDown: false, inLogs: true };
  }
  if (answer.status < 500) return undefined;
  const text = `a visitor of ${url.href} gets ${answer.status} through nginx`;
  const isGateway = [502, 504].includes(answer.status);
  return { text, isDown: false, inLogs: true, ...(isGateway && { isGateway, fix: noWay }) };
}

function locationOf({ status, location }: Extract<HealthAnswer, { kind: "status" }>, url: URL): URL | undefined {
  if (status < 300 || status >= 400 || location === undefined) return undefined;
  return URL.canParse(location, url.href) ? new URL(location, url.href) : undefined;
}
