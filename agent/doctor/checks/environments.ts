import type { AppFacts, HostFacts } from "../facts/facts.ts";
import { error, type Finding, warning } from "../finding.ts";

/** The Python of each live release's environment; with `--upgrade` also what an upgrade of the distribution would do to it. */
export function environments({ apps, upgrade }: HostFacts): Finding[] {
  return apps.flatMap((app) => [...changed(app), ...(upgrade ? before(app) : [])]);
}

function changed({ app, release, environment }: AppFacts): Finding[] {
  if (environment === undefined || environment.fits) return [];
  const { named, real, made } = environment;
  const now = real === undefined ? "is gone" : `is now ${real}`;
  return [
    error("environments", {
      what: `The environment of ${release}, the live release of ${app}, has packages for Python ${made.join(", ")}, but its interpreter ${named ?? ""} ${now}.`,
      why: "After an upgrade of the distribution its instances cannot start again: their packages are not found.",
      fix: `\`cutover heal ${app}\` builds the environment again from the release's wheels, and starts fresh instances. If its wheels are for the old Python, install that one, or deploy again with wheels for the new one.`,
    }),
  ];
}

function before({ app, live, environment }: AppFacts): Finding[] {
  if (environment?.fits !== true || environment.real === undefined) return [];
  const { named, real, made } = environment;
  const wheels =
    live?.python.wheels === "vendor"
      ? "from its wheels, which may be for this Python alone"
      : "again from its requirements";
  const versioned = named === undefined || /\d\.\d+$/.test(named);
  return [
    warning("environments", {
      what: `${app} runs on ${real} (Python ${made.join(", ")})${versioned ? "" : `, which it reaches as ${named}`}.`,
      why: versioned
        ? "It goes on after the upgrade as long as that file stays; the package's apt settings keep it from autoremove."
        : "An upgrade puts another Python in that place, and its instances could not start again.",
      fix: versioned
        ? `After the upgrade: \`cutover doctor\`, and \`cutover heal ${app}\` if the file is gone; its environment is built ${wheels}.`
        : `Before the upgrade: \`cutover redeploy ${app}\` does not change this environment, so after it: \`cutover heal ${app}\`, which builds it ${wheels}.`,
    }),
  ];
}
