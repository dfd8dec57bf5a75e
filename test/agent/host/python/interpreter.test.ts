import { chmodSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Interpreters } from "../../../../agent/host/python/interpreter.ts";
import { scratch } from "../scratch.ts";

/** A directory with a program that answers as a Python does, and counts how often it was asked. */
function shim(directory: string, answer: object): { asked: string } {
  const path = join(directory, "python3");
  const asked = join(directory, "asked");
  writeFileSync(asked, "");
  writeFileSync(path, `#!/bin/sh\necho x >> ${asked}\necho '${JSON.stringify(answer)}'\n`);
  chmodSync(path, 0o755);
  return { asked };
}

test("the host's python3 is found with its version, and asked only once", async () => {
  const interpreters = new Interpreters(["/usr/bin"]);
  const first = await interpreters.find(undefined);
  expect(first).toMatchObject({ path: "/usr/bin/python3", version: expect.stringMatching(/^3\.\d+\.\d+/) });
  expect(await interpreters.find(undefined)).toBe(first);
});

test("another Python at the same path is asked anew, and one that stands behind a script each time", async () => {
  const directory = scratch();
  const link = join(directory, "python3");
  symlinkSync("/usr/bin/python3", link);
  const interpreters = new Interpreters([directory]);
  const { cacheTag } = await interpreters.find(undefined);
  rmSync(link);
  const { asked } = shim(directory, {
    real: "/opt/python/bin/python3.99",
    base: "/opt/python/bin/python3.99",
    version: "3.99.0",
    cacheTag,
  });
  for (let time = 1; time <= 2; time++) {
    expect(await interpreters.find(undefined)).toMatchObject({ version: "3.99.0" });
    expect(readFileSync(asked, "utf8")).toBe("x\n".repeat(time));
  }
});

test("a version that the host lacks is refused, with those that it has", async () => {
  const refused = await new Interpreters(["/usr/bin"]).find("3.99").catch((error: unknown) => error);
  expect(refused).toMatchObject({ code: "python_not_found", message: expect.stringContaining("3.99") });
  const [usual] = await new Interpreters(["/usr/bin"]).versions();
  expect(refused).toMatchObject({ fix: expect.stringContaining(`\`python-version: "${usual}"\``) });
});

test("the versions of a host are told, that of python3 first", async () => {
  const directory = scratch();
  shim(directory, {
    real: "/opt/python/bin/python3.99",
    base: "/opt/python/bin/python3.99",
    version: "3.99.1",
    cacheTag: "cpython-399",
  });
  const versions = await new Interpreters([directory, "/usr/bin"]).versions();
  expect(versions[0]).toBe("3.99");
  expect(versions).toContain((await new Interpreters(["/usr/bin"]).find(undefined)).version.replace(/\.\d+$/, ""));
  expect(new Set(versions).size).toBe(versions.length);
  expect(await new Interpreters(["/nowhere"]).versions()).toEqual([]);
});
