import { execFileSync } from "node:child_process";
import { copyFileSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import { basename, join } from "node:path";
import { expect, test } from "vitest";
import { scratch } from "../scratch.ts";
import { first, host, vendored } from "./environment-host.ts";

test("H7 gets its wheels by the pip that python3-venv brings, where there is no python3-pip", async () => {
  const directory = scratch();
  execFileSync("/usr/bin/python3", ["-m", "venv", "--without-pip", directory]);
  const { build, python } = host([join(directory, "bin")]);
  await build(vendored());
  expect(python(first, "-c", "import greeting_kit; print(greeting_kit.WORD)")).toBe("good day\n");
});

test("H3 leads to the versioned file, and counts as absent when that is gone or of another version", async () => {
  const directory = scratch();
  const name = basename(realpathSync("/usr/bin/python3"));
  const [own, python3] = [join(directory, name), join(directory, "python3")];
  copyFileSync(`/usr/bin/${name}`, own);
  symlinkSync(name, python3);
  const { build, python, layout, environments } = host([directory]);
  const { key, context } = await build(vendored());
  const present = () => environments.present("shop", first);
  expect(realpathSync(join(layout.venv(key), "bin/python"))).toBe(own);
  const link = (text: string) => {
    rmSync(python3);
    symlinkSync(text, python3);
  };
  // The distribution's python3 is another one now, and the old one stays: then the environment serves on.
  link(`/usr/bin/${name}`);
  expect(await present()).toBe(true);
  expect(python(first, "-c", "import greeting_kit; print(greeting_kit.WORD)")).toBe("good day\n");
  rmSync(own);
  expect(await present()).toBe(false);
  const again = await environments.build(context);
  expect(again.reused).toBe(false);
  expect(await present()).toBe(true);
  expect(python(first, "-c", "import greeting_kit; print(greeting_kit.WORD)")).toBe("good day\n");
  // As the last release made it: by `python3`, which an upgrade of the distribution makes another version.
  const bin = join(layout.venv(again.key), "bin/python");
  rmSync(bin);
  symlinkSync(python3, bin);
  expect(await present()).toBe(true);
  copyFileSync("/bin/true", join(directory, "python3.99"));
  link("python3.99");
  expect(await present()).toBe(false);
});
