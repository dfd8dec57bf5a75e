import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { groupSharers } from "../../../agent/host/ownership/own-group.ts";
import { HelperHost } from "../../harness/helper-host.ts";
import { cutoverProgram, node, systemPath } from "../../harness/places.ts";
import { runProgram } from "../../harness/run.ts";
import { idsOf, users } from "../../harness/two-processes.ts";

/** T9: `nobody` has the group `nogroup`, which other users of a Debian host have too; so it could read launch files. */
let host: HelperHost;

beforeAll(async () => {
  host = await HelperHost.open();
  host.writeApp("shared", { user: "nobody" });
});
afterAll(() => host?.[Symbol.asyncDispose]());

describe("T9 an app whose user has a primary group that others have", () => {
  test("is not prepared, and is told the command that mends it", async () => {
    const talk = host.talk();
    const { error } = await talk.ask("prepareApp", { app: "shared" });
    talk.end();
    expect(error).toMatchObject({
      code: "host_settings_invalid",
      detail: expect.stringMatching(/primary group of nobody is nogroup, .*_apt/),
      fix: expect.stringContaining("groupadd --force --system nobody && usermod --gid nobody nobody"),
    });
    expect(existsSync(host.layout("shared").home)).toBe(false);
  });

  test("is not added", async () => {
    const add = [node, cutoverProgram, "app", "add", "other-shared", "--config", host.etc, "--user", "nobody"];
    const { code, stderr } = await runProgram(add, { env: { PATH: systemPath } });
    expect(code).toBe(1);
    expect(stderr).toContain("usermod --gid nobody nobody");
    expect(existsSync(join(host.etc, "apps/other-shared.yml"))).toBe(false);
  });

  test("a user with a group of its own, and one that does not exist yet, are added", async () => {
    for (const user of [users.app, "no-such-user"]) {
      const add = [node, cutoverProgram, "app", "add", `of-${user}`, "--config", host.etc, "--user", user];
      expect((await runProgram(add, { env: { PATH: systemPath } })).code).toBe(0);
    }
  });

  test("whoever has the group counts, and so does a user of another name with the same group", async () => {
    expect(await groupSharers(users.app, idsOf(users.app))).toEqual({ name: users.app, members: [] });
    const { name, members } = await groupSharers(users.app, { ...idsOf(users.app), gid: idsOf(users.nginx).gid });
    expect([name, members]).toEqual([users.nginx, expect.arrayContaining([users.nginx])]);
    expect((await groupSharers(users.app, { ...idsOf(users.app), gid: 0 })).members).toContain("root");
  });
});
