import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { findCommit, listFiles } from "../../../action/bundle/manifest.ts";
import { pack } from "../../../action/bundle/pack.ts";
import { checkProject } from "../../../action/project/check-project.ts";
import { asCutoverError } from "../../../shared/errors.ts";
import { jobIn } from "../job-in.ts";
import { pythonVersion, wheelhouse } from "../wheelhouse.ts";
import { configOf, refusal, Workspace } from "../workspace.ts";

describe("A7: the release's name", () => {
  it("has the commit that is checked out, not the one that started the workflow", async () => {
    using space = new Workspace({ "p/x": "" });
    const git = (...words: string[]) =>
      execFileSync("git", ["-c", "user.name=x", "-c", "user.email=x", "-c", "commit.gpgsign=false", ...words], {
        cwd: space.at("p"),
        encoding: "utf8",
      }).trim();
    git("init", "--quiet");
    git("commit", "--quiet", "--allow-empty", "-m", "x");
    const head = git("rev-parse", "HEAD");
    const started = "3f2c1ab".padEnd(40, "0");
    expect(await findCommit(space.at("p"), { GITHUB_SHA: started })).toBe(head);
    expect(await findCommit(space.path, { GITHUB_SHA: started })).toBe(started);
    expect(await findCommit(space.path, {})).toBe("");
  });
});

describe("A11: a Python that the runner does not have", () => {
  const collecting = (collect: string | string[]) => {
    const version = pythonVersion() === "3.12" ? "3.13" : "3.12";
    return { python: { version }, static: [{ url: "/static/", from: "static", collect }] };
  };

  it("does not collect static files with another one and without packages", async () => {
    using space = wheelhouse();
    space.write("p/shop/wsgi.py", "application = 1\n");
    const error = await refusal(() => pack(jobIn(space, { config: collecting("python manage.py collectstatic") })));
    expect(error.code).toBe("python_not_found");
    expect(error.fix).toContain("actions/setup-python");
  });

  it("does not keep other programs from collecting them", async () => {
    using space = wheelhouse();
    space.write("p/shop/wsgi.py", "application = 1\n");
    const bundle = await pack(
      jobIn(space, { config: collecting(["sh", "-c", "mkdir static; echo x > static/a.txt"]) }),
    );
    expect(bundle.release).toMatch(/^\d{8}T/);
  });
});

describe("A13: a runner that is not Linux", () => {
  it.each(["darwin", "win32"] as const)("packs nothing on %s", async (platform) => {
    using space = new Workspace({ "p/shop/wsgi.py": "application = 1\n" });
    const error = await refusal(() => checkProject(jobIn(space, { platform }), () => []));
    expect(error).toMatchObject({ code: "runner_unsupported", fix: expect.stringContaining("runs-on: ubuntu-latest") });
  });
});

describe("A15: a full disk of the runner", () => {
  it("is not told as the host's", () => {
    const full = Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
    expect(asCutoverError(full, "runner")).toMatchObject({
      code: "disk_full",
      message: "The runner's disk is full: ENOSPC: no space left on device, write.",
      unchanged: "What is live on the hosts was not changed.",
      fix: expect.stringContaining("RUNNER_TEMP"),
    });
    expect(asCutoverError(full).message).toBe("The disk is full.");
  });
});

describe("A17: a static file with the name of another entry's folder", () => {
  it("is refused before anything is sent", async () => {
    using space = new Workspace({ "p/a/admin": "x", "p/b/x.css": "y" });
    const entries = [
      { url: "/static/", from: "a" },
      { url: "/static/admin/", from: "b" },
    ];
    const error = await refusal(() => listFiles(configOf({ static: entries }), space.at("p"), []));
    expect(error.code).toBe("path_not_allowed");
    expect(error.message).toBe("static/static/admin/x.css cannot be packed: there is a file static/static/admin too.");
  });
});
