import { stringify } from "yaml";
import { schemaUrl } from "../../../shared/config-schema.ts";
import type { FoundProcess } from "../../../shared/detect/findings.ts";
import type { Plan } from "./plan.ts";

type Line = [text: string, comment?: string];

/** cutover.yml, with a comment on each line. */
export function renderCutoverYml(plan: Plan): string {
  const lines: Line[] = [
    [`app: ${scalar(plan.app)}`, "its name on the hosts: `cutover app add` there"],
    ...serverLines(plan),
    ...pythonLines(plan),
    ...staticLines(plan),
    ...sharedLines(plan),
    ...siteLines(plan),
    ...releaseLines(plan),
    ...processLines(plan.processes),
    ...envLines(plan),
  ];
  return `# yaml-language-server: $schema=${schemaUrl(`v${plan.version}`)}\n${aligned(lines)}`;
}

function serverLines({ server, why }: Plan): Line[] {
  const { kind, app, command, bind, workers, threads, config_file: own, interface: spoken } = server;
  const lines: (Line | undefined)[] = [
    ["server:", "what answers the requests"],
    [`  kind: ${kind}`, why],
    app === undefined ? undefined : [`  app: ${scalar(app)}`, "the module, and the application in it"],
    command === undefined ? undefined : [`  command: ${scalar(command)}`, "run without a shell"],
    bind === undefined ? undefined : [`  bind: ${bind}`, "the instances listen on ports"],
    own === undefined
      ? undefined
      : [`  config_file: ${scalar(own)}`, "the server's own file; what cutover decides does not count"],
    spoken === undefined ? undefined : [`  interface: ${spoken}`, "what the application speaks"],
    ["  instances: 2", "how many instances run; they share the 60 slots"],
    workers === undefined
      ? undefined
      : [`  workers: ${workers}`, "worker processes in each of them, as it was written"],
    threads === undefined ? undefined : [`  threads: ${threads}`, "threads in each of them"],
  ];
  return lines.filter((line) => line !== undefined);
}

function pythonLines({ extra, requirements }: Plan): Line[] {
  const added: Line = [
    `  extra: [${extra.map(listed).join(", ")}]`,
    "the requirements do not name it: add it there, with its version",
  ];
  const lines: Line[] = [
    ...(requirements === undefined
      ? []
      : [[`  requirements: ${scalar(requirements)}`, "what is installed in a release"] as Line]),
    ...(extra.length === 0 ? [] : [added]),
  ];
  return lines.length === 0 ? [] : [["python:", "the packages of a release"], ...lines];
}

function staticLines({ static: entry }: Plan): Line[] {
  if (entry === undefined) return [];
  return [
    ["static:", "files that nginx serves itself"],
    [`  - url: ${entry.url}`, `Django's STATIC_URL${entry.why}`],
    [`    collect: ${scalar(entry.collect)}`, "run by the Action before packing"],
    [`    from: ${scalar(entry.from)}`, "Django's STATIC_ROOT, in the project"],
  ];
}

function sharedLines({ shared }: Plan): Line[] {
  if (shared.length === 0) return [];
  const entries = shared.flatMap(({ path, url, why }): Line[] => [
    [`  - path: ${scalar(path)}`, why],
    ...(url === undefined ? [] : [[`    url: ${scalar(url)}`, "where visitors find it"] as Line]),
  ]);
  return [["shared:", "what the site writes: it outlives releases, on each host by itself"], ...entries];
}

function siteLines({ domain, upgrade }: Plan): Line[] {
  const names: Line = [
    `  server_name: [${domain ?? "shop.example.com"}]`,
    "domains that the host allows; default: all of them",
  ];
  const site: Line = ["site:", "nginx's server block"];
  if (upgrade !== undefined) {
    const passed: Line = ["  upgrade: true", `WebSockets: ${upgrade}`];
    return [site, ...(domain === undefined ? [commented(names)] : [names]), passed];
  }
  return domain === undefined ? [commented(site), commented(names)] : [site, names];
}

const commented = ([text, comment = ""]: Line): Line => [`# ${text}`, comment];

