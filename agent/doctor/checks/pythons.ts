import type { HostFacts } from "../facts/facts.ts";
import { error, type Finding, warning } from "../finding.ts";

/** The oldest pip that can install into the environment of another interpreter. */
const oldestPip = [22, 3] as const;

type Python = HostFacts["pythons"][number];

export function pythons({ pythons, settings }: HostFacts): Finding[] {
  return pythons.flatMap((python) =>
    python.found === undefined ? [missing(python, settings.python_path)] : pipFindings(python.found),
  );
}

function missing({ version, apps }: Python, path: string[]): Finding {
  const name = version === undefined ? "python3" : `Python ${version}`;
  const users = apps.length === 0 ? "" : `, but ${apps.join(", ")} needs it`;
  return error("pythons", {
    what: `There is no ${name} in ${path.join(", ")}${users}.`,
    why: "A release is built with the Python version that it asks for. The system's own Python is not changed.",
    fix: "Install it, or add its directory to python_path in agent.yml.",
  });
}

function pipFindings({ path, pip }: NonNullable<Python["found"]>): Finding[] {
  if (pip !== undefined && (pip[0] > oldestPip[0] || (pip[0] === oldestPip[0] && pip[1] >= oldestPip[1]))) return [];
  return [
    warning("pythons", {
      what: `${path} has ${pip === undefined ? "no pip" : `pip ${pip.join(".")}`}.`,
      why: `A release with requirements needs pip ${oldestPip.join(".")} or later of this Python to build its environment.`,
      fix:
        pip === undefined
          ? "Install it: `apt-get install python3-venv` brings pip's wheel, and no compiler as python3-pip does."
          : "Upgrade pip, or use a Python with a later pip.",
    }),
  ];
}
