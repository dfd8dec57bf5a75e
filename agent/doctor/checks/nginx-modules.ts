import type { Config } from "../../../shared/config.ts";
import { protocolOf } from "../../../shared/config-server.ts";
import { isSecure } from "../../host-policy.ts";
import type { AgentSettings } from "../../settings.ts";
import type { AppFacts, HostFacts } from "../facts/facts.ts";
import { error, type Finding } from "../finding.ts";

interface Need {
  what: string;
  /** Whether an nginx with these configure arguments lacks the module. */
  lacks(built: string): boolean;
  neededBy(app: AppFacts, settings: AgentSettings): boolean;
}

const without = (option: string) => (built: string) => built.includes(option);
const notWith = (option: string) => (built: string) =>
  built.includes("configure arguments:") && !built.includes(option);
const site = (live: Config | undefined) => (live === undefined || live.site === "none" ? undefined : live.site);

const needs: Need[] = [
  {
    what: "ngx_http_gzip_static_module, for static[].gzip_static",
    lacks: notWith("--with-http_gzip_static_module"),
    neededBy: ({ live }) => live?.static.some(({ gzip_static }) => gzip_static) ?? false,
  },
  {
    what: "ngx_http_ssl_module, for addresses with ssl",
    lacks: notWith("--with-http_ssl_module"),
    neededBy: ({ settings }) => settings?.listen.some(isSecure) ?? false,
  },
  {
    what: "ngx_http_v3_module, for nginx.http3 in agent.yml",
    lacks: notWith("--with-http_v3_module"),
    neededBy: ({ settings }, { nginx }) => nginx.http3 && (settings?.listen.some(isSecure) ?? false),
  },
  {
    what: "ngx_http_realip_module, for trusted_proxies in agent.yml",
    lacks: notWith("--with-http_realip_module"),
    neededBy: ({ settings }, { trusted_proxies: proxies }) => settings !== undefined && proxies.length > 0,
  },
  {
    what: "ngx_http_uwsgi_module, for the uwsgi protocol",
    lacks: without("--without-http_uwsgi_module"),
    neededBy: ({ live }) => live !== undefined && protocolOf(live.server) === "uwsgi",
  },
  {
    what: "ngx_http_upstream_ip_hash_module, for `balance: ip_hash`",
    lacks: without("--without-http_upstream_ip_hash_module"),
    neededBy: ({ live }) => site(live)?.balance === "ip_hash",
  },
  {
    what: "ngx_http_upstream_least_conn_module, for `balance: least_conn`",
    lacks: without("--without-http_upstream_least_conn_module"),
    neededBy: ({ live }) => site(live)?.balance === "least_conn",
  },
  {
    what: "ngx_http_upstream_hash_module, for `balance: url_hash`",
    lacks: without("--without-http_upstream_hash_module"),
    neededBy: ({ live }) => site(live)?.balance === "url_hash",
  },
];

/** nginx has the modules that the apps use. */
export function nginxModules({ nginx, apps, settings }: HostFacts): Finding[] {
  return needs.flatMap(({ what, lacks, neededBy }) => {
    const users = apps.filter((one) => neededBy(one, settings)).map(({ app }) => app);
    if (users.length === 0 || !lacks(nginx.built)) return [];
    return [
      error("nginx-modules", {
        what: `This nginx was built without ${what}, which ${users.join(", ")} needs.`,
        why: "nginx refuses such a site, so the next deploy that writes it fails.",
        fix: "Install an nginx with this module (Debian's nginx-full, or OpenResty), or do not use it in cutover.yml.",
      }),
    ];
  });
}
