import { supervised } from "../command-line.ts";
import { at, type Findings, none } from "../findings.ts";
import { readIni } from "../ini.ts";
import { findingsOf, mainUnits, type Sources } from "../resolve.ts";

const most = 12;
const largest = 100_000;

/** Programs of supervisor's files in the project: those for developing count only where there are no others. */
export function fromSupervisor(sources: Sources): Findings[] {
  const all = filesLike(
    /(?:^|\/)(?:[\w.-]*supervisor[\w.-]*\.(?:conf|ini)|supervisor[\w-]*\/[\w.-]+\.(?:conf|ini))$|(?:^|\/)(?:conf|deploy|etc|config)\/[\w.-]+\.conf$/i,
    sources,
  ).map((file) => ({ file, found: ofSupervisor(file, sources) }));
  const live = all.filter(({ file }) => !/dev|test|local|debug/i.test(file));
  const chosen = live.some(({ found }) => found.some(({ servers }) => servers.length > 0)) ? live : all;
  return chosen.flatMap(({ found }) => found);
}

function ofSupervisor(file: string, sources: Sources): Findings[] {
  const found = supervised(sources.files.read(file) ?? "").map(({ name, line, command, values }) => ({
    unit: name,
    ...findingsOf(
      { line: command, why: at(file, line), variables: assignments(values.get("environment") ?? "") },
      sources,
    ),
  }));
  const main = mainUnits(found);
  // What a worker's program migrates is not what prepares a release.
  return found.flatMap(({ unit: _, ...each }, index) => {
    if (each.servers.length === 0) return [{ ...none, processes: each.processes }];
    return main.some((other) => other === found[index]) ? [each] : [];
  });
}

/** Services of systemd's unit files in the project. */
export function fromSystemd(sources: Sources): Findings[] {
  return filesLike(/\.service$/, sources).flatMap((file) =>
    readIni(sources.files.read(file) ?? "").flatMap(({ name, line, values }) => {
      const written = name === "Service" ? values.get("ExecStart") : undefined;
      if (written === undefined) return [];
      const folder = values.get("WorkingDirectory");
      // Prefixes, such as - and !, are no part of the program.
      const command = `${folder === undefined ? "" : `cd '${folder}' && `}${written.replace(/^[-@:+!]+/, "").replace(/%%/g, "%")}`;
      const variables = assignments(values.get("Environment") ?? "");
      const found = findingsOf({ line: command, why: at(file, line), variables }, sources);
      return [found.servers.length > 0 ? found : { ...none, processes: found.processes }];
    }),
  );
}

function filesLike(pattern: RegExp, { files }: Sources): string[] {
  return (files.paths?.() ?? [])
    .filter((path) => pattern.test(path))
    .slice(0, most)
    .filter((path) => {
      const text = files.read(path) ?? "";
      return text.length <= largest && !text.includes("\0");
    });
}

/** `A="x",B='y'` and `"A=x" "B=y"`. */
function assignments(text: string): Record<string, string> {
  const found = [...text.matchAll(/"?([A-Za-z_]\w*)=(?:"([^"]*)"|'([^']*)'|([^\s,"]*))/g)].map(
    ([, name = "", a, b, c]) => [name, a ?? b ?? c ?? ""],
  );
  return Object.fromEntries(found);
}