function releaseLines({ release }: Plan): Line[] {
  if (release === undefined) return [];
  return [
    ["release:", "once for a deploy, before any instance starts"],
    [`  command: ${value(release.command)}`, release.why],
  ];
}

function processLines(processes: FoundProcess[]): Line[] {
  if (processes.length === 0) return [];
  const each = ({ name, command, overlap, stopSignal, stopTimeout, why }: FoundProcess): (Line | undefined)[] => [
    [`  ${name}:`, why],
    [`    command: ${scalar(command)}`, "run without a shell"],
    overlap === false ? ["    overlap: false", "never two at once"] : undefined,
    stopSignal === undefined ? undefined : [`    stop_signal: ${stopSignal}`, "lets it finish what it is working on"],
    stopTimeout === undefined ? undefined : [`    stop_timeout: ${stopTimeout}`, "the longest job"],
  ];
  return [
    ["processes:", "workers and schedulers next to the web instances"],
    ...processes.flatMap(each).filter((line) => line !== undefined),
  ];
}

function envLines({ env }: Plan): Line[] {
  if (env.length === 0) return [];
  const lines = env.map(({ name, value, why }): Line => [`  ${name}: ${scalar(value)}`, why]);
  return [["env:", "plain values; secrets stay on the host: `cutover env set`"], ...lines];
}

/**
 * A workflow for GitHub Actions, with a comment on each line.
 * @param file its path in the repository
 */
export function renderWorkflow({ app, python, branch, folder, version }: Plan, file: string): string {
  const paths: Line[] = [
    ["    paths:", "what this app is made of"],
    [`      - ${scalar(`${folder}/**`)}`, "its folder"],
    [`      - ${scalar(file)}`, "this file"],
  ];
  const name = file.slice(file.lastIndexOf("/") + 1).replace(/\.yml$/, "");
  return aligned([
    [`name: ${name}`, "its name in the Actions tab"],
    ["on:", "what starts it"],
    ["  push:", "the branch that is live"],
    [`    branches: [${scalar(branch)}]`, "each push to it is a deploy"],
    ...(folder === "" ? [] : paths),
    ["permissions:", "of the job's own token"],
    ["  contents: read", "to check the repository out"],
    ["  id-token: write", "GitHub signs who deploys what; no secret is stored"],
    ["concurrency:", "what must not run at the same time"],
    [`  group: deploy-${app}`, "one deploy at a time"],
    ["  cancel-in-progress: false", "do not stop a running deploy"],
    ["jobs:", "one is enough"],
    ["  deploy:", "its name"],
    ["    runs-on: ubuntu-24.04", "wheels are chosen for Linux hosts"],
    ["    environment: production", "what the hosts trust; its variables and reviewers"],
    ["    steps:", "from a fresh machine to a live release"],
    ["      - uses: actions/checkout@v5", "the project"],
    ["      - uses: actions/setup-python@v6", "collects static files, gets wheels"],
    ["        with:"],
    [`          python-version: "${python}"`, "the version of the hosts"],
    [`      - uses: cutover/cutover@v${version}`, "packs, signs, deploys to all hosts or to none"],
    ["        with:"],
    ...(folder === "" ? [] : [[`          working-directory: ${scalar(folder)}`, "the folder of cutover.yml"] as Line]),
    ["          hosts: $" + "{{ vars.CUTOVER_HOSTS }}", "such as https://web1.example.com:7070, one a line"],
  ]);
}

function aligned(lines: Line[]): string {
  const width = Math.max(...lines.filter(([, comment]) => comment !== undefined).map(([text]) => text.length));
  return lines
    .map(([text, comment]) => (comment === undefined ? `${text}\n` : `${text.padEnd(width)}  # ${comment}\n`))
    .join("");
}

function scalar(text: string): string {
  return stringify(text, { lineWidth: 0 }).trimEnd();
}

/** As an entry of a list in brackets, where these signs end an entry: `uvicorn[standard]`. */
function listed(text: string): string {
  return /[[\]{},]/.test(text) ? JSON.stringify(text) : scalar(text);
}

/** A list of words stays one line. */
function value(command: string | string[]): string {
  return typeof command === "string" ? scalar(command) : JSON.stringify(command);
}
