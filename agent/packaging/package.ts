import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { configSchema } from "../../shared/config.ts";
import { createProgram } from "../cli/program.ts";
import { installedFiles, packagePlaces } from "../install/files.ts";
import { agentSettingsSchema, appSettingsSchema } from "../settings.ts";
import {
  type PackageFile,
  packageName,
  renderAptConf,
  renderChangelog,
  renderCommand,
  renderConffiles,
  renderControl,
} from "./control.ts";
import { bundledLicenses } from "./licenses.ts";
import { renderManPage, renderSettingsPage } from "./man.ts";
import { type Architecture, nodeFor } from "./node.ts";

export interface PackageOptions {
  version: string;
  architecture: Architecture;
  /** The time of every file, in seconds since the epoch, so that the same sources give the same package. */
  date: number;
  /** The directory for the package. */
  into: string;
  compression: "xz" | "none";
}

const lib = "usr/lib/cutover";
const doc = `usr/share/doc/${packageName}`;
const scripts = ["postinst", "prerm", "postrm"];

const settingsPages = [
  {
    name: "cutover.yml",
    path: "cutover.yml",
    summary: "how cutover deploys an app, in its repository",
    schema: configSchema,
  },
  {
    name: "cutover-agent.yml",
    path: "/etc/cutover/agent.yml",
    summary: "settings of the cutover agent on a host",
    schema: agentSettingsSchema,
  },
  {
    name: "cutover-app.yml",
    path: "/etc/cutover/apps/<app>.yml",
    summary: "what a host allows one app",
    schema: appSettingsSchema,
  },
];

/** Makes the Debian package from agent/dist. @returns its path */
export async function makePackage(options: PackageOptions): Promise<string> {
  const { version, architecture, date, into, compression } = options;
  const files = await filesOf(options);
  const work = await mkdtemp(join(tmpdir(), "cutover-package-"));
  try {
    // Modes do not depend on the umask: the package's directories become the host's.
    const root = join(work, "root");
    for (const file of files) await put(root, file);
    const installedSize = Math.ceil((await sizeOf(root, files)) / 1024);
    const control: PackageFile[] = [
      text("DEBIAN/control", renderControl({ version, architecture, installedSize })),
      text("DEBIAN/conffiles", renderConffiles(files)),
      text("DEBIAN/md5sums", await md5sums(root, files)),
      ...scripts.map(
        (name): PackageFile => ({ ...local(`DEBIAN/${name}`, `agent/packaging/debian/${name}`), mode: 0o755 }),
      ),
    ];
    for (const file of control) await put(root, file);
    await setTimes(root, date);
    await mkdir(into, { recursive: true });
    const made = join(into, `${packageName}_${version}_${architecture}.deb`);
    const dpkg = ["--root-owner-group", `-Z${compression}`, "--build", root, resolve(made)];
    await promisify(execFile)("dpkg-deb", dpkg, { env: { ...process.env, SOURCE_DATE_EPOCH: String(date) } });
    return made;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function filesOf({ version, architecture, date }: PackageOptions): Promise<PackageFile[]> {
  const node = await nodeFor(architecture);
  const installation = { node: `/${lib}/node`, programs: `/${lib}` };
  const programs = (await readdir("agent/dist")).filter((name) => /\.(?:mjs|js|css|svg)$/.test(name));
  const { env, stdin, stdout, stderr } = process;
  const command = createProgram({ env, stdin, stdout, stderr, now: () => date * 1000 }, version, () => undefined);
  const license = (await readFile("LICENSE", "utf8")).trim().split("\n").slice(4);
  const folded = license.map((line) => ` ${line === "" ? "." : line}\n`).join("");
  return [
    { ...local(`${lib}/node`, node.program), mode: 0o755 },
    ...programs.map((name) => local(`${lib}/${name}`, `agent/dist/${name}`)),
    { ...text("usr/bin/cutover", renderCommand("cutover.mjs")), mode: 0o755 },
    ...installedFiles(installation, packagePlaces).map(({ path, text: content }) => text(path.slice(1), content)),
    text("etc/apt/apt.conf.d/50cutover-agent", renderAptConf()),
    zipped("usr/share/man/man8/cutover.8.gz", renderManPage(command, { section: 8, version })),
    zipped(`usr/share/man/man8/${packageName}.8.gz`, await readFile("agent/packaging/debian/cutover-agent.8", "utf8")),
    ...settingsPages.map((page) =>
      zipped(`usr/share/man/man5/${page.name}.5.gz`, renderSettingsPage({ ...page, version })),
    ),
    text(`${doc}/copyright`, `${await readFile("agent/packaging/debian/copyright", "utf8")}License: MIT\n${folded}`),
    zipped(`${doc}/changelog.gz`, renderChangelog(version, date)),
    zipped(`${doc}/licenses.gz`, await bundledLicenses(node.license)),
  ];
}

function text(path: string, content: string): PackageFile {
  return { path, mode: 0o644, content: { text: content } };
}

function local(path: string, file: string): PackageFile {
  return { path, mode: 0o644, content: { file } };
}

function zipped(path: string, content: string): PackageFile {
  return { path, mode: 0o644, content: { text: gzipSync(content, { level: 9 }) } };
}

async function put(root: string, { path, mode, content }: PackageFile): Promise<void> {
  const target = join(root, path);
  await mkdir(dirname(target), { recursive: true, mode: 0o755 });
  if ("file" in content) await copyFile(content.file, target);
  else await writeFile(target, content.text);
  await chmod(target, mode);
}

async function sizeOf(root: string, files: PackageFile[]): Promise<number> {
  const sizes = await Promise.all(files.map(async ({ path }) => (await stat(join(root, path))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** `dpkg --verify` compares files with these. */
async function md5sums(root: string, files: PackageFile[]): Promise<string> {
  const lines = files
    .filter(({ path }) => !path.startsWith("etc/"))
    .map(async ({ path }) => {
      const digest = createHash("md5").update(await readFile(join(root, path)));
      return `${digest.digest("hex")}  ${path}\n`;
    });
  return (await Promise.all(lines)).join("");
}

async function setTimes(root: string, date: number): Promise<void> {
  const names = await readdir(root, { recursive: true });
  for (const path of [root, ...names.map((name) => join(root, name))]) {
    // With another umask the directories would have other modes, and the package other bytes.
    if ((await stat(path)).isDirectory()) await chmod(path, 0o755);
    await utimes(path, date, date);
  }
}
