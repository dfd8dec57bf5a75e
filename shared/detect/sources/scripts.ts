import { at, type Findings, none } from "../findings.ts";
import { findingsOf, type Sources } from "../resolve.ts";

const largest = 100_000;
const starting =
  /(?:^|[-_])(?:run|serve|server|start|web|prod|production|gunicorn|uvicorn|up|backend|engine|app)(?:[-_]|$)/;
const other = /test|lint|docker|build|install|migrat|deploy|win|docs/;

/** The targets of a Makefile that start a server. */
export function fromMakefile(sources: Sources): Findings[] {
  const file = ["Makefile", "makefile", "GNUmakefile"].find((name) => sources.files.exists(name));
  const text = file === undefined ? "" : (sources.files.read(file) ?? "");
  if (file === undefined || text.length > largest) return [];
  const found = targetsOf(text)
    .filter(({ name }) => starting.test(name) && !other.test(name))
    .map(({ recipe, line }) => findingsOf({ line: recipe, why: at(file, line) }, sources));
  return firstThatServes(found);
}

/** A recipe's lines run in shells of their own, so `cd` holds for one line. */
function targetsOf(text: string): { name: string; recipe: string; line: number }[] {
  const targets: { name: string; recipe: string; line: number }[] = [];
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const name = /^([A-Za-z][\w.-]*)\s*:(?!=)/.exec(line)?.[1];
    const last = targets.at(-1);
    if (name !== undefined) targets.push({ name, recipe: "", line: index + 1 });
    else if (/^\t/.test(line) && last !== undefined) last.recipe += `${line.trim().replace(/^[@+-]+/, "")}\n`;
  }
  return targets;
}

/** Shell scripts that are called after starting: `run_server.sh`, `bin/start.sh`. */
export function fromShellScripts(sources: Sources): Findings[] {
  const paths = (sources.files.paths?.() ?? []).filter((path) => {
    const [, name = ""] = /^(?:(?:bin|deploy|docker)\/)?([\w.-]+)\.sh$/.exec(path) ?? [];
    return (starting.test(name) || name.includes("entrypoint")) && !other.test(name) && !/dev|local/.test(name);
  });
  const found = paths.slice(0, 8).map((path) => findingsOf({ line: `sh ${path}`, why: path }, sources));
  return firstThatServes(found);
}

function firstThatServes(found: Findings[]): Findings[] {
  return (
    found
      .filter(({ servers }) => servers.length > 0)
      .slice(0, 1)
      // What prepares the database stands before it, as in a container's command.
      .map(({ servers, release }) => ({ ...none, servers, ...(release !== undefined && { release }) }))
  );
}
