/**
 * Every error that a person can meet has one of these codes. `npm run build:docs` lists them in shared/README.md.
 * A code is never renamed: people search for it, and scripts compare it.
 */
export const errorCodes = {
  // The project and its workflow (raised by the Action)
  input_invalid: "An input of the Action is missing or wrong.",
  config_not_found: "The project has no cutover.yml at the expected path.",
  config_not_yaml: "cutover.yml is not YAML.",
  config_invalid: "cutover.yml has unknown keys, wrong types or impossible pairs.",
  kind_unknown: "cutover.yml names no server.kind, and the project's files do not show which one it needs.",
  server_app_not_found: "The project does not contain what server.app names.",
  symlink_outside: "A symlink in the project leaves the project.",
  file_changed: "A file changed while it was being packed.",
  path_not_allowed: "A file's path cannot be put into a bundle.",
  collect_failed: "The command that collects static files failed.",
  requirements_invalid: "What python.requirements names cannot be read, or names what pip cannot install.",
  wheels_failed: "pip could not get or build the wheels for the requirements.",
  wheels_unfit: "The packed wheels do not fit a host's glibc, Python or processor.",
  python_not_found: "The Python interpreter that the configuration names is not on this machine.",
  runner_unsupported: "The job runs on a system for which cutover cannot pack.",
  signing_key_invalid: "The signing key cannot be read.",
  id_token_unavailable: "GitHub gave the workflow no ID token.",
  file_exists: "The file exists already, and is not overwritten.",
  // The connection to the host
  agent_unreachable: "No agent answers at this address.",
  agent_incompatible: "What answers at this address is not an agent of a version that this Action can talk to.",
  timed_out: "The time limit was reached.",
  unauthorized: "The agent refused the token.",
  forbidden: "The token is genuine, but it does not allow this call.",
  too_many_calls: "Too many calls, or refused tokens, came from one address.",
  request_invalid: "The request has a wrong path, query or body.",
  // The bundle
  bundle_invalid: "The body is not a bundle that cutover reads.",
  bundle_truncated: "The bundle ended early.",
  bundle_altered: "A file in the bundle differs from the manifest.",
  bundle_too_long: "The bundle continues after its last file.",
  bundle_unexpected_entry: "The bundle has an entry that the manifest does not list at that position.",
  bundle_too_large: "The bundle is larger than the host allows.",
  manifest_invalid: "The manifest does not follow the format.",
  manifest_mismatch: "The manifest is not the one that the token was signed for.",
  base_unusable: "The host no longer has the files that a thin bundle leaves out.",
  // The host
  host_settings_invalid: "A settings file of the host is wrong.",
  setup_impossible: "This host cannot be set up as it is.",
  environment_invalid: "A variable cannot be put into the app's environment file.",
  disk_full: "The host, or the runner that packs the bundle, has too little free disk space.",
  files_denied: "The host's files cannot be used: a permission is missing, or their disk is read-only or fails.",
  listen_not_allowed: "The host does not allow this app to listen on the address that it asks for.",
  domain_not_allowed: "The host does not allow this app to serve the domain that it asks for.",
  domain_taken: "Another app of the host already answers to this domain at the same address.",
  address_in_use: "Another program already listens on the site's address.",
  ports_not_allowed: "The host does not allow this app to run instances on ports.",
  port_taken: "A process of another user listens on the port of an instance.",
  ports_exhausted: "The app's range of ports has too few free ports.",
  peer_not_allowed: "The host does not allow this app to pass requests to that server.",
  certificate_missing: "The host has no certificate for an address that uses ssl.",
  certificate_failed: "The certificate authority gave no certificate, or the host cannot use what it gave.",
  socket_path_too_long: "A socket path would be longer than the kernel allows.",
  app_not_found: "The host has no such app.",
  app_exists: "The host already has an app of this name.",
  app_held: "The app takes no deployments until an operator has repaired it.",
  state_unreadable: "The app's state file is missing, damaged or of a newer agent, so the app takes no deployments.",
  release_not_found: "The host does not have this release, or its deployment failed or has not ended.",
  release_exists: "The host already has a release with this id, from this bundle or from another one.",
  older_than_live: "A later run of the same workflow has brought the live release.",
  deployment_not_found: "The agent has no such deployment.",
  deployment_in_progress: "Another deployment of this app is running, or keeps the app for its activation.",
  already_cut_over: "The deployment has cut over or has ended, so it can no longer be aborted.",
  nothing_live: "The app has no live release.",
  not_live: "The release is no longer live.",
  nothing_to_roll_back_to: "There is no good release before the live one.",
  aborted: "The deployment was aborted before the cutover.",
  canary_impossible: "This release cannot get a part of the traffic.",
  canary_failed:
    "An instance of the canary failed its checks or was restarted, or `canary-check` failed. Its traffic went back to the live release.",
  watch_failed: "The release failed during the watch after the cutover.",
  visitors_failed: "More of the release's visitors got an error, or they waited longer, than with the release before.",
  // Building, starting, moving
  environment_failed: "pip could not install the requirements on the host.",
  shared_failed: "What the project starts with could not be put into the app's shared directory.",
  release_command_failed: "The release command failed.",
  instance_died: "A new instance or process ended while it was starting.",
  health_failed: "A new instance answered its health check with an unexpected status.",
  health_timeout: "A new instance did not answer its health check in time.",
  supervisor_unreachable: "supervisord does not answer.",
  supervisor_config_broken: "supervisord cannot read its configuration.",
  nginx_config_broken: "nginx refuses its configuration.",
  nginx_unreachable: "nginx is not running or could not be reloaded.",
  helper_unreachable: "The helper, which does the agent's work as root, does not answer.",
  helper_refused: "The helper refused a request of the agent.",
  agent_stopping: "The agent is shutting down.",
  internal: "An unexpected error inside cutover.",
} as const;

