import { expect, test } from "vitest";
import { judge } from "../../../../agent/doctor/checks.ts";
import type { HostFacts, NginxFacts, SupervisorFacts } from "../../../../agent/doctor/facts/facts.ts";
import { parseIni } from "../../../../agent/doctor/supervisor-conf.ts";
import { appFacts, healthyHost, helperFacts } from "../facts.ts";

/** A host without findings, and below it the same with one part of its own. */
export const host = healthyHost();
export const nginx = (parts: Partial<NginxFacts>) => healthyHost({ nginx: { ...host.nginx, ...parts } });
export const supervisor = (parts: Partial<SupervisorFacts>) =>
  healthyHost({ supervisor: { ...host.supervisor, ...parts } });
export const app = (parts: Parameters<typeof appFacts>[0]) => healthyHost({ apps: [appFacts(parts)] });
export const conf = (text: string) => ({ path: "/etc/supervisor/supervisord.conf", ini: parseIni(text) });
/** A supervisord that somebody has started by hand. */
export const second = { pid: 201, conf: "/root/supervisord.conf", socket: "/tmp/supervisor.sock", includes: false };
export const root = { name: "root", uid: 0, gids: [0] };

/** A host whose agent has a helper. */
export const two = (parts: Parameters<typeof helperFacts>[0], more: Partial<HostFacts> = {}) =>
  healthyHost({ helper: helperFacts(parts), ...more });

/** What is wrong with a host, and the one finding that it makes. */
export type Trap = [name: string, facts: HostFacts, check: string, severity: string, what: RegExp, fix: RegExp];

/** One test for each. */
export function testTraps(traps: Trap[]): void {
  test.each(traps)("%s", (_, facts, check, severity, what, fix) => {
    const found = judge(facts)
      .filter((finding) => finding.check === check)
      .map(({ mend, ...finding }) => finding);
    expect(found).toEqual([
      {
        check,
        severity,
        what: expect.stringMatching(what),
        why: expect.stringMatching(/\.$/),
        fix: expect.stringMatching(fix),
      },
    ]);
  });
}
