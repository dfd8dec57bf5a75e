import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { CutoverError } from "../../../shared/errors.ts";
import { type CheckFault, checkConfig } from "./checked-config.ts";
import type { Place, Plan, Planned } from "./plan.ts";
import { renderCutoverYml, renderWorkflow } from "./project-files.ts";
import { workflowFile } from "./workflow-file.ts";

/** What a plan comes to: two files, and what `check` says of them. */
export interface ProjectFiles {
  plan: Plan;
  files: { path: string; text: string }[];
  faults: CheckFault[];
}

/** @param taken the paths of other plans */
export function filesFor({ directory, project }: Place, { plan, root }: Planned, taken: string[] = []): ProjectFiles {
  const file = workflowFile(root, plan, taken);
  const files = [
    { path: join(directory, "cutover.yml"), text: renderCutoverYml(plan) },
    { path: join(root, file), text: renderWorkflow(plan, file) },
  ];
  const { faults } = checkConfig(files[0]?.text ?? "", project);
  return { plan, files, faults };
}

/** The paths as a person at this place types them. */
export function shown({ files }: ProjectFiles): { path: string; text: string }[] {
  return files.map((file) => ({ ...file, path: relative(process.cwd(), file.path) || file.path }));
}

/** @throws CutoverError file_exists: then none of them was written; request_invalid */
export async function writeAll(files: { path: string; text: string }[], force: boolean): Promise<void> {
  const there = files.filter(({ path }) => existsSync(path)).map(({ path }) => path);
  if (there.length > 0 && !force) throw exists(there.join(" and "));
  for (const { path, text } of files) {
    try {
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, text, { flag: force ? "w" : "wx" });
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === "EEXIST") throw exists(path);
      throw new CutoverError("request_invalid", `${path} cannot be written: ${(cause as Error).message}`, {
        fix: "Run it in a directory that you may write to, or print the files with --dry-run.",
        cause,
      });
    }
  }
}

function exists(path: string): CutoverError {
  return new CutoverError("file_exists", `${path} exists already.`, {
    unchanged: "Nothing was written.",
    fix: "Print the new text with --dry-run, or overwrite the file with --force. Workflows of others are never overwritten.",
  });
}
