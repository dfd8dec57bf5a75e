import { asCutoverError, CutoverError, type ErrorCode } from "../../shared/errors.ts";
import { toProblem } from "../../shared/problem.ts";
import type { Problem } from "../../shared/protocol.ts";

/** The one place where an error's code becomes an HTTP status. */
export const statuses: Record<ErrorCode, number> = {
  input_invalid: 400,
  config_not_found: 400,
  config_not_yaml: 400,
  config_invalid: 400,
  kind_unknown: 422,
  server_app_not_found: 422,
  symlink_outside: 422,
  file_changed: 422,
  path_not_allowed: 422,
  collect_failed: 422,
  requirements_invalid: 422,
  wheels_failed: 422,
  wheels_unfit: 422,
  python_not_found: 422,
  runner_unsupported: 422,
  signing_key_invalid: 400,
  id_token_unavailable: 400,
  file_exists: 409,
  agent_unreachable: 502,
  agent_incompatible: 502,
  timed_out: 408,
  unauthorized: 401,
  forbidden: 403,
  too_many_calls: 429,
  request_invalid: 400,
  bundle_invalid: 422,
  bundle_truncated: 422,
  bundle_altered: 422,
  bundle_too_long: 422,
  bundle_unexpected_entry: 422,
  bundle_too_large: 413,
  manifest_invalid: 422,
  manifest_mismatch: 403,
  base_unusable: 409,
  host_settings_invalid: 500,
  setup_impossible: 500,
  environment_invalid: 400,
  disk_full: 507,
  files_denied: 500,
  listen_not_allowed: 403,
  domain_not_allowed: 403,
  domain_taken: 409,
  address_in_use: 409,
  ports_not_allowed: 403,
  port_taken: 409,
  ports_exhausted: 503,
  peer_not_allowed: 403,
  certificate_missing: 403,
  certificate_failed: 502,
  socket_path_too_long: 500,
  app_not_found: 404,
  app_exists: 409,
  app_held: 423,
  state_unreadable: 423,
  release_not_found: 404,
  release_exists: 409,
  older_than_live: 409,
  deployment_not_found: 404,
  deployment_in_progress: 409,
  already_cut_over: 409,
  nothing_live: 409,
  not_live: 409,
  nothing_to_roll_back_to: 409,
  aborted: 409,
  canary_impossible: 409,
  canary_failed: 422,
  watch_failed: 422,
  visitors_failed: 422,
  environment_failed: 422,
  shared_failed: 422,
  release_command_failed: 422,
  instance_died: 422,
  health_failed: 422,
  health_timeout: 422,
  supervisor_unreachable: 503,
  supervisor_config_broken: 503,
  nginx_config_broken: 503,
  nginx_unreachable: 503,
  helper_unreachable: 503,
  helper_refused: 500,
  agent_stopping: 503,
  internal: 500,
};

/**
 * The answer to a caller for an error. For an unexpected error it says only where to look: the error's text may hold
 * anything, and the log has it with its cause.
 */
export function problemOf(thrown: unknown, reference: string): Problem {
  const known = asCutoverError(thrown);
  if (known.code !== "internal") return toProblem(known, statuses[known.code]);
  const error = new CutoverError("internal", `The agent had an unexpected error (${reference}).`, {
    fix: `Search for ${reference} in the agent's log on the host.`,
  });
  return toProblem(error, statuses.internal);
}

/** A problem document (RFC 9457). Its status may differ from the usual one of its code, as 404 does for an unknown path. */
export function problemResponse(problem: Problem, headers: Record<string, string> = {}): Response {
  return new Response(`${JSON.stringify(problem)}\n`, {
    status: problem.status,
    headers: { "content-type": "application/problem+json", "cache-control": "no-store", ...headers },
  });
}
