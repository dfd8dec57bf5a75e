import { releaseOfRun } from "../../shared/names.ts";
import type { DeploymentView } from "../../shared/protocol.ts";
import type { Host } from "./host.ts";
import { namesIn } from "./site-text.ts";
import type { Watcher } from "./watcher.ts";

/** I5 and I9 for how visitors are divided: between the releases of an app, its instances, and the apps of a host. */
export function checkDivision(host: Host, watcher: Watcher, app: string, view: DeploymentView): void {
  const worker = host.nginx.workers.find(({ serving }) => serving);
  const servers = worker?.upstreams.get(app)?.main ?? [];
  if (servers.length === 0) return;
  const addresses = host.resolve(app, servers);
  checkShare(host, watcher, app, view);
  const counts = new Map<string, number>();
  for (const address of addresses) counts.set(address, (counts.get(address) ?? 0) + 1);
  const [least, most] = [Math.min(...counts.values()), Math.max(...counts.values())];
  // 60 slots cannot be even over each number of instances, but no two differ by more than one slot.
  if (view.weight === undefined && most - least > 1) {
    watcher.broken(
      "I2",
      `${counts.size} instances of ${app} have ${least} to ${most} slots: one gets ${most / least} times another's visitors`,
    );
  }
  checkNames(host, watcher, app);
}

/** nginx's consistent hash takes servers of one name as one, whose weight counts once. */
function checkShare(host: Host, watcher: Watcher, app: string, view: DeploymentView): void {
  const { weight = 100 } = view;
  const { live } = watcher.facts(app);
  const config = live === null ? undefined : host.disk(app).releases.get(releaseOfRun(live))?.manifest.config;
  if (weight === 100 || config === undefined || config.site === "none" || config.site.balance !== "url_hash") return;
  const [main = ""] = host.nginx.appFiles(app).upstream.present?.split("\n}") ?? [];
  const weights = new Map<string, number>();
  for (const [, server = "", own = "1"] of main.matchAll(/ server "([^"]+)" max_fails=0(?: weight=(\d+))?;/g)) {
    if (!weights.has(server)) weights.set(server, Number(own));
  }
  const servers = [...weights];
  const addresses = host.resolve(
    app,
    servers.map(([server]) => server),
  );
  let [own, all] = [0, 0];
  for (const [index, [, each]] of servers.entries()) {
    all += each;
    if (releaseOfRun(watcher.runAt(app, addresses[index] ?? "")) === view.release) own += each;
  }
  const share = Math.round((100 * own) / Math.max(all, 1));
  if (Math.abs(share - weight) > 8)
    watcher.broken("I5", `a weight of ${weight} was answered, and url_hash gives ${share} %`);
}

/** nginx serves a name that two sites have by the first of them alone. */
function checkNames(host: Host, watcher: Watcher, app: string): void {
  const own = namesOf(host, app);
  for (const other of host.apps.keys()) {
    if (other === app || watcher.facts(other).live === null) continue;
    const both = namesOf(host, other).find((name) => own.includes(name));
    if (both !== undefined) watcher.broken("I9", `${app} and ${other} serve ${both}, and its visitors get one of them`);
  }
}

function namesOf(host: Host, app: string): string[] {
  return namesIn(host.nginx.appFiles(app).site.present);
}
