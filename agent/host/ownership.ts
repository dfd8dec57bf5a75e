import { CutoverError } from "../../shared/errors.ts";
import { effect } from "../effects.ts";
import { runTool } from "./run-tool.ts";

/**
 * Gives a tree to a user. With the host's chown, which follows no link, not even one that is put in its way while it runs.
 */
export async function giveTree(path: string, { uid, gid }: { uid: number; gid: number }): Promise<void> {
  await effect("tree.give", () => tool("chown", ["-hR", `${uid}:${gid}`, "--", path]), path);
}

/** Takes a tree back to root, readable for all and writable for nobody else. */
export async function sealTree(path: string): Promise<void> {
  await giveTree(path, { uid: 0, gid: 0 });
  // Also set-user-id bits that the app's user may have left behind.
  await effect("tree.seal", () => tool("chmod", ["-R", "a+rX,go-w,a-st", "--", path]), path);
}

async function tool(program: string, args: string[]): Promise<void> {
  const { code, stderr } = await runTool(program, args);
  if (code !== 0) throw new CutoverError("internal", `${program} failed: ${stderr.trim().slice(-500)}`);
}
