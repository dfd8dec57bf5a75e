import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { embeddedLayout } from "../../agent/host/embedded/files.ts";
import { processesIn } from "../e2e/host-snapshot.ts";
import type { TortureHost } from "./host.ts";
import { type BoundResult, describeResult } from "./summary.ts";

/** A host's logs grow with each of its points: the last of it is about this one. */
const tailCharacters = 100_000;

/** Keeps what explains a point that was not well, in a folder of its own. @returns the folder */
export async function keepEvidence(into: string, host: TortureHost, result: BoundResult): Promise<string> {
  const { agent } = host;
  const { supervisor, nginx } = embeddedLayout(agent.directory);
  const name = [new Date().toISOString(), result.bind, result.operation, result.strike?.effect ?? "any time"];
  const folder = join(into, name.join(" ").replaceAll(/[^\w.-]+/g, "-"));
  await mkdir(folder, { recursive: true });
  const effects = host.takeEffects().map(({ at, when, effect, what }) => `${at} ${when} ${effect} ${what}`);
  const kept: Record<string, () => string> = {
    "point.txt": () => describeResult(result),
    "agent.log": () => agent.log,
    "supervisord.log": () => readFileSync(supervisor.log, "utf8"),
    "nginx-error.log": () => readFileSync(nginx.log, "utf8"),
    "state.json": () => readFileSync(host.stateFile, "utf8"),
    "journal.json": () => JSON.stringify(result.journal ?? null, null, 2),
    "effects.txt": () => effects.join("\n"),
    "processes.txt": () => JSON.stringify(processesIn(agent.directory), null, 2),
    // Also those of other hosts and of other test runs, which may have taken a port.
    "listeners.txt": () =>
      execFileSync("ss", ["--listening", "--tcp", "--unix", "--processes", "--numeric"], { encoding: "utf8" }),
  };
  for (const [file, text] of Object.entries(kept)) await writeFile(join(folder, file), tailOf(text));
  return folder;
}

/** What cannot be read says so in its place. */
function tailOf(text: () => string): string {
  try {
    return `${text().slice(-tailCharacters)}\n`;
  } catch (thrown) {
    return `${thrown}\n`;
  }
}
