import { CutoverError } from "../../shared/errors.ts";

/** @param path in the bundle, or in the project */
export function changed(path: string): CutoverError {
  return new CutoverError("file_changed", `${path} changed while it was being packed.`, {
    unchanged: "Nothing was sent.",
    fix: "Let no other process write to the project during this step, then run it again.",
  });
}

/** Explains what reading a file or a directory threw. One that was there a moment ago and is missing now has changed. */
export function unreadable(path: string, thrown: unknown): CutoverError {
  if (thrown instanceof CutoverError) return thrown;
  const { code, message } = thrown as NodeJS.ErrnoException;
  if (code === "ENOENT" || code === "ELOOP" || code === "ENOTDIR") return changed(path);
  return new CutoverError("path_not_allowed", `${path} cannot be read: ${code ?? message}.`, {
    unchanged: "Nothing was sent.",
    fix: "Make it readable for the job's user, or leave it out with `exclude` in cutover.yml.",
    cause: thrown,
  });
}

/** Reads something of the project. @throws CutoverError file_changed, path_not_allowed */
export function reading<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (thrown) {
    throw unreadable(path, thrown);
  }
}
