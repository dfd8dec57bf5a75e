import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { repository, systemPath } from "../../harness/places.ts";
import { runProgram } from "../../harness/run.ts";
import { Scratch } from "../../harness/scratch.ts";

const root = process.geteuid?.() === 0;

test.runIf(root).each(["mkdir -p", "mkfifo", "ln -s /nowhere"])(
  "T6 postinst goes on where the agent has something else than the old socket (%s)",
  async (make) => {
    await using scratch = new Scratch("postinst");
    // No tool that would look at this machine's units.
    symlinkSync("/usr/bin/rm", join(scratch.path, "rm"));
    const script = `mount -t tmpfs tmpfs /run && mkdir /run/cutover && ${make} /run/cutover/helper.sock &&
      PATH=${scratch.path} /bin/sh ${join(repository, "agent/packaging/debian/postinst")} abort-remove && ls -A /run/cutover`;
    const { code, stdout } = await runProgram(["unshare", "--mount", "sh", "-c", script], {
      env: { PATH: systemPath },
    });
    expect([code, stdout]).toEqual([0, ""]);
  },
);
