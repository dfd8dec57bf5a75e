import { randomBytes } from "node:crypto";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import type { z } from "zod";
import { readConfig } from "../../action/project/config.ts";
import type { configSchema } from "../../shared/config.ts";
import { packProject } from "../harness/pack.ts";

export const binds = ["socket", "port"] as const;
export type Bind = (typeof binds)[number];

export interface ReleaseOptions {
  /** Keys of cutover.yml. */
  config?: Partial<z.input<typeof configSchema>>;
  /** Whether it has a requirements file of its own, so that an environment must be built. */
  newEnvironment?: boolean;
  activate?: boolean;
  /** The app; the one with visitors unless given. */
  app?: string;
  /** Whether the bundle is long and only a part of it is sent. */
  cut?: boolean;
}

const source = fileURLToPath(new URL("app", import.meta.url));
const fillerBytes = 1_000_000;
/** Where a long bundle breaks off, in bytes. */
export const cutAt = fillerBytes / 2;

/** Packs a release of the small app. @returns the bundle's path, in the directory `into` */
export async function packRelease(
  into: string,
  { bind, config, newEnvironment, app, cut }: Required<Omit<ReleaseOptions, "activate">> & { bind: Bind },
): Promise<string> {
  const directory = await mkdtemp(join(into, "project-"));
  await cp(source, directory, { recursive: true });
  const where = bind === "socket" ? "{socket}" : "{port}";
  const server = { kind: "command", command: `python app.py ${where}`, instances: 2, bind } as const;
  const wheels = newEnvironment ? "index" : "none";
  if (newEnvironment) {
    await writeFile(join(directory, "requirements.txt"), `# ${randomBytes(8).toString("hex")}\n`);
  }
  if (cut) await writeFile(join(directory, "filler"), randomBytes(fillerBytes));
  const settings: z.input<typeof configSchema> = {
    ...{ app, server, python: { wheels }, keep: 3, keep_warm: "0s", watch: "0s" },
    ...{ release: { command: "python -c pass" }, health: { path: "/", timeout: "20s" }, ...config },
  };
  await writeFile(join(directory, "cutover.yml"), stringify(settings));
  const commit = randomBytes(20).toString("hex");
  const { bundle } = await packProject({
    config: (await readConfig(directory, "cutover.yml")).config,
    ...{ directory, wheels: [], made: new Date(), repository: "", commit },
    ...{ into, signal: new AbortController().signal },
  });
  await rm(directory, { recursive: true });
  return bundle;
}
