import { expect, test } from "vitest";
import { deployToFleet } from "../../bench/fleet.ts";

const output = ["Collecting flask", "Installing flask"];

test("the log of a job on many hosts is short, and has what a failing host said", async () => {
  const well = await deployToFleet(60, { parallel: 20, canary_hosts: 1 }, () => ({ output }));
  expect(well.exitCode).toBe(0);
  const text = well.log.join("\n");
  expect(text).toContain("wave 1 of 4: 1 of 60 hosts done");
  expect(text).toContain("wave 4 of 4: 60 of 60 hosts done");
  expect(text).toMatch(/^60 hosts: live, /m);
  expect(text).not.toContain("Collecting flask");
  expect(well.log.length).toBeLessThan(40);
  const failure = { code: "health_failed", detail: "web-0 answered 500", fix: "Read the traceback." };
  const failAt = { kind: "deploy", state: "healthy", failure } as const;
  const bad = await deployToFleet(60, { max_failures: 2, parallel: "all" }, (index) =>
    index === 41 ? { failAt, output } : { output },
  );
  expect(bad.exitCode).toBe(1);
  const said = bad.log.join("\n");
  expect(said).toContain("web-0 answered 500");
  expect(said).toContain("Installing flask");
  expect(said).toMatch(/^59 hosts: live, /m);
  expect(bad.log.length).toBeLessThan(60);
}, 60_000);
