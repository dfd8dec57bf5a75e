import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Plan } from "./plan.ts";

const folder = ".github/workflows";

/**
 * Where the workflow of an app goes: deploy.yml, unless that is another's. A workflow that cutover wrote for the same app is
 * its own. No other is ever replaced.
 * @param taken paths that other plans have
 * @returns the path in the repository
 */
export function workflowFile(root: string, plan: Pick<Plan, "app" | "folder">, taken: string[] = []): string {
  const names = ["deploy", `deploy-${plan.app}`, `cutover-${plan.app}`];
  const numbered = Array.from({ length: 50 }, (_, index) => `cutover-${plan.app}-${index + 2}`);
  const all = [...names, ...numbered].map((name) => {
    const file = `${folder}/${name}.yml`;
    const path = join(root, file);
    return { file, exists: existsSync(path), own: existsSync(path) && isOwn(readFileSync(path, "utf8"), plan) };
  });
  const free = all.filter(({ file }) => !taken.includes(join(root, file)));
  const found = free.find(({ own }) => own) ?? free.find(({ exists }) => !exists);
  return found?.file ?? `${folder}/cutover-${plan.app}-new.yml`;
}

/** It deploys the same folder with cutover. */
function isOwn(text: string, { folder: wanted }: Pick<Plan, "folder">): boolean {
  if (!/uses:\s*["']?(?:cutover\/cutover@|\.\/?\s)/.test(text)) return false;
  const [, place = ""] = /working-directory:\s*["']?([^"'\s#]+)/.exec(text) ?? [];
  return place.replace(/^\.\/|\/$/g, "") === wanted;
}
