import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { RunSpec } from "../../../agent/contracts/privileged.ts";
import { type Config, configSchema } from "../../../shared/config.ts";
import { freePorts } from "../../harness/ports.ts";

export const release = "20261121T103000Z-3f2c1ab";

/** A directory with a short path that every user may enter, removed when the test ends. */
export function scratch(): string {
  const dir = mkdtempSync(join(tmpdir(), "c-"));
  chmodSync(dir, 0o755);
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

export function testConfig(parts: object = {}): Config {
  return configSchema.parse({ app: "shop", server: { kind: "gunicorn", app: "shop:app", workers: 1 }, ...parts });
}

export function testSpec(config: Config, run = release): RunSpec {
  return { app: "shop", run, release, config };
}

export async function freePort(): Promise<number> {
  const [port = 0] = await freePorts(1);
  return port;
}

/** Asks until it is true. What never comes is given up after half a minute, which no busy machine needs. */
export async function eventually(question: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!(await question())) {
    if (Date.now() > deadline) throw new Error(`not within half a minute: ${question}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
