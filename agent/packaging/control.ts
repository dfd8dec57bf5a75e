/** One file of the package. */
export interface PackageFile {
  /** The path on the host, without the leading slash. */
  path: string;
  mode: number;
  content: { text: string | Buffer } | { file: string };
}

export const packageName = "cutover-agent";

const description = `takes releases of Python web apps and moves the traffic to them
 cutover deploys Python web apps from a GitHub workflow to plain hosts without
 a failed request. This is the program on the host: it verifies a signed bundle,
 starts the new release under supervisor while the old one serves, waits until
 the new one is healthy, and moves nginx to it. It includes Node.js.`;

export interface ControlInput {
  version: string;
  architecture: string;
  /** KiB. */
  installedSize: number;
}

/** A pre-release in Debian's order: 1.0.0~rc.1 comes before 1.0.0, while 1.0.0-rc.1 would come after it. */
function debianVersion(version: string): string {
  return version.replace("-", "~");
}

export function renderControl({ version, architecture, installedSize }: ControlInput): string {
  return `Package: ${packageName}
Version: ${debianVersion(version)}
Architecture: ${architecture}
Maintainer: The cutover authors <cutover@users.noreply.github.com>
Installed-Size: ${installedSize}
Depends: libc6 (>= 2.28), libstdc++6 (>= 9), init-system-helpers (>= 1.54), systemd (>= 247), default-dbus-system-bus | dbus-system-bus, nginx | openresty, supervisor, python3-venv, acl
Section: admin
Priority: optional
Homepage: https://github.com/cutover/cutover
Description: ${description}
`;
}

/**
 * What the live apps run with, so that `apt autoremove` leaves it when the agent is removed: apt has installed it only for the
 * agent. libstdc++6 is for the node that starts them. A conffile stays until the purge, which removes the apps too. An upgrade of the distribution leaves the Python of the
 * environments that exist.
 */
export function renderAptConf(): string {
  const kept = ["nginx", "openresty", "supervisor", "python3[.][0-9]+", "libstdc[+][+]6"];
  return `// What the apps of cutover run with. \`apt purge cutover-agent\` removes this file.
APT::NeverAutoRemove {
${kept.map((name) => `  "^${name}$";\n`).join("")}};
`;
}

/** If an administrator has edited these files, dpkg asks before it overwrites them. */
export function renderConffiles(files: PackageFile[]): string {
  const paths = files.map(({ path }) => path).filter((path) => path.startsWith("etc/"));
  return paths.map((path) => `/${path}\n`).join("");
}

/** @param date seconds since the epoch */
export function renderChangelog(version: string, date: number): string {
  const rfc2822 = new Date(date * 1000).toUTCString().replace("GMT", "+0000");
  return `${packageName} (${debianVersion(version)}) stable; urgency=medium

  * See CHANGELOG.md: https://github.com/cutover/cutover/blob/main/CHANGELOG.md

 -- The cutover authors <cutover@users.noreply.github.com>  ${rfc2822}
`;
}

/** A command in /usr/bin, which runs a program below /usr/lib. */
export function renderCommand(program: string): string {
  return `#!/bin/sh
exec /usr/lib/cutover/node /usr/lib/cutover/${program} "$@"
`;
}
