import { mkdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
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
