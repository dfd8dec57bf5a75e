import type { ServerKind } from "../../shared/config-server.ts";
import type { Project } from "../../shared/project.ts";

/** What serves a project, as far as its files tell. */
export interface Detected {
  kind: ServerKind;
  app?: string;
  command?: string;
  /** What in the project says so, for a person. */
  why: string[];
}

/** Django alone: its manage.py names the settings, beside which wsgi.py lies. */
export function detect(project: Project): Detected | undefined {
  const settings = /["']DJANGO_SETTINGS_MODULE["']\s*,\s*["']([\w.]+)["']/.exec(project.read("manage.py") ?? "")?.[1];
  if (settings === undefined) return undefined;
  const packages = settings.split(".").slice(0, -1);
  for (let length = packages.length; length > 0; length--) {
    const stem = packages.slice(0, length);
    const file = `${stem.join("/")}/wsgi.py`;
    if (project.exists(file)) {
      return { kind: "gunicorn", app: `${stem.join(".")}.wsgi:application`, why: [`manage.py and ${file}: Django`] };
    }
  }
  return undefined;
}
