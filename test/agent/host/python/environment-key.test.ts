import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { environmentContent, environmentKey } from "../../../../agent/host/python/environment-key.ts";
import { configSchema } from "../../../../shared/config.ts";
import type { Manifest } from "../../../../shared/manifest.ts";
import { scratch } from "../scratch.ts";

const interpreter = {
  path: "/usr/bin/python3",
  real: "/usr/bin/python3.11",
  version: "3.11.2",
  base: "/usr/bin/python3.11",
  cacheTag: "cpython-311",
  virtual: false,
};

/** The key in mode index of a release with these files. */
function key(
  files: Record<string, string | Buffer>,
  release = "20261121T103000Z-3f2c1ab",
  requirements = "requirements.txt",
) {
  const app = scratch();
  const described = Object.entries(files).map(([path, content]) => {
    const file = join(app, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
    const sha256 = createHash("sha256").update(content).digest("hex");
    return { path: `app/${path}`, mode: 0o644 as const, size: content.length, sha256 };
  });
  return environmentKey(interpreter, false, environmentContent(manifestOf(described, release, requirements), app));
}

function manifestOf(
  files: Manifest["files"],
  release = "20261121T103000Z-3f2c1ab",
  requirements = "requirements.txt",
): Manifest {
  const config = configSchema.parse({
    app: "shop",
    server: { kind: "gunicorn", app: "shop:app" },
    python: { wheels: "index", requirements },
  });
  return {
    ...{ format: 1, app: "shop", release, repository: "", commit: "", created: "2026-11-21T10:30:00.000Z" },
    ...{ config, files },
  };
}

const later = "20261121T104000Z-3f2c1ac";
const local = { "requirements.txt": "./libs/common\n", "libs/common/setup.py": "1" };

describe("the key of an environment from an index", () => {
  test("does not change with the release while a directory that is installed does not", () => {
    expect(key({ ...local, "main.py": "2" }, later)).toBe(key({ ...local, "main.py": "1" }));
    expect(key({ ...local, "libs/common/setup.py": "2" }, later)).not.toBe(key(local));
    expect(key({ ...local, "libs/common/new.py": "" })).not.toBe(key(local));
  });

  test.each([
    "-e ./libs/common",
    "lib @ git+https://git.example.com/lib@main",
    "git+https://git.example.com/lib",
    "../x",
  ])("changes with each release for %s", (line) => {
    const files = { "requirements.txt": `${line}\n`, "libs/common/setup.py": "1" };
    expect(key(files, later)).not.toBe(key(files));
  });

  test("does not change with the release for a repository at a commit", () => {
    const files = { "requirements.txt": `lib @ git+https://git.example.com/lib@${"0".repeat(40)}\n` };
    expect(key(files, later)).toBe(key(files));
  });

  test("follows what a file includes in another encoding", () => {
    const files = (text: string) => ({
      "requirements.txt": Buffer.from("\ufeff-r base.txt\r\n", "utf16le"),
      "base.txt": text,
    });
    expect(key(files("a==1\n"))).not.toBe(key(files("a==2\n")));
  });

  test("a file outside of the project is refused", () => {
    expect(() => key({}, later, "../other/requirements.txt")).toThrow("lies outside of the project");
  });

  test("is made in seconds of files as large as a host takes", () => {
    const places = Array.from({ length: 20_000 }, (_, index) => `libs/l${index}`);
    const files = Object.fromEntries(places.map((place) => [`app/${place}/setup.py`, ""]));
    const described = Object.keys(files).map((path) => ({
      path,
      mode: 0o644 as const,
      size: 0,
      sha256: "0".repeat(64),
    }));
    const app = scratch();
    const began = performance.now();
    for (const text of [
      `a ${"git+".repeat(1_000_000)}`,
      places.map((place) => `./${place}\n./${place}/x\n`).join(""),
    ]) {
      writeFileSync(join(app, "requirements.txt"), text);
      const own = { path: "app/requirements.txt", mode: 0o644 as const, size: text.length, sha256: "1".repeat(64) };
      environmentContent(manifestOf([...described, own]), app);
    }
    expect(performance.now() - began).toBeLessThan(10_000);
  });
});
