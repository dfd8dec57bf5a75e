import { portOf } from "../../../shared/config-site.ts";
import { isSecure } from "../../host-policy.ts";
import type { AppFacts, HostFacts } from "../facts/facts.ts";
import { error, type Finding, warning } from "../finding.ts";

/** Certificates that the agent gets by itself: what keeps an authority from giving one. */
export function tlsAuto({ apps }: HostFacts): Finding[] {
  return apps.filter(({ settings }) => settings?.tls === "auto").flatMap((app) => [...failed(app), ...unproven(app)]);
}

function failed({ app, order }: AppFacts): Finding[] {
  if (order === undefined) return [];
  const times = order.failures === 1 ? "The last order" : `The last ${order.failures} orders`;
  return [
    error("tls-auto", {
      what: `${times} of a certificate for ${app} failed: ${order.reason}`,
      why: "Without a certificate the site is served over plain HTTP alone; with one it goes on until that expires.",
      fix: `${causeOf(order.reason)} Then \`cutover tls renew ${app}\`; the agent also tries again by itself.`,
    }),
  ];
}

/** Before the authority has answered, no name and no port of this host can be the cause. */
function causeOf(reason: string): string {
  return /^The authority at \S+ cannot be reached: /.test(reason)
    ? "The agent must reach the authority over https: check the host's DNS, its firewall, and `acme.directory` in agent.yml. Behind a proxy: `systemctl edit cutover-agent`, `Environment=NODE_USE_ENV_PROXY=1 HTTPS_PROXY=http://PROXY:PORT`."
    : "Correct the cause: each name must lead to this host, with port 80 open from the Internet.";
}

function unproven({ app, file, settings }: AppFacts): Finding[] {
  const listen = settings?.listen ?? [];
  if (!listen.some(isSecure) || listen.some((address) => !isSecure(address) && portOf(address) === 80)) return [];
  return [
    warning("tls-auto", {
      what: `${app} has \`tls: auto\`, and its site does not listen on port 80.`,
      why: "The authority asks there whether a name leads to this host, and nowhere else.",
      fix: `Add 80 to \`listen\` in ${file}, and deploy. Or let what is in front of this host pass port 80 on to the site.`,
    }),
  ];
}
