import type { HostFacts } from "../facts/facts.ts";
import { error, type Finding, warning } from "../finding.ts";

/** The first pip that installs into another interpreter's environment. */
const oldestPip = [22, 3] as const;

export function pythons({ pythons, settings }: HostFacts): Finding[] {
  const path = settings.python_path.join(", ");
  return pythons.flatMap(({ version, apps, found }): Finding[] => {
    const name = version === undefined ? "python3" : `Python ${version}`;
    if (found === undefined) {
      const users = apps.length === 0 ? "" : `, which ${apps.join(", ")} asks for`;
      return [
        error("pythons", {
          what: `There is no ${name} in ${path}${users}.`,
          why: "Releases are built for the Python that they ask for; the system's own stays untouched beside it.",
          fix: "Install it, or name its directory under python_path in agent.yml.",
        }),
      ];
    }
    const { pip } = found;
    if (pip !== undefined && (pip[0] > oldestPip[0] || (pip[0] === oldestPip[0] && pip[1] >= oldestPip[1]))) return [];
    return [
      warning("pythons", {
        what: `${found.path} has ${pip === undefined ? "no pip" : `pip ${pip.join(".")}`}.`,
        why: `Environments of releases with requirements are filled by pip ${oldestPip.join(".")} or later of the same Python.`,
        fix:
          pip === undefined
            ? "Install it: `apt-get install python3-pip`."
            : "Upgrade it, or use a Python that has a later one.",
      }),
    ];
  });
}
