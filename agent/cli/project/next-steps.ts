import type { Plan } from "./plan.ts";

/** What a plan rests on, a line each. */
export function foundLines(plan: Plan): string[] {
  const { server, why, extra, env, static: collected, release, shared, processes, upgrade, notes, python } = plan;
  const what = [server.kind, server.app ?? server.command].filter(Boolean).join(", ");
  const entries: [string, string | false][] = [
    ["server", `${what} (${why})`],
    [
      "python",
      `${python}${extra.length > 0 ? `; ${extra.join(", ")} ${extra.length > 1 ? "are added, since the requirements do not name them" : "is added, since the requirements do not name it"}` : ""}`,
    ],
    ["static", collected !== undefined && `${collected.url} from ${collected.from}`],
    ["release", release !== undefined && `${[release.command].flat().join(" ")} (${release.why})`],
    ...shared.map(({ path, why: from }): [string, string] => ["shared", `${path}: ${from}`]),
    ...processes.map(({ name, command, why: from }): [string, string] => ["process", `${name}: ${command} (${from})`]),
    ["site", upgrade !== undefined && `WebSockets (${upgrade})`],
    ...env.map(({ name, value, why: from }): [string, string] => ["env", `${name}=${value} (${from})`]),
    ...notes.map((text): [string, string] => ["note", text]),
  ];
  return entries.flatMap(([name, text]) => (text === false ? [] : [`  ${name.padEnd(8)} ${text}`]));
}

/** A range for three runs of each instance, with room. */
const ports = "9000-9099";

/** What a person has to do on the hosts and on GitHub, with the exact commands. */
export function nextSteps(plan: Plan): string[] {
  const { app, server, domain, repository = "OWNER/NAME" } = plan;
  const address = domain === undefined ? "" : ` --domain ${domain}`;
  const range = server.bind === "port" ? ` --ports ${ports}` : "";
  const steps = [
    "On each host, once: install the agent (https://github.com/cutover/cutover/tree/main/agent#a-host-step-by-step).",
    `On each host: \`useradd --system --create-home ${app}\`, and`,
    `  cutover app add ${app} --user ${app} --github ${repository} --environment production --listen 80${range}${address}`,
    `  cutover env set ${app} SECRET_KEY, and other secrets; then \`cutover doctor\` says whether the host is ready`,
    "In the repository's settings make the environment `production`, and set the addresses of the hosts:",
    "  gh variable set CUTOVER_HOSTS --env production --body https://web1.example.com:7070",
    ...(plan.shared.length === 0 ? [] : [severalHosts(plan)]),
    "Commit the two files and push. For hosts that cannot reach GitHub use a key: `cutover keygen --help`.",
  ];
  return steps.map((step) => (step.startsWith("  ") ? `    ${step.trim()}` : `  - ${step}`));
}

/** What is shared by releases is not shared by hosts. */
function severalHosts({ shared }: Plan): string {
  const names = shared.map(({ path }) => path).join(", ");
  return `One host keeps ${names} over deploys. For more hosts use a database server, and a network file system or an object store for files.`;
}
