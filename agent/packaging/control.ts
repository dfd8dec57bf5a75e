/** One file of the package. */
export interface PackageFile {
  /** Where it goes, from the root without the first slash. */
  path: string;
  mode: number;
  content: { text: string | Buffer } | { file: string };
}

export const packageName = "cutover-agent";

const description = `takes releases of Python web apps and moves the traffic to them
 cutover puts Python web apps on plain hosts from a GitHub workflow without a
 failed request. This is the program on the host: it verifies a signed bundle,
 starts the new release beside the old one under supervisor, waits until it is
 healthy, and moves nginx to it. Node.js is in it.`;

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
Depends: libc6 (>= 2.28), libstdc++6 (>= 9), init-system-helpers (>= 1.54), systemd (>= 247), default-dbus-system-bus | dbus-system-bus, nginx | openresty, supervisor, python3-venv, python3-pip
Section: admin
Priority: optional
Homepage: https://github.com/cutover/cutover
Description: ${description}
`;
}

/** dpkg asks before it overwrites these, where an administrator has edited them. */
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

/** A name for sh; the libraries' files lie beside it. */
export function renderCommand(program: string): string {
  return `#!/bin/sh
exec /usr/lib/cutover/node /usr/lib/cutover/${program} "$@"
`;
}
