import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

interface Locked {
  version: string;
  license?: string;
  dev?: boolean;
  optional?: boolean;
}

/** The licences of Node and of each npm package that the programs may contain, as one text. */
export async function bundledLicenses(nodeLicense: string): Promise<string> {
  const { packages } = JSON.parse(await readFile("package-lock.json", "utf8")) as { packages: Record<string, Locked> };
  const parts = [`Node.js\n\n${await readFile(nodeLicense, "utf8")}`];
  for (const [path, { version, license = "unknown", dev, optional }] of Object.entries(packages).sort()) {
    if (path === "" || dev === true || optional === true) continue;
    const file = (await readdir(path)).find((name) => /^licen[cs]e/i.test(name));
    const text = file === undefined ? "" : `\n\n${await readFile(join(path, file), "utf8")}`;
    parts.push(`${path.replace(/^.*node_modules\//, "")} ${version}: ${license}${text}`);
  }
  return parts.join(`\n\n${"-".repeat(80)}\n\n`);
}
