import { CutoverError } from "../../../shared/errors.ts";
import { runTool } from "../exec/run-tool.ts";

export interface Owner {
  uid: number;
  gid: number;
}

/**
 * Removes a tree. By the host's rm, which opens each directory from the one above it: Node's own rm could be led elsewhere
 * by a link that is swapped in while it runs. No error if nothing is there.
 * @throws CutoverError internal
 */
export async function removeTree(path: string): Promise<void> {
  const { code, stderr } = await runTool("rm", ["-rf", "--", path], { timeoutMs: 10 * 60_000 });
  if (code !== 0) throw new CutoverError("internal", `${path} could not be removed: ${stderr.trim().slice(-500)}`);
}
