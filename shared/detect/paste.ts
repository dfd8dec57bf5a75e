import type { Application } from "./applications.ts";
import type { Candidate } from "./findings.ts";
import type { Sources } from "./looked-at.ts";
import { pasteCommand } from "./server-command.ts";

/**
 * Pyramid's own shape: `main(global_config, **settings)` gets its arguments from an .ini file that PasteDeploy reads.
 * @returns undefined if the project has none
 */
export function ofPaste({ file, path }: Application, { files }: Sources): Candidate | undefined {
  const all = (files.paths?.() ?? []).filter(
    (each) => /^[\w.-]+\.ini$/.test(each) && applies.test(files.read(each) ?? ""),
  );
  const weight = (name: string) => (/prod|live|deploy/.test(name) ? 0 : /dev|test|local/.test(name) ? 2 : 1);
  const [ini] = all.toSorted((a, b) => weight(a) - weight(b));
  if (ini === undefined) return undefined;
  const egg = /^[ \t]*use[ \t]*=[ \t]*(egg:\S+)/m.exec(files.read(ini) ?? "")?.[1];
  const installed = /^[ \t]*(?:-e[ \t]*)?\.(?:\[[^\]\n]*\])?[ \t]*\r?$/m.test(files.read("requirements.txt") ?? "");
  return {
    kind: "command",
    command: pasteCommand(ini),
    ...(path !== "" && { env: { PYTHONPATH: path } }),
    why: [`${file} is Pyramid`, ini],
    ...(egg !== undefined &&
      !installed && {
        caution: `${ini} names the project as ${egg}, which only an installed project has: add a line \`.\` to requirements.txt, or write \`use = call:package:main\``,
      }),
  };
}

const applies = /^\[(?:app|composite):/m;
