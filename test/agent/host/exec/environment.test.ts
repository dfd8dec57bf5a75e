import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readSecrets, runEnvironment } from "../../../../agent/host/exec/environment.ts";
import { release, scratch } from "../scratch.ts";

const parts = {
  app: "shop",
  release,
  run: `${release}.2`,
  venv: "/r/venv",
  shared: "/h/shared",
  home: "/home/shop",
  user: "shop",
  config: {},
  secrets: {},
};

test("the repository's values lie below the host's secrets, and both below what cutover sets", () => {
  const env = runEnvironment({
    ...parts,
    instance: "web-0",
    config: { A: "repository", B: "repository", PATH: "/evil", LANG: "de_DE.UTF-8" },
    secrets: { B: "host", CUTOVER_APP: "other" },
  });
  expect(env).toEqual({
    A: "repository",
    B: "host",
    LANG: "de_DE.UTF-8",
    PATH: "/r/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    VIRTUAL_ENV: "/r/venv",
    HOME: "/home/shop",
    USER: "shop",
    LOGNAME: "shop",
    PYTHONUNBUFFERED: "1",
    CUTOVER_APP: "shop",
    CUTOVER_RELEASE: release,
    CUTOVER_RUN: `${release}.2`,
    CUTOVER_INSTANCE: "web-0",
    CUTOVER_SHARED: "/h/shared",
  });
});

test("a command belongs to no instance", () => {
  expect(runEnvironment(parts)).not.toHaveProperty("CUTOVER_INSTANCE");
  expect(runEnvironment(parts)).toHaveProperty("LANG", "C.UTF-8");
});

test("a file of secrets has NAME=value lines, quotes and comments", async () => {
  const file = join(scratch(), "shop.env");
  writeFileSync(file, `# database\nDB_PASSWORD='a"b#c$d'\nexport KEY="two\\nlines"\nEMPTY=\n`);
  expect(await readSecrets(file, true)).toEqual({ DB_PASSWORD: 'a"b#c$d', KEY: "two\nlines", EMPTY: "" });
});

test("a file of secrets may be missing, unless the settings name it", async () => {
  const file = join(scratch(), "shop.env");
  expect(await readSecrets(file, false)).toEqual({});
  await expect(readSecrets(file, true)).rejects.toMatchObject({ code: "host_settings_invalid" });
});

test("a wrong name is refused without telling the value", async () => {
  const file = join(scratch(), "shop.env");
  writeFileSync(file, "GOOD=1\n1-bad=s3cret\n");
  const error = await readSecrets(file, true).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: "host_settings_invalid", message: `Line 2 of ${file} is not NAME=value.` });
  expect(JSON.stringify(error) + String(error)).not.toContain("s3cret");
});
