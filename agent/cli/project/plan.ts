import { relative } from "node:path";
import { describeCandidate } from "../../../shared/complete-server.ts";
import { type Configuration, settingsName } from "../../../shared/detect/configurations.ts";
import { productionRequirements } from "../../../shared/detect/dependencies.ts";
import { type Detection, type Survey, survey } from "../../../shared/detect/detect.ts";
import type { Django } from "../../../shared/detect/django.ts";
import { type DjangoSettings, folderUrlOf } from "../../../shared/detect/django-settings.ts";
import type { Candidate, FoundProcess } from "../../../shared/detect/findings.ts";
import { type WrittenPath, writtenPaths } from "../../../shared/detect/written-files.ts";
import { CutoverError } from "../../../shared/errors.ts";
import type { Project } from "../../../shared/project.ts";
import { appNameFor } from "./app-name.ts";
import { askDjango } from "./ask-django.ts";
import { conditionNotes, databaseNotes, remoteNotes, unusedNotes } from "./notes.ts";
import { projectIn } from "./project-directory.ts";
import { pythonVersion } from "./python-version.ts";
import { branchOf, repositoryNameOf, repositoryOf } from "./repository.ts";

/** What a person gave on the command line; it replaces what would be found. */
export interface Given {
  name?: string;
  server?: Candidate;
  domain?: string;
}

