import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { eventually } from "../scratch.ts";
import { ask, nobody, siteHost } from "./site-host.ts";

test("access_log and error_log: a pair of files for each app, or no access log", async () => {
  const host = await siteHost();
  await host.serve({}, [nobody()]);
  const [access, errors] = [host.log("cutover-shop.access.log"), host.log("cutover-shop.error.log")];
  await ask(host.port, "/logged");
  await eventually(async () => readFileSync(access, "utf8").includes('"GET /logged HTTP/1.1" 502'));
  expect(readFileSync(errors, "utf8")).toContain("No such file or directory");
  await host.serve({ site: { access_log: false } }, [nobody()]);
  await ask(host.port, "/unseen");
  await eventually(async () => readFileSync(errors, "utf8").includes("/unseen"));
  expect(readFileSync(access, "utf8")).not.toContain("/unseen");
});

test("a directory of logs that is not there is named, with the setting", async () => {
  const host = await siteHost({ nginx: { log_dir: "/nowhere/logs" } });
  await expect(host.serve({}, [nobody()])).rejects.toMatchObject({
    code: "nginx_config_broken",
    message: expect.stringContaining("/nowhere/logs/cutover-shop."),
    fix: expect.stringContaining("nginx.log_dir"),
  });
});
