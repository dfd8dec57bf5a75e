import { CutoverError } from "../../../shared/errors.ts";
import { runTool } from "../exec/run-tool.ts";

export interface Owner {
  uid: number;
  gid: number;
}

const timeoutMs = 10 * 60_000;

/**
 * Removes a tree. By the host's rm, which opens each directory from the one above it: Node's own rm could be led elsewhere
 * by a link that is swapped in while it runs. No error if nothing is there.
 * @throws CutoverError internal
 */
export async function removeTree(path: string): Promise<void> {
  // In embedded mode the directories of a release are read-only, also for their owner. Its files stay so: others share them.
  const writable = [path, "-type", "d", "-exec", "chmod", "u+w", "{}", "+"];
  if (process.geteuid?.() !== 0) await runTool("find", writable, { timeoutMs });
  const { code, stderr } = await runTool("rm", ["-rf", "--", path], { timeoutMs });
  if (code !== 0) throw new CutoverError("internal", `${path} could not be removed: ${stderr.trim().slice(-500)}`);
}
