import type { WheelsContext } from "../../../action/python/wheels.ts";
import { execute } from "../../../action/runner/exec.ts";
import { never, type Workspace } from "../workspace.ts";

/** How pip is called for the project in `p`, with the wheels in `house` and no index. */
export function pipContext(space: Workspace, env: NodeJS.ProcessEnv = {}) {
  const lines: string[] = [];
  const made: WheelsContext & { lines: string[] } = {
    directory: space.at("p"),
    env: { PATH: "/usr/bin:/bin", HOME: space.path, PIP_NO_INDEX: "1", PIP_FIND_LINKS: space.at("house"), ...env },
    exec: execute,
    signal: never,
    pipArguments: [],
    onLine: (line) => lines.push(line),
    lines,
  };
  return made;
}
