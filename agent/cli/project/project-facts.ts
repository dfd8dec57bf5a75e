import { existsSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { describeCandidate } from "../../../shared/complete-server.ts";
import { detectKind } from "../../../shared/detect/detect.ts";
import type { Candidate } from "../../../shared/detect/findings.ts";
import { CutoverError } from "../../../shared/errors.ts";
import type { Project } from "../../../shared/project.ts";
import { projectIn } from "./project-directory.ts";
import type { ProjectFacts } from "./project-files.ts";

/** What a person gave on the command line; it replaces what would be found. */
export interface Given {
  name?: string;
  server?: Candidate;
  domain?: string;
}

export interface Found {
  facts: ProjectFacts;
  /** The root of the repository, which has the workflows; the project itself if there is no repository. */
  root: string;
}

/** The version of Debian 12, if the project names none. */
const usualPython = "3.11";

/** @throws CutoverError kind_unknown */
export function projectFacts(directory: string, given: Given, version: string): Found {
  const project = projectIn(directory);
  const { why, ...server } = given.server ?? detected(directory, project);
  const root = repositoryOf(directory) ?? directory;
  const django = djangoOf(project);
  const repository = repositoryNameOf(projectIn(root));
  return {
    root,
    facts: {
      app: given.name ?? nameOf(directory),
      server,
      why: [...new Set(why)].join(", "),
      ...django,
      ...(given.domain !== undefined && { domain: given.domain }),
      ...(repository !== undefined && { repository }),
      python: /^(3\.\d{1,2})(?:\.|\s*$)/m.exec(project.read(".python-version") ?? "")?.[1] ?? usualPython,
      branch: branchOf(projectIn(root)),
      folder: relative(root, directory),
      version,
    },
  };
}

function djangoOf(project: Project): { settingsModule?: string; staticRoot?: string } {
  const module = /["']DJANGO_SETTINGS_MODULE["']\s*,\s*["']([\w.]+)["']/.exec(project.read("manage.py") ?? "")?.[1];
  if (module === undefined) return {};
  const stem = module.replaceAll(".", "/");
  const texts = [`${stem}.py`, `${stem}/__init__.py`, join(dirname(stem), "base.py")].map((file) => project.read(file));
  // BASE_DIR / "staticfiles", os.path.join(BASE_DIR, "staticfiles"), or a plain string: the last name counts.
  const assigned = /^STATIC_ROOT\s*=\s*(.+)$/m.exec(texts.filter((text) => text !== undefined).join("\n"))?.[1];
  const staticRoot = [...(assigned ?? "").matchAll(/["']([\w./-]+)["']/g)].at(-1)?.[1];
  const inside = staticRoot !== undefined && !staticRoot.startsWith("/") && !staticRoot.includes("..");
  return { settingsModule: module, ...(inside && { staticRoot: staticRoot.replace(/^\.?\/|\/$/g, "") }) };
}

/** The folder's name, with the characters that an app's name may have. */
function nameOf(directory: string): string {
  const name = basename(directory)
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, 32)
    .replace(/^-+|-+$/g, "");
  return name === "" ? "app" : name;
}

function repositoryOf(directory: string): string | undefined {
  for (let path = resolve(directory); ; path = dirname(path)) {
    if (existsSync(join(path, ".git"))) return path;
    if (path === dirname(path)) return undefined;
  }
}

function branchOf(repository: Project): string {
  for (const file of [".git/refs/remotes/origin/HEAD", ".git/HEAD"]) {
    const branch = /^ref: refs\/(?:remotes\/origin|heads)\/(\S+)$/m.exec(repository.read(file) ?? "")?.[1];
    if (branch !== undefined) return branch;
  }
  return "main";
}

/** The name from the remote origin, of any GitHub server: git@host:owner/name.git, https://host/owner/name. */
function repositoryNameOf(repository: Project): string | undefined {
  const [, origin = ""] = /^\[remote "origin"\]\n((?:[ \t].*\n?)*)/m.exec(repository.read(".git/config") ?? "") ?? [];
  const path = /^\s*url\s*=\s*(?:\w+:\/\/[^/\s]+\/|[\w.-]+@[\w.-]+:)(\S+)\s*$/m.exec(origin)?.[1] ?? "";
  return /^([A-Za-z0-9-]+\/[A-Za-z0-9._-]+?)(?:\.git)?\/?$/.exec(path)?.[1];
}

/** @throws CutoverError kind_unknown */
function detected(directory: string, project: Project): Candidate {
  const detection = detectKind(project);
  if (detection.found) return { ...detection.server, why: detection.why };
  const { candidates, looked } = detection;
  const message =
    candidates.length === 0
      ? `Nothing in ${directory} shows what serves this project. Looked for: ${looked.join("; ")}.`
      : `${directory} has more than one possible server: ${candidates.map(describeCandidate).join("; ")}.`;
  throw new CutoverError("kind_unknown", message, {
    unchanged: "Nothing was written.",
    fix: "Choose one: --kind gunicorn --app shop.wsgi:application, or --kind command --command 'python main.py --socket {socket}'.",
  });
}
