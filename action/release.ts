import { newReleaseId } from "../shared/names.ts";
import { childEnvironment, type Exec } from "./exec.ts";

const commitPattern = /^[0-9a-f]{40}$/;

/** The commit that is packed: GITHUB_SHA, or what git says of the project; empty where neither knows one. */
export async function findCommit(directory: string, env: NodeJS.ProcessEnv, exec: Exec, signal: AbortSignal) {
  if (commitPattern.test(env.GITHUB_SHA ?? "")) return env.GITHUB_SHA ?? "";
  const argv = ["git", "rev-parse", "--verify", "HEAD"];
  try {
    const { code, stdout } = await exec({ argv, cwd: directory, env: childEnvironment(env), signal });
    return code === 0 && commitPattern.test(stdout.trim()) ? stdout.trim() : "";
  } catch {
    signal.throwIfAborted();
    return "";
  }
}

/** When the release is made: SOURCE_DATE_EPOCH (seconds), for builds that must come out the same, or now. */
export function releaseTime(env: NodeJS.ProcessEnv, now: number): Date {
  const epoch = env.SOURCE_DATE_EPOCH ?? "";
  return new Date(/^\d{1,12}$/.test(epoch) ? Number(epoch) * 1000 : now);
}

/** @param contentHash hex digits that stand in where there is no commit */
export function releaseIdFor(made: Date, commit: string, contentHash: string): string {
  return newReleaseId(made, commit === "" ? contentHash : commit);
}
