import { stringify } from "yaml";
import { schemaUrl } from "../../../shared/config-schema.ts";
import type { ServerKind } from "../../../shared/config-server.ts";

/** What `cutover init` knows about a project. */
export interface ProjectFacts {
  app: string;
  server: { kind: ServerKind; app?: string; command?: string; bind?: "port" };
  /** What showed the kind. */
  why: string;
  /** The directory into which collectstatic writes; absent if there is nothing to collect. */
  staticRoot?: string;
  /** Django's settings module. */
  settingsModule?: string;
  domain?: string;
  /** Such as 3.11. */
  python: string;
  branch: string;
  /** The project's folder in the repository; empty if it is the root. */
  folder: string;
  /** The name on GitHub, such as acme/shop; absent if the remote does not show it. */
  repository?: string;
  /** The version of cutover itself. */
  version: string;
}

type Line = [text: string, comment?: string];

/** cutover.yml, with a comment on each line. */
export function renderCutoverYml(facts: ProjectFacts): string {
  const { app, server, why, staticRoot, settingsModule, domain, version } = facts;
  const lines: Line[] = [
    [`app: ${app}`, "its name on the hosts: `cutover app add` there"],
    ["server:", "what answers the requests"],
    [`  kind: ${server.kind}`, why],
    ...(server.app === undefined
      ? []
      : [[`  app: ${scalar(server.app)}`, "the module, and the application in it"] as Line]),
    ...(server.command === undefined ? [] : [[`  command: ${scalar(server.command)}`, "run without a shell"] as Line]),
    ...(server.bind === undefined ? [] : [[`  bind: ${server.bind}`, "the instances listen on ports"] as Line]),
    ["  instances: 2", "how many instances run; they share the 60 slots"],
  ];
  if (staticRoot !== undefined) {
    lines.push(
      ["static:", "files that nginx serves itself"],
      ["  - url: /static/", "Django's STATIC_URL"],
      ["    collect: python manage.py collectstatic --noinput", "run by the Action before packing"],
      [`    from: ${scalar(staticRoot)}`, "Django's STATIC_ROOT, in the project"],
    );
  }
  const mark = domain === undefined ? "# " : "";
  lines.push(
    [`${mark}site:`, "nginx's server block"],
    [`${mark}  server_name: [${domain ?? "shop.example.com"}]`, "domains that the host allows; default: all of them"],
  );
  if (settingsModule !== undefined) {
    lines.push(
      ["release:", "once for a deploy, before any instance starts"],
      ["  command: python manage.py migrate --noinput", "the old release serves while it runs"],
      ["env:", "plain values; secrets stay on the host: `cutover env set`"],
      [`  DJANGO_SETTINGS_MODULE: ${settingsModule}`, "as in manage.py"],
    );
  }
  const schema = `# yaml-language-server: $schema=${schemaUrl(`v${version}`)}`;
  return `${schema}\n${aligned(lines)}`;
}

/** .github/workflows/deploy.yml, with a comment on each line. */
export function renderWorkflow({ app, python, branch, folder, version }: ProjectFacts): string {
  return aligned([
    ["name: deploy", "its name in the Actions tab"],
    ["on:", "what starts it"],
    ["  push:", "the branch that is live"],
    [`    branches: [${scalar(branch)}]`, "each push to it is a deploy"],
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
