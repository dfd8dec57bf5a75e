import { join } from "node:path";
import { type Config, siteOf } from "../../../shared/config.ts";
import { protocolOf } from "../../../shared/config-server.ts";
import { portOf } from "../../../shared/config-site.ts";
import type { ListenAddress } from "../../../shared/config-values.ts";
import { CutoverError } from "../../../shared/errors.ts";
import type { Clock } from "../../contracts/ports.ts";
import type { SitePart, SiteRequest, UpstreamServers } from "../../contracts/privileged.ts";
import { isSecure, type PermittedSite, peersOf, permittedSite, servedSite } from "../../host-policy.ts";
import type { AgentSettings, AppSettings } from "../../settings.ts";
import { challengesDirectory } from "../certificates/challenges.ts";
import type { SiteCertificates } from "../certificates/site-certificates.ts";
import { tcpSockets } from "../net/proc-net.ts";
import { listenedPorts, takenAddresses } from "../net/taken-addresses.ts";
import { appLayout, requestPlaces } from "../store/layout.ts";
import { readIfExists } from "../store/read-if-exists.ts";
import { acmeUrl } from "./acme-url.ts";
import { checkCertificate } from "./certificate-files.ts";
import { certificateIn } from "./certificate-in.ts";
import { assertDomainsFree, domainsOf, namesIn } from "./domains.ts";
import { names } from "./names.ts";
import { Nginx } from "./nginx.ts";
import { checkPasswords } from "./password-file.ts";
import { requestFile, requestLogFormat } from "./request-log.ts";
import { removeRequestFiles, rotateFile } from "./request-rotation.ts";
import type { ServedSite } from "./server-block.ts";
import { renderSite, siteFileName } from "./site-config.ts";
import type { SiteFile } from "./site-files.ts";
import { SlotLinks, slotLink } from "./slots.ts";
import {
  mainUpstream,
  ownUpstream,
  previewUpstream,
  renderUpstreams,
  serversOf,
  type UpstreamInput,
  upstreamFileName,
} from "./upstream-config.ts";
import { drainPathOf } from "./visits.ts";
import { type Present, withLess } from "./way-back.ts";

/** An app's nginx files: its server blocks and its upstreams, from what cutover.yml asks for and the host allows. */
export class Sites {
  readonly #settings: AgentSettings;
  readonly #certificates: SiteCertificates;
  readonly #nginx: Nginx;

  constructor(settings: AgentSettings, certificates: SiteCertificates, clock: Clock) {
    this.#settings = settings;
    this.#certificates = certificates;
    const { binary, conf, conf_dir: confDir, prefix } = settings.nginx;
    this.#nginx = new Nginx({ binary, confDir, conf, prefix, clock });
  }

  /**
   * Checks that the host allows and has what a site needs.
   * @throws CutoverError listen_not_allowed, domain_not_allowed, peer_not_allowed, certificate_missing, nginx_unreachable,
   * config_invalid if this nginx cannot do what the site asks for
   */
  async check(config: Config, settings: AppSettings): Promise<PermittedSite> {
    const permitted = permittedSite(config, settings);
    const preview = previewListen(config);
    if ([...permitted.listen, ...preview].some(isSecure) && config.site !== "none") await checkCertificate(settings);
    await checkPasswords(settings);
    if (config.static.some(({ gzip_static: wanted }) => wanted)) await this.#checkGzipStatic(config.app);
    return permitted;
  }

  /** Checks that no files of the app are where the host answers ACME challenges. @throws CutoverError config_invalid */
  checkUrls(config: Config, settings: AppSettings): void {
    const { acmeChallenge, listen } = permittedSite(config, settings);
    const answers = acmeChallenge !== undefined || settings.tls === "auto";
    if (config.site === "none" || !answers || listen.every(isSecure)) return;
    const taken = [...config.static, ...config.shared].find(({ url }) => url?.startsWith(acmeUrl));
    if (taken === undefined) return;
    throw new CutoverError("config_invalid", `${config.app} has files at ${taken.url}, where the host answers ACME.`, {
      unchanged: "Nothing was unpacked; the live release goes on serving.",
      fix: `Choose another \`url\` in cutover.yml, or remove acme_challenge and \`tls: auto\` from ${settings.file} on the host.`,
    });
  }

  /** Checks that no other app has a domain of this site. @throws CutoverError domain_taken */
  async checkDomains(config: Config, settings: AppSettings): Promise<void> {
    const unchanged = "Nothing was unpacked; the live release goes on serving.";
    await this.#assertDomainsFree(config, settings, { site: permittedSite(config, settings), unchanged });
  }

