import { stepsOf } from "../command-line.ts";
import { at, type Findings, none } from "../findings.ts";
import { asModule } from "../own-command.ts";
import { joined, preparationOf } from "../process-command.ts";
import { findingsOf, type Sources } from "../resolve.ts";

/** `web:` serves, `release:` prepares, and every other line is a process. */
export function fromProcfile(sources: Sources): Findings[] {
  const { files } = sources;
  const file = ["Procfile", "Procfile.prod", "Procfile.production"].find((name) => files.read(name) !== undefined);
  if (file === undefined) return [];
  const text = files.read(file) ?? "";
  return text.split(/\r?\n/).flatMap((line, index) => {
    const [, name = "", rest = ""] = /^([A-Za-z0-9_-]+):(.*)$/s.exec(line) ?? [];
    const command = rest.trim();
    if (command === "") return [];
    const why = at(file, index + 1);
    if (name === "web") return [findingsOf({ line: command, why }, sources)];
    // A worker that is known by its program is one under any name.
    if (helpers.test(name)) return [{ ...none, processes: findingsOf({ line: command, why }, sources).processes }];
    if (name === "release") return [{ ...none, release: { command: releaseOf(command, sources), why } }];
    return [findingsOf({ line: command, why, process: name }, sources)];
  });
}

/** What only a developer has next to the server: it builds or shows something. */
const helpers =
  /^(?:assets?|docs?|css|s[ac]ss|less|js|node|webpack|vite|esbuild|tailwind|rollup|frontend|client|storybook|ngrok|tunnel|mail(?:hog|pit|catcher)|redis|postgres|postgresql|db|tests?)$/i;

/** Several commands at once need a shell, and cutover gives them none: here it is asked for by name. */
function releaseOf(line: string, sources: Sources): string | string[] {
  const [only, ...others] = stepsOf(line, sources.files);
  const own = only === undefined ? undefined : asModule(only, sources);
  const isOwn = own !== undefined && own !== only && Object.keys(own.env).length === 0;
  const simple = own === undefined ? undefined : isOwn ? joined([own.program, ...own.args]) : preparationOf(own);
  return others.length === 0 && simple !== undefined ? simple : /[;&|$<>`]/.test(line) ? ["sh", "-c", line] : line;
}
