import { agent } from "./checks/agent.ts";
import { appGroups } from "./checks/app-groups.ts";
import { appPorts } from "./checks/app-ports.ts";
import { appSettings } from "./checks/app-settings.ts";
import { appUsers } from "./checks/app-users.ts";
import { certificates } from "./checks/certificates.ts";
import { defaultServer } from "./checks/default-server.ts";
import { directories } from "./checks/directories.ts";
import { disk } from "./checks/disk.ts";
import { environments } from "./checks/environments.ts";
import { fullShare } from "./checks/full-share.ts";
import { helper } from "./checks/helper.ts";
import { instances } from "./checks/instances.ts";
import { leftovers } from "./checks/leftovers.ts";
import { listenOutside } from "./checks/listen-outside.ts";
import { loopback } from "./checks/loopback.ts";
import { nginxInclude } from "./checks/nginx-include.ts";
import { nginxLimits } from "./checks/nginx-limits.ts";
import { nginxModules } from "./checks/nginx-modules.ts";
import { nginxRuns } from "./checks/nginx-runs.ts";
import { nginxTuning } from "./checks/nginx-tuning.ts";
import { pythons } from "./checks/pythons.ts";
import { releases } from "./checks/releases.ts";
import { secondSupervisord } from "./checks/second-supervisord.ts";
import { secrets } from "./checks/secrets.ts";
import { socketWays } from "./checks/socket-ways.ts";
import { supervisorInclude } from "./checks/supervisor-include.ts";
import { supervisorLimits } from "./checks/supervisor-limits.ts";
import { supervisorRuns } from "./checks/supervisor-runs.ts";
import { tlsAuto } from "./checks/tls-auto.ts";
import { trustedIssuers } from "./checks/trusted-issuers.ts";
import { units } from "./checks/units.ts";
import { webhooks } from "./checks/webhooks.ts";
import type { HostFacts } from "./facts/facts.ts";
import type { Finding } from "./finding.ts";

/** A pure function of the facts. Each check has a file of its own; a new one needs a line here. */
export type Check = (facts: HostFacts) => Finding[];

/** In the order of their findings. */
export const checks: Record<string, Check> = {
  agent,
  helper,
  units,
  "app-settings": appSettings,
  "trusted-issuers": trustedIssuers,
  "app-users": appUsers,
  "app-groups": appGroups,
  "app-ports": appPorts,
  secrets,
  loopback,
  "nginx-runs": nginxRuns,
  "nginx-include": nginxInclude,
  "nginx-limits": nginxLimits,
  "nginx-modules": nginxModules,
  "nginx-tuning": nginxTuning,
  "default-server": defaultServer,
  "socket-ways": socketWays,
  "supervisor-runs": supervisorRuns,
  "supervisor-include": supervisorInclude,
  "second-supervisord": secondSupervisord,
  "supervisor-limits": supervisorLimits,
  instances,
  "full-share": fullShare,
  "listen-outside": listenOutside,
  pythons,
  environments,
  certificates,
  "tls-auto": tlsAuto,
  webhooks,
  directories,
  disk,
  releases,
  leftovers,
};

/** All findings, errors before warnings. */
export function judge(facts: HostFacts): Finding[] {
  const found = Object.values(checks).flatMap((check) => check(facts));
  return found.toSorted((a, b) => Number(a.severity === "warning") - Number(b.severity === "warning"));
}
