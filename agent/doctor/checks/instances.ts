import { releaseOfRun } from "../../../shared/names.ts";
import { runOfProgramsFile } from "../../host/supervisor/programs-file.ts";
import type { AppFacts, HostFacts } from "../facts/facts.ts";
import { error, type Finding } from "../finding.ts";

/** The instances and processes of each live release run. It asks supervisord itself, so it needs no agent. */
export function instances({ apps, supervisor }: HostFacts): Finding[] {
  // Another check says that supervisord does not answer.
  if (supervisor.socket !== "answers") return [];
  return apps.flatMap((facts) => findingsOf(facts, supervisor.programs));
}

/** STOPPING is a process of the run before that finishes its job. */
const up = new Set(["RUNNING", "STARTING", "STOPPING"]);

function findingsOf({ app, release }: AppFacts, programs: HostFacts["supervisor"]["programs"]): Finding[] {
  if (release === undefined) return [];
  const own = programs.filter(({ group }) => releaseOf(app, group) === release);
  if (own.length === 0) {
    return [
      error("instances", {
        what: `supervisord has no programs of ${release}, the live release of ${app}.`,
        why: "Nobody answers the visitors of its site.",
        fix: `\`cutover redeploy ${app}\` starts fresh instances of it.`,
      }),
    ];
  }
  const down = own.filter(({ state }) => !up.has(state));
  if (down.length === 0) return [];
  const names = down.map(({ name, state, detail }) => `${name} is ${state}${detail === "" ? "" : ` (${detail})`}`);
  return [
    error("instances", {
      what: `Of ${release}, the live release of ${app}, ${down.length} of ${own.length} do not run: ${names.join(", ")}.`,
      why:
        down.length === own.length
          ? "Nobody answers the visitors of its site."
          : "What is left does all the work, and nothing replaces it if it fails.",
      fix: `\`cutover logs ${app}\` says why. supervisord and the agent start them again for as long as it takes; \`cutover redeploy ${app}\` starts fresh ones.`,
    }),
  ];
}

function releaseOf(app: string, group: string): string | undefined {
  // A group has the name of its file.
  const run = runOfProgramsFile(app, `${group}.conf`);
  return run === undefined ? undefined : releaseOfRun(run);
}
