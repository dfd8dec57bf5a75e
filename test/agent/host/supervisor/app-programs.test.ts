import { expect, test } from "vitest";
import { RunPorts } from "../../../../agent/host/net/run-ports.ts";
import { AppPrograms, type AppProgramsOptions } from "../../../../agent/host/supervisor/app-programs.ts";
import { freePorts } from "../../../harness/ports.ts";
import { release, scratch, testConfig, testSpec } from "../scratch.ts";

test("whoever looks at a run that has no ports, since it is not started or just goes, chooses none for it", async () => {
  const data = scratch();
  const server = { kind: "gunicorn", app: "shop:app", instances: 2, bind: "port" };
  const spec = testSpec(testConfig({ server }));
  const allowed = await freePorts(6);
  const settings = async () => ({
    ports: allowed.map((port) => `${port}-${port}`),
    file: "/etc/cutover/apps/shop.yml",
  });
  // Only to look needs no supervisor, no clock and no user.
  const programs = new AppPrograms({ data, confDir: data, apps: { settings } } as unknown as AppProgramsOptions);
  const ports = new RunPorts(data);
  const looked = async () => (await programs.instances(spec)).map(({ address }) => address);
  expect(await looked()).toEqual([]);
  expect(await ports.runs("shop")).toEqual([]);
  const choice = async () => ({ ports: allowed, file: "" });
  const chosen = await ports.of({ app: "shop", run: release, count: 2, allowed: choice });
  expect(await looked()).toEqual(chosen.map((port) => `127.0.0.1:${port}`));
  await ports.forget("shop", release);
  expect(await looked()).toEqual([]);
  expect(await ports.runs("shop")).toEqual([]);
});
