import { readdirSync } from "node:fs";
import { expect, test } from "vitest";
import { HelperHost } from "../../harness/helper-host.ts";
import { users } from "../../harness/two-processes.ts";

test.each([
  ["that the host does not have", "no-such-user", /has no user no-such-user/],
  ["that is root", "root", /must not run as root/],
  ["that is the agent's", users.agent, /must not run as daemon/],
  ["that is the app's", users.app, new RegExp(`must not run as ${users.app}`)],
])("nothing is built by a user %s", async (_which, name, message) => {
  await using host = await HelperHost.open({ build_user: name });
  const talk = host.talk();
  await talk.done("prepareApp", { app: "shop" });
  const release = await host.unpack({ files: { "app/shop.py": "" }, config: { python: { wheels: "none" } } });
  const { error } = await talk.ask("buildEnvironment", { app: "shop", release });
  expect(error).toMatchObject({ code: "host_settings_invalid", detail: expect.stringMatching(message) });
  expect(readdirSync(host.layout().venvs)).toEqual([]);
});
