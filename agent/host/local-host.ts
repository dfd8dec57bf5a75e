import { ReleaseDirectories } from "./bundle/releases.ts";
import { LocalPrivileged, type LocalPrivilegedOptions } from "./privileged.ts";
import { PythonEnvironments } from "./python/environments.ts";
import { SupervisorLogs } from "./supervisor/instance-logs.ts";
import { launcherFile } from "./supervisor/launch-files.ts";

/** All parts that act on this host as the user of this process. The helper's main.ts and an agent without a helper use it. */
export function localHost(options: Omit<LocalPrivilegedOptions, "launcher">) {
  const { data, limits, python_path: pythonPath, supervisor } = options.settings;
  const privileged = new LocalPrivileged({ ...options, launcher: launcherFile() });
  return {
    privileged,
    environments: new PythonEnvironments({
      ...{ data, pythonPath },
      runStep: privileged.stepRunner(),
      owner: privileged.buildOwner(),
      limits: { bytes: limits.environment, files: limits.environment_files },
    }),
    releases: new ReleaseDirectories({ data, limits, readOnly: options.ownUser ?? false }),
    logs: new SupervisorLogs(data, supervisor.conf_dir),
  };
}
