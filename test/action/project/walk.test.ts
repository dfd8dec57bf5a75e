import { chmodSync, mkdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { readConfig } from "../../../action/project/config.ts";
import { alwaysExcluded, walkFiles } from "../../../action/project/walk.ts";
import { refusal, refusalCode, Workspace } from "../workspace.ts";

function walk(space: Workspace, exclude: string[] = []) {
  const files = walkFiles({
    root: space.path,
    directory: space.path,
    area: "app",
    exclude: [...alwaysExcluded, ...exclude],
  });
  return files.map(({ path, mode }) => `${path} ${mode.toString(8)}`).sort();
}

describe("the files of a project", () => {
  it("are packed with mode 0644 or 0755, without caches, virtual environments and what is excluded", () => {
    using space = new Workspace({
      "manage.py": "",
      "shop/__pycache__/a.pyc": "",
      ".git/HEAD": "",
      "venv/bin/python": "",
      "docs/a.md": "",
      "docs/keep.md": "",
      Docs: "",
    });
    space.write("bin/run", "", 0o700);
    space.write("private", "", 0o600);
    expect(walk(space, ["docs/*", "!docs/keep.md"])).toEqual([
      "app/Docs 644",
      "app/bin/run 755",
      "app/docs/keep.md 644",
      "app/manage.py 644",
      "app/private 644",
    ]);
  });

  it("are counted with those behind links, which can make a few folders look like any number", async () => {
    using space = new Workspace();
    // Two links in each of 30 folders, to the next one: a walk that followed them all would not end.
    for (let depth = 0; depth < 30; depth++) {
      mkdirSync(space.at(`d${depth}`));
      for (const name of ["a", "b"]) space.link(`d${depth}/${name}`, `../d${depth + 1}`);
    }
    mkdirSync(space.at("d30"));
    const error = await refusal(() => walk(space));
    expect([error.code, error.message]).toEqual([
      "path_not_allowed",
      "The project has more than 200000 folders, counting those behind links.",
    ]);
  }, 120_000);

  it("that are always left out are taken back by a pattern with !", () => {
    using space = new Workspace({ "lib/venv/a.py": "" });
    expect(walk(space, ["!venv"])).toEqual(["app/lib/venv/a.py 644"]);
  });

  it("are found through symlinks that stay inside, also to directories and in circles", () => {
    using space = new Workspace({ "real/a.txt": "a", "shop/b.txt": "b" });
    space.link("shop/c.txt", "../real/a.txt");
    space.link("other", "real");
    space.link("real/loop", "..");
    expect(walk(space)).toEqual([
      "app/other/a.txt 644",
      "app/real/a.txt 644",
      "app/shop/b.txt 644",
      "app/shop/c.txt 644",
    ]);
  });

  it.each(["/etc/hostname", "../../outside", "/nowhere/at/all"])(
    "that are symlinks out of the project are refused by name: %s",
    async (target) => {
      using space = new Workspace();
      space.link("shop/secret", target);
      const error = await refusal(() => walk(space));
      expect(error.code).toBe("symlink_outside");
      expect(error.message).toContain(`shop/secret -> ${target}`);
      expect(walk(space, ["secret"])).toEqual([]);
    },
  );

  it("that are symlinks to nothing are refused by name", async () => {
    using space = new Workspace();
    space.link("gone", "missing.txt");
    expect((await refusal(() => walk(space))).message).toContain("gone -> missing.txt");
  });

  it("with a path that a bundle cannot hold are refused, all together", async () => {
    using space = new Workspace({ "a\\b": "", "new\nline": "" });
    const error = await refusal(() => walk(space));
    expect(error.code).toBe("path_not_allowed");
    expect(error.message).toContain('"a\\\\b"');
    expect(error.message).toContain('"new\\nline"');
  });

  it("deeper than a bundle may be are refused", async () => {
    using space = new Workspace();
    mkdirSync(space.at("d/".repeat(70)), { recursive: true });
    space.write(`${"d/".repeat(70)}f`, "");
    expect(await refusalCode(() => walk(space))).toBe("path_not_allowed");
  });
});

describe("A14: what cannot be read", () => {
  it("is named, with what to do", async () => {
    using space = new Workspace({ "shop/a.py": "" });
    // A symlink that leads to itself cannot be read by anybody, also not by root.
    const directory = space.at("media/x");
    space.link("media/x", "x");
    const error = await refusal(() => walkFiles({ root: space.path, directory, area: "app", exclude: [] }));
    expect(error.code).toBe("file_changed");
    expect(error.message).toContain("media/x");
  });

  it("is a directory without permission, as another user than root meets it", () => {
    using space = new Workspace({ "shop/a.py": "", "private/b.py": "" });
    chmodSync(space.path, 0o755);
    chmodSync(space.at("private"), 0o000);
    const found = asNobody(() => refusalOf(() => walk(space)));
    expect(found).toMatchObject({ code: "path_not_allowed", message: "private cannot be read: EACCES." });
    expect(asNobody(() => walk(space, ["private/"]))).toEqual(["app/shop/a.py 644"]);
  });

  it("is cutover.yml, which is there and cannot be read", async () => {
    using space = new Workspace({ "cutover.yml/x": "" });
    const error = await refusal(() => readConfig(space.path, "cutover.yml"));
    expect(error).toMatchObject({ code: "path_not_allowed", message: "cutover.yml cannot be read: EISDIR." });
  });
});

function refusalOf(call: () => unknown): unknown {
  try {
    return call();
  } catch (thrown) {
    return thrown;
  }
}

function asNobody<T>(call: () => T): T {
  if (process.geteuid?.() !== 0) return call();
  process.seteuid?.(65534);
  try {
    return call();
  } finally {
    process.seteuid?.(0);
  }
}

describe("A23: a pattern that names a directory", () => {
  it("leaves out a symlink to one, wherever it leads, and a broken one", () => {
    using space = new Workspace({ "p/shop/a.py": "", "p/uploads/b.jpg": "", "elsewhere/c.jpg": "" });
    space.link("p/media", "../elsewhere");
    space.link("p/inside", "uploads");
    space.link("p/gone", "../nowhere");
    space.link("p/note", "shop/a.py");
    const walked = (exclude: string[]) =>
      walkFiles({ root: space.at("p"), directory: space.at("p"), area: "app", exclude }).map(({ path }) => path);
    expect(walked(["media/", "inside/", "gone/", "uploads/", "note/"]).toSorted()).toEqual([
      "app/note",
      "app/shop/a.py",
    ]);
    expect(() => walked(["gone/"])).toThrow(/media/);
  });
});
