import {
  agentUnit,
  helperSocketUnit,
  helperUnit,
  type Installation,
  renderAgentUnit,
  renderAgentYml,
  renderHelperSocket,
  renderHelperUnit,
  renderSysusers,
  renderTmpfiles,
} from "./units.ts";

/** Where a host keeps such files: those of a package below /usr/lib, those of an administrator below /etc. */
export interface InstallPlaces {
  units: string;
  sysusers: string;
  tmpfiles: string;
}

export const packagePlaces: InstallPlaces = {
  units: "/usr/lib/systemd/system",
  sysusers: "/usr/lib/sysusers.d",
  tmpfiles: "/usr/lib/tmpfiles.d",
};

export const localPlaces: InstallPlaces = {
  units: "/etc/systemd/system",
  sysusers: "/etc/sysusers.d",
  tmpfiles: "/etc/tmpfiles.d",
};

export interface InstalledFile {
  path: string;
  text: string;
  /** The host's owner edits it: it is written only if there is none. */
  owners: boolean;
}

/** The files of an installation, without the programs. The Debian package and `cutover setup` write the same ones. */
export function installedFiles(
  installation: Installation,
  { units, sysusers, tmpfiles }: InstallPlaces,
): InstalledFile[] {
  const ours = (path: string, text: string): InstalledFile => ({ path, text, owners: false });
  return [
    ours(`${units}/${agentUnit}`, renderAgentUnit(installation)),
    ours(`${units}/${helperSocketUnit}`, renderHelperSocket()),
    ours(`${units}/${helperUnit}`, renderHelperUnit(installation)),
    ours(`${sysusers}/cutover-agent.conf`, renderSysusers()),
    ours(`${tmpfiles}/cutover-agent.conf`, renderTmpfiles()),
    { path: "/etc/cutover/agent.yml", text: renderAgentYml(), owners: true },
  ];
}