  async #assertDomainsFree(
    config: Config,
    settings: AppSettings,
    { site, unchanged }: { site: Pick<PermittedSite, "listen" | "serverNames">; unchanged: string },
  ): Promise<void> {
    if (config.site === "none") return;
    const preview = { listen: previewListen(config), serverNames: [] };
    const names = Object.keys(siteOf(config).redirects);
    const sent = names.length === 0 ? [] : [{ listen: site.listen, serverNames: names }];
    const wanted = [site, preview, ...sent].flatMap(domainsOf);
    await assertDomainsFree(this.#settings.nginx.conf_dir, settings, wanted, unchanged);
  }

  /**
   * Checks that nginx runs and can listen where the site wants to. Addresses of nginx itself count as free: sites share them.
   * @throws CutoverError nginx_unreachable, address_in_use
   */
  async checkFree(config: Config, settings: AppSettings): Promise<void> {
    await this.#nginx.assertRuns();
    if (config.site === "none") return;
    const wanted = [...permittedSite(config, settings).listen, ...previewListen(config)];
    const taken = takenAddresses(wanted, await tcpSockets());
    if (taken.length === 0) return;
    const own = listenedPorts((await this.#present(settings.app)) ?? "");
    if (taken.every((address) => own.has(portOf(address)))) return;
    const ports = listenedPorts(await this.#nginx.configuration());
    const strange = taken.find((address) => !ports.has(portOf(address)));
    if (strange !== undefined) throw addressInUse(strange, previewListen(config).includes(strange), settings);
  }

  /**
   * A start of the agent, or a way back, must not fail because the host's file forbids by now what the release asks for, or
   * because another app has its name: the site does without, and each app keeps its visitors. A release that comes gets all
   * that it asks for, or is refused.
   * @throws CutoverError domain_taken, nginx_*, and what `check` throws
   */
  async write(settings: AppSettings, { keepNames, ...request }: SiteRequest): Promise<{ changed: boolean }> {
    if (keepNames !== true) return this.#write(settings, request);
    const { app } = settings;
    return withLess(
      { settings, request },
      {
        write: (wish) => this.#write(wish.settings, wish.request),
        present: () => this.#serves(app),
      },
    );
  }

  async #write(settings: AppSettings, request: SiteRequest): Promise<{ changed: boolean }> {
    const { app } = settings;
    const { main, preview } = request;
    const upstreams = [
      ...(main === null ? [] : this.#mainUpstreams(settings, main)),
      ...(preview === null ? [] : [this.#upstream(app, "preview", preview)]),
    ];
    const files: SiteFile[] = [
      { name: siteFileName(app), effect: "site.write", text: await this.#siteText(settings, request) },
      {
        name: upstreamFileName(app),
        effect: "upstream.write",
        text: upstreams.length === 0 ? undefined : renderUpstreams(upstreams, formatForOwner(app, main)),
      },
    ];
    return this.#nginx.write(files, () => this.#checkNames(settings, main));
  }

  /**
   * A text that nginx has already needs no permission: it stays as it is. Otherwise an owner who forbids what the live release
   * has would also forbid that a canary gives its traffic back to it.
   */
  async #siteText(settings: AppSettings, request: SiteRequest): Promise<string | undefined> {
    const present = await this.#present(settings.app);
    const served = async (config: Config) => servedSite(config, settings);
    if (present !== undefined) {
      const text = await this.#render(settings, request, served).catch(() => undefined);
      if (text === present) return text;
    }
    return this.#render(settings, request, (config) => this.check(config, settings));
  }

  async #render(
    settings: AppSettings,
    { main, preview }: SiteRequest,
    permitted: (config: Config) => Promise<PermittedSite>,
  ): Promise<string | undefined> {
    const { app } = settings;
    return renderSite({
      app,
      home: appLayout(this.#settings.data, app).home,
      logDir: this.#settings.nginx.log_dir,
      requests: requestPlaces(this.#settings.data),
      main: main && { config: main.config, ...(await this.#served(app, await permitted(main.config))) },
      preview: preview && { config: preview.config, ...(await this.#served(app, await permitted(preview.config))) },
      nginx: await this.#nginx.features(),
      front: { trusted: this.#settings.trusted_proxies, proxyProtocol: this.#settings.proxy_protocol },
      access: settings.access,
      http3: this.#settings.nginx.http3,
      drainPath: drainPathOf(settings),
      passes: main !== null && peersOf(siteOf(main.config), settings).peers.length > 0,
    });
  }

  /** Until the agent has got the first certificate, the site is served over plain HTTP, with the answers to challenges. */
  async #served(app: string, { tls, listen, ...site }: PermittedSite): Promise<ServedSite> {
    if (tls !== "auto") return { ...site, listen, tls };
    const files = (await this.#certificates.files(app)) ?? (await certificateIn(await this.#present(app)));
    return {
      ...site,
      listen: files === undefined ? listen.filter((address) => !isSecure(address)) : listen,
      tls: files,
      ownChallenges: challengesDirectory(this.#settings.data),
    };
  }

  async #serves(app: string): Promise<Present | undefined> {
    const text = (await this.#isFirst(app)) ? undefined : await this.#present(app);
    return text === undefined ? undefined : { domains: namesIn(text), tls: await certificateIn(text) };
  }

  #present(app: string): Promise<string | undefined> {
    return readIfExists(join(this.#settings.nginx.conf_dir, siteFileName(app)));
  }

  /** Two apps may have been accepted with one domain while neither had it. */
  async #checkNames(settings: AppSettings, main: SitePart | null): Promise<void> {
    if (main === null) return;
    const unchanged = "Visitors of both apps go where they went.";
    await this.#assertDomainsFree(main.config, settings, { site: servedSite(main.config, settings), unchanged });
  }

  async #isFirst(app: string): Promise<boolean> {
    return (await this.#servers(app)).main.length === 0;
  }

  async servers(app: string): Promise<UpstreamServers> {
    const { unread, loaded = "" } = await this.#nginx.loaded(upstreamFileName(app));
    const before = serversIn(app, loaded);
    return { ...(await this.#servers(app)), unread, ...(unread && { before: [...before.main, ...before.preview] }) };
  }

  async #servers(app: string): Promise<Pick<UpstreamServers, "main" | "preview">> {
    return serversIn(app, (await readIfExists(join(this.#settings.nginx.conf_dir, upstreamFileName(app)))) ?? "");
  }

  oldWorkers(): Promise<boolean> {
    return this.#nginx.oldWorkers();
  }

  async remove(app: string): Promise<void> {
    await this.#nginx.remove([siteFileName(app), upstreamFileName(app)]);
    await removeRequestFiles(requestFile(requestPlaces(this.#settings.data), app));
  }

  /** Rotates the lines of an app's requests if there are many, or if their file is gone. */
  async rotateRequests(app: string): Promise<void> {
    const file = requestFile(requestPlaces(this.#settings.data), app);
    if (await rotateFile(file)) await this.#nginx.reopenLogs();
  }

  #upstream(app: string, which: "main" | "preview", part: SitePart): UpstreamInput {
    const links = new SlotLinks(this.#settings.data).path(app, slotLink(which, protocolOf(part.config.server)));
    const name = which === "main" ? mainUpstream(app) : previewUpstream(app);
    return { name, part, links, peers: which === "main" };
  }

  /** With peers there is a second one without them: what a peer passed on goes no further. */
  #mainUpstreams(settings: AppSettings, main: SitePart): UpstreamInput[] {
    const whole = this.#upstream(settings.app, "main", main);
    const host = peersOf(siteOf(main.config), settings);
    if (host.peers.length === 0) return [{ ...whole, host }];
    return [
      { ...whole, host },
      { ...whole, name: ownUpstream(settings.app), peers: false },
    ];
  }

  async #checkGzipStatic(app: string): Promise<void> {
    const { modules } = await this.#nginx.features();
    if (modules.has("http_gzip_static_module")) return;
    throw new CutoverError("config_invalid", `The host's nginx has no gzip_static, which ${app} asks for.`, {
      unchanged: "Nothing was unpacked; the live release goes on serving.",
      fix: "Remove `gzip_static` from cutover.yml, or install an nginx that was built --with-http_gzip_static_module.",
    });
  }
}

function serversIn(app: string, text: string): Pick<UpstreamServers, "main" | "preview"> {
  return { main: serversOf(text, mainUpstream(app)), preview: serversOf(text, previewUpstream(app)) };
}

/** The server block of `site: none` is the owner's, and may have this app's lines of requests. */
function formatForOwner(app: string, main: SitePart | null): string[][] {
  return main?.config.site === "none" ? requestLogFormat(names(app)) : [];
}

function previewListen({ site }: Config) {
  return site === "none" || site.preview?.listen === undefined ? [] : [site.preview.listen];
}

function addressInUse(address: ListenAddress, preview: boolean, { app, file }: AppSettings): CutoverError {
  const [key, hostKey] = preview ? ["site.preview.listen", "preview"] : ["site.listen", "listen"];
  return new CutoverError("address_in_use", `${key} of ${app} is ${address}, and another program listens there.`, {
    unchanged: "Nothing was unpacked; the live release goes on serving.",
    fix: `Find it with \`ss -ltnp\` on the host. Stop it, or choose another address in cutover.yml, one that ${file} allows: ${hostKey}: [...]`,
  });
}
