import { releaseOfRun } from "../../../shared/names.ts";
import { ownerOfProgramsFile } from "../../host/supervisor/programs-file.ts";
import type { AppFacts, HostFacts } from "../facts/facts.ts";
import { type Finding, warning } from "../finding.ts";

/** A new instance boots with less of the processor. The agent gives it all when it is healthy, and looks again a little later. */
const longestMs = 60_000;

/** The instances of each live release that were never given the full share of the processor. */
export function fullShare({ apps, supervisor }: HostFacts): Finding[] {
  return apps.flatMap((facts) => findingsOf(facts, supervisor.programs));
}

function findingsOf({ app, release }: AppFacts, programs: HostFacts["supervisor"]["programs"]): Finding[] {
  const own = programs.filter(({ group }) => {
    const owner = ownerOfProgramsFile(app, `${group}.conf`);
    // How nice a process is belongs to its command.
    return owner !== undefined && owner.process === undefined && releaseOfRun(owner.run) === release;
  });
  const low = own.filter(({ quietMs = 0 }) => quietMs > longestMs);
  if (low.length === 0) return [];
  const names = low.map(({ name }) => name).join(", ");
  return [
    warning("full-share", {
      what: `Of ${release}, the live release of ${app}, ${low.length} of ${own.length} run with the small share of the processor that is for booting: ${names}.`,
      why: "Whatever else this host does goes before its visitors' requests.",
      fix: "`systemctl restart cutover-agent` gives it the full share. If the agent cannot, `journalctl -u cutover-agent` says why.",
    }),
  ];
}