export type ErrorCode = keyof typeof errorCodes;

/** What shows the cause: an instance's last log lines, pip's message, the health check's response. Untrusted text. */
export interface Evidence {
  source: string;
  text: string;
}

export interface ErrorParts {
  /** What did not change: it answers whether the site is still up. */
  unchanged?: string;
  /** What to do, with the next command. */
  fix?: string;
  evidence?: Evidence[];
  /** Where in the project the cause is, for an annotation. `file` is relative to the project. */
  frame?: { file: string; line: number };
  cause?: unknown;
}

/** The one error class: a stable code, what happened (message), what did not change, what to do. */
export class CutoverError extends Error {
  override readonly name = "CutoverError";
  readonly code: ErrorCode;
  readonly unchanged: string | undefined;
  readonly fix: string | undefined;
  readonly evidence: Evidence[];
  readonly frame: ErrorParts["frame"];

  constructor(code: ErrorCode, message: string, parts: ErrorParts = {}) {
    super(message, parts.cause === undefined ? undefined : { cause: parts.cause });
    this.code = code;
    this.unchanged = parts.unchanged;
    this.fix = parts.fix;
    this.evidence = parts.evidence ?? [];
    this.frame = parts.frame;
  }
}

/**
 * Wraps what a library or the system threw, unless it is a CutoverError already.
 * @param machine where this program runs: on a host, or on the runner of the workflow
 */
export function asCutoverError(thrown: unknown, machine: "host" | "runner" = "host"): CutoverError {
  if (thrown instanceof CutoverError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const { code } = (thrown as NodeJS.ErrnoException | null) ?? {};
  if (machine === "runner" && (code === "ENOSPC" || code === "EDQUOT")) {
    return new CutoverError("disk_full", `The runner's disk is full: ${message}.`, {
      unchanged: "What is live on the hosts was not changed.",
      fix: "Free disk space on the runner: the bundle is written to RUNNER_TEMP, wheels to .cutover in the project.",
      cause: thrown,
    });
  }
  if (machine === "host") {
    const denied = filesDenied(thrown as NodeJS.ErrnoException);
    if (denied !== undefined) return denied;
  }
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new CutoverError("disk_full", "The disk is full.", {
      fix: "Free disk space on the host, or inodes: `df -h` and `df -i` show which is used up. Or lower `keep`. Then run it again.",
      cause: thrown,
    });
  }
  return new CutoverError("internal", message, {
    fix: "This is a bug in cutover, or a fault of the machine. Please report it with the log.",
    cause: thrown,
  });
}

/** What a person must mend on the host, and no program can. `cutover doctor` walks the directories. */
const denials: Record<string, { how: string; fix: string }> = {
  EROFS: {
    how: "its file system is read-only",
    fix: "Linux makes a file system read-only when its disk fails: `dmesg` says so. Otherwise `findmnt` shows who mounted it so. Then `cutover doctor`.",
  },
  // So Node tells of a read-only disk when it makes a directory with those above it.
  ENOENT: {
    how: "its file system is read-only, or what should be mounted there is not",
    fix: "`findmnt` on the host shows the mounts, and `cutover doctor` says which one is read-only.",
  },
  EIO: { how: "its disk fails", fix: "Read `dmesg` on the host, and replace the disk." },
  EACCES: {
    how: "this user may not",
    fix: "A command that changes the host's settings needs root (`sudo`). If the agent may not: `cutover doctor` on the host, as root, names what is closed, and the command that opens it.",
  },
};

/** @returns undefined for everything that is no refusal of a file by the system */
function filesDenied(error: NodeJS.ErrnoException): CutoverError | undefined {
  const { code = "", path, syscall } = error;
  const denial = denials[code];
  // Of a write the system names no file.
  if (denial === undefined || (path === undefined && code === "EACCES")) return undefined;
  if (code === "ENOENT" && syscall !== "mkdir") return undefined;
  return new CutoverError("files_denied", `${path ?? "A file"} cannot be used (${syscall}): ${denial.how}.`, {
    fix: denial.fix,
    cause: error,
  });
}
