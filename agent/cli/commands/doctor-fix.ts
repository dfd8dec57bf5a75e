import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { CutoverError } from "../../../shared/errors.ts";
import type { Finding, Mend } from "../../doctor/finding.ts";
import { runTool } from "../../host/exec/run-tool.ts";
import { writeDurably } from "../../host/store/durable.ts";
import { type Context, usageError } from "../context.ts";
import { confirm } from "../terminal/questions.ts";
import { print, safe } from "../terminal/terminal.ts";

/**
 * Does what findings can have done about them, each after a question unless `yes`.
 * @returns whether anything was done
 * @throws CutoverError internal if a step fails; the steps before it stay
 */
export async function mendAll(context: Context, findings: Finding[], yes: boolean): Promise<boolean> {
  const { terminal, json } = context;
  const mendable = findings.flatMap((finding) => (finding.mend === undefined ? [] : [finding.mend]));
  if (mendable.length > 0 && !yes && terminal.stdin.isTTY !== true)
    throw usageError("There is no terminal to ask on: confirm all with --yes.");
  const commands = new Map<string, string[]>();
  let done = false;
  for (const mend of mendable) {
    if (!yes && !(await confirm(terminal, `${safe(capital(mend.what))}?`))) continue;
    for (const { path, text } of mend.writes) await write(path, text);
    // Those of two units are the same ones.
    for (const command of mend.commands) commands.set(command.join(" "), command);
    done = true;
    if (!json) print(terminal, `fixed    ${safe(mend.what)}`);
  }
  for (const command of commands.values()) await run(command);
  return done;
}

async function write(path: string, text: Mend["writes"][number]["text"]): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o755 });
  await writeDurably(path, text, 0o644);
}

async function run([program = "", ...words]: string[]): Promise<void> {
  const { code, stderr } = await runTool(program, words);
  if (code === 0) return;
  throw new CutoverError(
    "internal",
    `\`${[program, ...words].join(" ")}\` ended with exit code ${code}: ${stderr.trim()}`,
    {
      unchanged: "What is listed above was done.",
      fix: "Correct the cause, then run `cutover doctor --fix` again: it does only what is missing.",
    },
  );
}

function capital(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}
