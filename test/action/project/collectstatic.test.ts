import { cpSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { collectedFolders, collectStatic, staticFiles } from "../../../action/project/collectstatic.ts";
import { execute } from "../../../action/runner/exec.ts";
import { configOf, never, refusal, refusalCode, Workspace } from "../workspace.ts";

function context(space: Workspace, env: NodeJS.ProcessEnv = {}) {
  const all = { PATH: "/usr/bin:/bin", ...env };
  return { directory: space.path, env: all, bin: undefined, exec: execute, onLine: () => {}, signal: never };
}

function withCollect(collect: string | string[]) {
  return configOf({ static: [{ url: "/static/", collect, from: "out/static" }] });
}

describe("static files", () => {
  it("are collected without a shell, with python3 if there is no python, and packed by their URL", async () => {
    using space = new Workspace();
    const script = "import os; os.makedirs('out/static/css'); open('out/static/css/a;b.css', 'w').write('$HOME')";
    const config = withCollect(["python", "-c", script]);
    await collectStatic(config, context(space));
    expect(staticFiles(config, space.path).map(({ path }) => path)).toEqual(["static/static/css/a;b.css"]);
    expect(collectedFolders(config)).toEqual(["/out/static/"]);
  });

  it("are collected by a command that sees neither the signing key nor the job's own tokens", async () => {
    using space = new Workspace();
    const env = { "INPUT_SIGNING-KEY": "secret", ACTIONS_ID_TOKEN_REQUEST_TOKEN: "secret" };
    const script = "import os, sys; sys.exit('secret' in os.environ.values())";
    await collectStatic(withCollect(["python3", "-c", script]), context(space, env));
  });

  it("that could not be collected fail with what the command said", async () => {
    using space = new Workspace();
    const error = await refusal(() => collectStatic(withCollect("python3 manage.py collectstatic"), context(space)));
    expect(error.code).toBe("collect_failed");
    expect(error.evidence[0]?.text).toContain("manage.py");
    const missing = withCollect("no-such-program");
    expect((await refusal(() => collectStatic(missing, context(space)))).message).toContain("no-such-program");
    expect(await refusalCode(() => staticFiles(missing, space.path))).toBe("collect_failed");
  });

  it("are no fault if Django itself says that there are none", async () => {
    using space = new Workspace();
    cpSync("test/fixtures/cases/projects/35-no-static-file-at-all", space.path, { recursive: true });
    const collect = "/usr/bin/python3 manage.py collectstatic --noinput";
    const config = configOf({ static: [{ url: "/static/", collect, from: "staticfiles" }] });
    const lines: string[] = [];
    await collectStatic(config, { ...context(space), onLine: (line) => lines.push(line) });
    expect(staticFiles(config, space.path)).toEqual([]);
    expect(lines.at(-1)).toBe("/static/: there are no static files.");
  });

  it("are one file at the top, under another name if need be, and / has what lies below it", async () => {
    using space = new Workspace({
      "web/img/f[1].ico": "icon",
      "web/robots.txt": "",
      "dist/index.html": "",
      "dist/a/b": "",
    });
    const entries = [
      { url: "/favicon.ico", from: "web/img/f[1].ico" },
      { url: "/robots.txt", from: "./web/robots.txt" },
      { url: "/", from: "dist", fallback: "index.html" },
    ];
    const config = configOf({ static: entries });
    const packed = staticFiles(config, space.path).map(({ path, source }) => [path, source.slice(space.path.length)]);
    expect(packed.toSorted()).toEqual([
      ["static/a/b", "/dist/a/b"],
      ["static/favicon.ico", "/web/img/f[1].ico"],
      ["static/index.html", "/dist/index.html"],
      ["static/robots.txt", "/web/robots.txt"],
    ]);
    const folder = configOf({ static: [{ url: "/robots.txt", from: "web" }] });
    expect((await refusal(() => staticFiles(folder, space.path))).message).toContain("`url` is one file");
  });

  it("without a command must be there, and may not be the whole project", async () => {
    using space = new Workspace();
    const config = configOf({ static: [{ url: "/s/", from: "assets" }] });
    expect(await refusalCode(() => staticFiles(config, space.path))).toBe("config_invalid");
    const whole = configOf({ static: [{ url: "/s/", from: "./" }] });
    expect(await refusalCode(() => collectedFolders(whole))).toBe("config_invalid");
  });

  it("of a longer URL go before those of the URL above it", () => {
    using space = new Workspace({ "a/admin/x.css": "a", "b/x.css": "b" });
    const entries = [
      { url: "/static/admin/", from: "b" },
      { url: "/static/", from: "a" },
    ];
    const files = staticFiles(configOf({ static: entries }), space.path);
    expect(files).toEqual([
      expect.objectContaining({ path: "static/static/admin/x.css", source: space.at("b/x.css") }),
    ]);
  });
});
