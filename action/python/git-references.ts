import { withoutSecrets } from "../runner/secrets.ts";
import type { PythonContext } from "./interpreter.ts";

/** A requirement that names a repository, and no commit of it: `git+https://host/lib@main`. */
export interface GitReference {
  /** As git takes it. */
  repository: string;
  /** A branch or a tag; HEAD if none is named. */
  reference: string;
}

/** undefined for what is no git address, or names a commit. */
export function gitReference(requirement: string): GitReference | undefined {
  const [, address = ""] = /(?:^|\s|@)git\+(\S+)/.exec(requirement) ?? [];
  const [place = ""] = address.split("#");
  const parts = /^([a-z][a-z0-9+.-]*:\/\/(?:[^/]*@)?[^/@]*\/[^@]*)(?:@(.+))?$/i.exec(place);
  if (parts === null) return undefined;
  const [, repository = "", reference = "HEAD"] = parts;
  return /^[0-9a-f]{40}$/.test(reference) ? undefined : { repository, reference };
}

/**
 * The commits that the references lead to now.
 * @returns undefined if one of them cannot be asked
 */
export async function currentCommits(
  references: GitReference[],
  context: PythonContext,
): Promise<string[] | undefined> {
  const commits: string[] = [];
  for (const { repository, reference } of references) {
    const commit = await commitOf(repository, reference, context);
    if (commit === undefined) return undefined;
    commits.push(`${repository} ${reference} ${commit}`);
  }
  return commits;
}

async function commitOf(repository: string, reference: string, { directory, env, exec, signal }: PythonContext) {
  // Nobody could answer a question for a password.
  const child = { ...withoutSecrets(env), GIT_TERMINAL_PROMPT: "0" };
  const argv = ["git", "ls-remote", "--", repository, reference, `${reference}^{}`];
  const { ok, stdout } = await exec({ argv, cwd: directory, env: child, signal });
  if (!ok) return undefined;
  const lines = stdout.split("\n").flatMap((line) => {
    const [commit = "", name = ""] = line.split("\t");
    return /^[0-9a-f]{40}$/.test(commit) ? [{ commit, name }] : [];
  });
  // git also lists names that end alike, such as refs/heads/next/main. What an annotated tag leads to comes before the tag.
  const names = [`refs/heads/${reference}`, `refs/tags/${reference}^{}`, `refs/tags/${reference}`, reference];
  return names
    .map((wanted) => lines.find(({ name }) => name === wanted)?.commit)
    .find((commit) => commit !== undefined);
}
