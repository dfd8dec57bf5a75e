import type { HostFacts } from "../facts/facts.ts";
import { error, type Finding } from "../finding.ts";

/** Only with `cutover doctor --verify`: hashing everything again takes a while. */
export function releases({ agent }: HostFacts): Finding[] {
  if ("failure" in agent) return [];
  return (agent.verified ?? []).flatMap(({ app, faults, more }) => {
    const [first] = faults;
    if (first === undefined) return [];
    const count = faults.length + more;
    const others = count === 1 ? "" : ` and ${count - 1} more`;
    return error("releases", {
      what: `${app} has files that are not as they were unpacked: ${first.path} (${first.what})${others}.`,
      why: "Somebody changed them, or the disk fails. Releases share files, so several may be affected.",
      fix: `\`cutover verify ${app}\` names them all and says what to do.`,
    });
  });
}
