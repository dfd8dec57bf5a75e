/**
 * Every error that a person can meet has one of these codes. The README lists them; a test holds the two together.
 * A code is never renamed: people search for it, and scripts compare it.
 */
export const errorCodes = {
  // The project and its workflow (raised by the Action)
  input_invalid: "An input of the Action is missing or wrong.",
  config_not_found: "There is no cutover.yml where it was looked for.",
  config_not_yaml: "cutover.yml is not YAML.",
  config_invalid: "cutover.yml has unknown keys, wrong types or impossible pairs.",
  kind_unknown: "cutover.yml names no server.kind, and the project does not tell it.",
  server_app_not_found: "The project does not contain what server.app names.",
  symlink_outside: "A symlink in the project leaves the project.",
  file_changed: "A file changed while it was being packed.",
  path_not_allowed: "A file's path cannot be put into a bundle.",
  collect_failed: "The command that collects static files failed.",
  wheels_failed: "pip could not get or build the wheels for the requirements.",
  python_not_found: "The Python interpreter that the configuration names is not on this machine.",
  signing_key_invalid: "The signing key cannot be read.",
  id_token_unavailable: "GitHub gave the workflow no ID token.",
  file_exists: "A file is already there, and is not overwritten.",
  // The way to the host
  agent_unreachable: "No agent answers at this address.",
  agent_incompatible: "What answers there is not an agent of a version that this Action can talk to.",
  timed_out: "The time limit was reached.",
  unauthorized: "The agent refused the token.",
  forbidden: "The token is genuine, but it does not allow this call.",
  too_many_calls: "Too many calls, or refused tokens, came from one address.",
  request_invalid: "The request has a wrong path, query or body.",
  // The bundle
  bundle_invalid: "The body is not a bundle that cutover reads.",
  bundle_truncated: "The bundle ended early.",
  bundle_altered: "A file in the bundle differs from the manifest.",
  bundle_too_long: "The bundle goes on after its last file.",
  bundle_unexpected_entry: "The bundle holds an entry that the manifest does not have at that place.",
  bundle_too_large: "The bundle is larger than the host allows.",
  manifest_invalid: "The manifest does not obey the format.",
  manifest_mismatch: "The manifest is not the one that the token was signed for.",
  base_unusable: "The host does not have what a thin bundle leaves out.",
  // The host
  host_settings_invalid: "A settings file of the host is wrong.",
  setup_impossible: "This host cannot be set up as it is.",
  environment_invalid: "A variable cannot be put into the app's environment file.",
  disk_full: "The host has too little free disk.",
  listen_not_allowed: "The host does not allow this app the address that it asks for.",
  domain_not_allowed: "The host does not allow this app the domain that it asks for.",
  address_in_use: "Another program listens where the site wants to.",
  ports_not_allowed: "The host does not allow this app instances on ports.",
  ports_exhausted: "The app's range of ports has too few free ones.",
  peer_not_allowed: "The host does not allow this app to pass requests to that server.",
  certificate_missing: "The host has no certificate for an address with ssl.",
  socket_path_too_long: "A socket path would be longer than the kernel allows.",
  app_not_found: "The host has no such app.",
  app_exists: "The host already has an app of this name.",
  app_held: "The app takes no deployments until a person has looked at it.",
  state_unreadable: "The app's state file is gone, torn or of a newer agent, so the app takes no deployments.",
  release_not_found: "The host does not have this release.",
  release_exists: "The host has another release with this id.",
  deployment_not_found: "The agent knows no such deployment.",
  deployment_in_progress: "Another deployment of this app is running.",
  already_cut_over: "The deployment has cut over, so it can no longer be aborted.",
  nothing_live: "The app has no live release.",
  not_live: "The release is not the live one any more.",
  nothing_to_roll_back_to: "There is no good release before the live one.",
  aborted: "The deployment was aborted before the cutover.",
  canary_impossible: "The release cannot have a part of the traffic.",
  canary_failed: "The canary did not answer its health check, and the traffic went back.",
  watch_failed: "The release failed while it was watched after the cutover.",
  // Building, starting, moving
  environment_failed: "pip could not install the requirements on the host.",
  release_command_failed: "The release command failed.",
  instance_died: "A new instance ended while it was starting.",
  health_failed: "A new instance answered its health check with an unexpected status.",
  health_timeout: "A new instance did not answer its health check in time.",
  supervisor_unreachable: "supervisord does not answer.",
  supervisor_config_broken: "supervisord cannot read its configuration.",
  nginx_config_broken: "nginx refuses its configuration.",
  nginx_unreachable: "nginx is not running or could not be reloaded.",
  helper_unreachable: "The agent's helper, which acts as root, does not answer.",
  helper_refused: "The helper refused what the agent asked of it.",
  agent_stopping: "The agent is shutting down.",
  internal: "cutover met a condition that it did not expect.",
} as const;

export type ErrorCode = keyof typeof errorCodes;

/** What backs an error: the instance's last log lines, pip's own message, the health response. Untrusted text. */
export interface Evidence {
  source: string;
  text: string;
}

export interface ErrorParts {
  /** What did not change, for the person who wonders whether the site is still up. */
  unchanged?: string;
  /** What to do about it. */
  fix?: string;
  evidence?: Evidence[];
  cause?: unknown;
}

/** The one error class: a stable code, what happened (message), what did not change, what to do. */
export class CutoverError extends Error {
  override readonly name = "CutoverError";
  readonly code: ErrorCode;
  readonly unchanged: string | undefined;
  readonly fix: string | undefined;
  readonly evidence: Evidence[];

  constructor(code: ErrorCode, message: string, parts: ErrorParts = {}) {
    super(message, parts.cause === undefined ? undefined : { cause: parts.cause });
    this.code = code;
    this.unchanged = parts.unchanged;
    this.fix = parts.fix;
    this.evidence = parts.evidence ?? [];
  }
}

/** Wraps what was thrown by a library or the system, unless it is one of ours already. */
export function asCutoverError(thrown: unknown): CutoverError {
  if (thrown instanceof CutoverError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  if ((thrown as NodeJS.ErrnoException | null)?.code === "ENOSPC") {
    return new CutoverError("disk_full", "The disk is full.", {
      fix: "Free disk space on the host, or lower `keep`, then run it again.",
      cause: thrown,
    });
  }
  return new CutoverError("internal", message, {
    fix: "This is a defect of cutover, or of the machine. Please report it with the log.",
    cause: thrown,
  });
}
