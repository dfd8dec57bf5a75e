import { at, type Findings, none } from "../findings.ts";
import { readIni } from "../ini.ts";
import { findingsOf, type Sources } from "../resolve.ts";

const most = 12;
const largest = 100_000;

/** Programs of supervisor's files in the project. */
export function fromSupervisor(sources: Sources): Findings[] {
  const candidate =
    /(?:^|\/)(?:[\w.-]*supervisor[\w.-]*\.(?:conf|ini)|supervisor[\w-]*\/[\w.-]+\.(?:conf|ini))$|(?:^|\/)(?:conf|deploy|etc|config)\/[\w.-]+\.conf$/i;
  return programsOf(sources, candidate, /^program:(.+)$/, "command", ["environment"]);
}

/** Services of systemd's unit files in the project. */
export function fromSystemd(sources: Sources): Findings[] {
  return programsOf(sources, /\.service$/, /^Service$/, "ExecStart", ["Environment"]);
}

function programsOf(
  sources: Sources,
  candidate: RegExp,
  section: RegExp,
  key: string,
  environment: string[],
): Findings[] {
  const { files } = sources;
  return (files.paths?.() ?? [])
    .filter((path) => candidate.test(path))
    .slice(0, most)
    .flatMap((file) => {
      const text = files.read(file) ?? "";
      if (text.length > largest || text.includes("\0")) return [];
      return readIni(text).flatMap(({ name, line, values }) => {
        const written = section.test(name) ? values.get(key) : undefined;
        if (written === undefined) return [];
        const folder = values.get("directory") ?? values.get("WorkingDirectory");
        // systemd's prefixes, such as - and !, are no part of the program.
        const command = `${folder === undefined ? "" : `cd '${folder}' && `}${written.replace(/^[-@:+!]+/, "").replace(/%%/g, "%")}`;
        const variables = Object.fromEntries(environment.flatMap((each) => assignments(values.get(each) ?? "")));
        const found = findingsOf({ line: command, why: at(file, line), variables }, sources);
        return [found.servers.length > 0 ? found : { ...none, processes: found.processes }];
      });
    });
}

/** `A="x",B='y'` and `"A=x" "B=y"`. */
function assignments(text: string): [string, string][] {
  return [...text.matchAll(/"?([A-Za-z_]\w*)=(?:"([^"]*)"|'([^']*)'|([^\s,"]*))/g)].map(([, name = "", a, b, c]) => [
    name,
    a ?? b ?? c ?? "",
  ]);
}
