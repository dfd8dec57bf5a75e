import { namedPython, requiredPython } from "../../../shared/python-version.ts";
import { projectIn } from "./project-directory.ts";

/** The version of Debian 12, if the project names none. */
const usual = "3.11";

/** The version of Python that a project names, such as 3.12: in the usual files, here or at the top of the repository. */
export function pythonVersion(directory: string, root: string): string {
  return versionIn(directory) ?? versionIn(root) ?? usual;
}

function versionIn(directory: string): string | undefined {
  const project = projectIn(directory);
  return namedPython(project)?.version ?? lowest(requiredPython(project)?.range);
}

/** `>=3.12`: the lowest that it allows, but not one that is older than the usual. */
function lowest(range = ""): string | undefined {
  const [, minor] = /(?:>=|\^|~=?|==)\s*3\.(\d{1,2})/.exec(range) ?? [];
  return minor === undefined ? undefined : `3.${Math.max(Number(minor), 11)}`;
}