/** What `cutover init` writes, and why. */
export interface Plan {
  app: string;
  server: Omit<Candidate, "why" | "env" | "extra" | "caution">;
  /** What showed the server. */
  why: string;
  /** Packages that the requirements lack. */
  extra: string[];
  /** The requirements file, if it is not requirements.txt. */
  requirements?: string;
  env: { name: string; value: string; why: string }[];
  /** Absent if there is nothing to collect. */
  static?: { url: string; collect: string; from: string; why: string };
  release?: { command: string | string[]; why: string };
  /** What the site writes into the project. */
  shared: WrittenPath[];
  processes: FoundProcess[];
  /** Where the first WebSocket is. */
  upgrade?: string;
  /** What a person should know, a sentence each. */
  notes: string[];
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

export interface Planned {
  plan: Plan;
  /** The root of the repository, which has the workflows; the project itself if there is no repository. */
  root: string;
}

export interface Place {
  directory: string;
  /** The directory that was given: the root, if there is no repository. */
  base: string;
  project: Project;
}

/**
 * @param choose asks a person which of several candidates it is; undefined: there is nobody to ask
 * @throws CutoverError kind_unknown
 */
export async function planFor(
  { directory, base, project }: Place,
  given: Given,
  version: string,
  choose?: (candidates: Candidate[]) => Promise<Candidate>,
): Promise<Planned> {
  const root = repositoryOf(directory) ?? base;
  const requirements = productionRequirements(project);
  const found = survey(project, {}, requirements === undefined ? {} : { requirements });
  const { why, extra = [], env = {}, caution: _, ...server } = given.server ?? (await chosen(directory, found, choose));
  const repository = repositoryNameOf(projectIn(root));
  const fromProject = filesPart(directory, project, found);
  const plan: Plan = {
    app: given.name ?? appNameFor(directory, root, repository),
    server,
    why: [...new Set(why)].join(", "),
    extra,
    env: Object.entries(env).map(([name, value]) => ({ name, value, why: envReason(name) })),
    ...(requirements !== undefined && { requirements }),
    ...fromProject,
    processes: found.processes,
    ...(found.websockets !== undefined && { upgrade: found.websockets }),
    ...(given.domain !== undefined && { domain: given.domain }),
    ...(repository !== undefined && { repository }),
    python: pythonVersion(directory, root),
    branch: branchOf(projectIn(root)),
    folder: relative(root, directory),
    version,
  };
  return { root, plan: completed(plan, found) };
}

function envReason(name: string): string {
  if (name === "PYTHONPATH") return "the folder that the modules are in";
  return name === "GUNICORN_CMD_ARGS" ? "gunicorn's other options" : "as it was written";
}

/** The release command: what people wrote, or Django's migrations. And the settings module, whose name a command needs. */
function completed(plan: Plan, { release, django }: Survey): Plan {
  const settings = django?.settings;
  const given = settings === undefined || plan.env.some(({ name }) => name === "DJANGO_SETTINGS_MODULE");
  const configuration = settings?.configuration;
  return {
    ...plan,
    env: [
      ...plan.env,
      ...(given ? [] : [settingsEntry(settings)]),
      ...(configuration === undefined ? [] : [configurationEntry(configuration)]),
    ],
    ...(release !== undefined && { release }),
  };
}

function configurationEntry({ name, from, developing }: Configuration) {
  const said = developing === undefined ? `as in ${from}` : `${from} has ${developing}, which is for developing`;
  const why = from === undefined ? "no file names the class of the settings: check it" : said;
  return { name: "DJANGO_CONFIGURATION", value: name, why };
}

function settingsEntry({ module, from, developing, unnamed }: NonNullable<Django["settings"]>) {
  if (unnamed) return { name: "DJANGO_SETTINGS_MODULE", value: module, why: "no file names the settings: check it" };
  const why = developing === undefined ? `as in ${from}` : `${from} has ${developing}, which is for developing`;
  return { name: "DJANGO_SETTINGS_MODULE", value: module, why };
}

/** Files that nginx serves and files that the site writes: as Django itself says if it can be imported here, or as the text does. */
function filesPart(
  directory: string,
  project: Project,
  { django, names }: Survey,
): Pick<Plan, "static" | "release" | "shared" | "notes"> {
  const settings = django?.settings;
  if (django === undefined || settings === undefined) {
    const shared = writtenPaths(project, names, undefined);
    const missing = django === undefined ? [] : unusedNotes(django);
    return { shared, notes: [...missing, ...databaseNotes(directory, project, shared)] };
  }
  const { configuration } = settings;
  const read = project.djangoSettings?.(django.path, settingsName(settings.module, configuration?.name));
  // Django alone knows nothing of classes.
  const loaded = configuration === undefined ? askDjango(directory, django.path, settings.module) : undefined;
  const asked = loaded ?? read;
  const entry = asked === undefined ? undefined : staticEntry(asked, django.manage, read);
  const migrate = `python ${django.manage} migrate --noinput`;
  const shared =
    asked === undefined ? [] : writtenPaths(project, names, asked, entry === undefined ? [] : [entry.from]);
  return {
    shared,
    notes: [
      ...unusedNotes(django),
      ...(entry === undefined ? remoteNotes(django, asked) : conditionNotes(read)),
      ...databaseNotes(directory, project, shared),
    ],
    ...(entry !== undefined && { static: entry }),
    ...(asked?.databases !== false && { release: { command: migrate, why: "the old release serves while it runs" } }),
  };
}

function staticEntry(settings: DjangoSettings, manage: string, read: DjangoSettings | undefined): Plan["static"] {
  const { staticfiles, staticUrl = "/static/", remote, inside } = settings;
  // On this machine Django itself says none where a condition, such as DEBUG, leaves it out.
  const conditional = read?.conditions.STATIC_ROOT === undefined ? undefined : read.staticRoot;
  const staticRoot = settings.staticRoot ?? conditional;
  const from = typeof staticRoot === "string" ? inside(staticRoot) : undefined;
  const url = folderUrlOf(staticUrl);
  if (!staticfiles || remote !== undefined || from === undefined || url === undefined) return undefined;
  const where = read?.where.STATIC_URL;
  const collect = `python ${manage} collectstatic --noinput`;
  return {
    url,
    collect: settings.compressed ? `sh -c '${collect} && python ${manage} compress --force'` : collect,
    from,
    why: where === undefined ? "" : ` (${where})`,
  };
}

/** @throws CutoverError kind_unknown */
async function chosen(
  directory: string,
  { detection }: Survey,
  choose: ((candidates: Candidate[]) => Promise<Candidate>) | undefined,
): Promise<Candidate> {
  if (detection.found) return { ...detection.server, extra: detection.extra, env: detection.env, why: detection.why };
  const { candidates } = detection;
  const able = candidates.filter(({ caution }) => caution === undefined);
  if (able.length > 1 && choose !== undefined) return choose(able);
  throw new CutoverError("kind_unknown", unknownMessage(directory, detection), {
    unchanged: "Nothing was written.",
    fix: fixFor(candidates),
  });
}

function fixFor(candidates: Candidate[]): string {
  if (candidates.length === 0) return usualFix;
  const lines = candidates.map(commandLineOf).join("; or ");
  const able = candidates.some(({ caution }) => caution === undefined);
  return able
    ? `Choose one: ${lines}`
    : `Change that and run \`cutover init\` again. If it can start all the same: ${lines}`;
}

const usualFix =
  "Choose one: --kind gunicorn --app shop.wsgi:application, or --kind command --command 'python main.py --socket {socket}'.";

function unknownMessage(directory: string, { candidates, looked, reasons }: Detection & { found: false }): string {
  const [only, ...others] = candidates;
  if (only === undefined) {
    const told = reasons.length > 0 ? reasons.join(" ") : "Nothing shows what serves this project.";
    return `${directory}: ${told} Looked for: ${looked.join("; ")}.`;
  }
  const all = candidates.map(describeCandidate).join("; ");
  return others.length === 0
    ? `What serves ${directory} cannot start as it is: ${all}.`
    : `${directory} has more than one possible server: ${all}.`;
}

/** What a person types to choose it. */
export function commandLineOf({ kind, app, command }: Pick<Candidate, "kind" | "app" | "command">): string {
  const quoted = (text: string) => (/^[\w.:/-]+$/.test(text) ? text : `"${text.replace(/["$`\\]/g, "\\$&")}"`);
  const rest =
    app !== undefined ? ` --app ${quoted(app)}` : command !== undefined ? ` --command ${quoted(command)}` : "";
  return `cutover init --kind ${kind}${rest}`;
}
