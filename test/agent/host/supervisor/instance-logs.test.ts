import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { appLayout } from "../../../../agent/host/store/layout.ts";
import { SupervisorLogs, tailFile } from "../../../../agent/host/supervisor/instance-logs.ts";
import { programsFileName } from "../../../../agent/host/supervisor/programs-file.ts";
import { release, scratch } from "../scratch.ts";

test("the end of each log, in the order of the instances", async () => {
  const data = scratch();
  const directory = appLayout(data, "shop").runLogs(release);
  mkdirSync(directory, { recursive: true });
  for (const name of ["web-10", "web-2"]) writeFileSync(join(directory, `${name}.log`), `1\n2\n${name} ü\n`);
  writeFileSync(join(directory, "web-2.log.1"), "rotated\n");
  const logs = new SupervisorLogs(data, scratch());
  expect(await logs.tail("shop", release, 2)).toEqual([
    { source: "web-2", text: "2\nweb-2 ü" },
    { source: "web-10", text: "2\nweb-10 ü" },
  ]);
  expect(await logs.tail("other", release, 2)).toEqual([]);
});

test("the end is bounded, however long the lines are", async () => {
  const directory = scratch();
  const file = join(directory, "log");
  writeFileSync(file, `${"x".repeat(200_000)}\nlast`);
  expect(await tailFile(directory, "log", 50)).toBe("last");
  writeFileSync(file, "");
  expect(await tailFile(directory, "log", 50)).toBe("");
});

test("logs of removed runs are collected, but those of a run that supervisor has a file for stay: supervisord would not start without them", async () => {
  const data = scratch();
  const confDir = scratch();
  const layout = appLayout(data, "shop");
  for (const run of [release, `${release}.2`, `${release}.3`, `${release}.4`])
    mkdirSync(layout.runLogs(run), { recursive: true });
  writeFileSync(join(confDir, programsFileName("shop", `${release}.2`)), "");
  writeFileSync(join(confDir, programsFileName("shop", `${release}.4`, "worker")), "");
  await new SupervisorLogs(data, confDir).prune("shop", [`${release}.3`]);
  const left = readdirSync(join(layout.runLogs(release), "..")).toSorted();
  expect(left).toEqual([`${release}.2`, `${release}.3`, `${release}.4`]);
});
