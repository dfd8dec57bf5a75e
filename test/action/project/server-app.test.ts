import { describe, expect, it } from "vitest";
import { checkServerApp, checkServerAppPacked } from "../../../action/project/server-app.ts";
import { configOf, refusal, refusalCode, Workspace } from "../workspace.ts";

const config = configOf();

describe("what server.app names", () => {
  it.each(["shop/wsgi.py", "shop/wsgi/__init__.py"])("is found in %s", (file) => {
    using space = new Workspace({ [file]: "application = get_wsgi_application()\n" });
    expect(() => checkServerApp(config, space.path)).not.toThrow();
  });

  it("is missed if the project has the package but not the module, even with requirements", async () => {
    using space = new Workspace({ "shop/settings.py": "", "requirements.txt": "shop-extras\n" });
    const error = await refusal(() => checkServerApp(config, space.path));
    expect(error.code).toBe("server_app_not_found");
    expect(error.message).toContain("shop/wsgi.py nor shop/wsgi/__init__.py");
  });

  it("is told as Python imports it, if it is written as a file", async () => {
    using space = new Workspace({ "app.py": "app = 1\n" });
    const server = { kind: "gunicorn", app: "app.py:app" } as const;
    const error = await refusal(() => checkServerApp(configOf({ server }), space.path));
    expect(error.fix).toBe("Write the module as Python imports it, without .py: `app: app:app`.");
  });

  it("is missed if nothing could bring it", async () => {
    using space = new Workspace({ "README.md": "" });
    expect(await refusalCode(() => checkServerApp(config, space.path))).toBe("server_app_not_found");
  });

  it("may come from the requirements, or from the host's own packages", () => {
    using space = new Workspace({ "requirements.txt": "shop\n" });
    expect(() => checkServerApp(config, space.path)).not.toThrow();
    using bare = new Workspace();
    const site = configOf({ python: { system_site_packages: true } });
    expect(() => checkServerApp(site, bare.path)).not.toThrow();
  });

  it("is missed if the module has no such name", async () => {
    using space = new Workspace({ "shop/wsgi.py": "applications = 1\n" });
    expect((await refusal(() => checkServerApp(config, space.path))).message).toContain("`application`");
    space.write("shop/wsgi.py", "from shop.base import *\n");
    expect(() => checkServerApp(config, space.path)).not.toThrow();
  });

  it("may be a call", () => {
    using space = new Workspace({ "shop/web.py": "def create_app(): ...\n" });
    const call = configOf({ server: { kind: "gunicorn", app: "shop.web:create_app()" } });
    expect(() => checkServerApp(call, space.path)).not.toThrow();
  });

  it.each(["uwsgi", "uvicorn", "aiohttp"])("is missed for kind %s too", async (kind) => {
    using space = new Workspace({ "README.md": "" });
    const server = { kind, app: "shop.main:app" };
    expect(await refusalCode(() => checkServerApp(configOf({ server }), space.path))).toBe("server_app_not_found");
    space.write("shop/main.py", "app = 1\n");
    expect(() => checkServerApp(configOf({ server }), space.path)).not.toThrow();
    expect(await refusalCode(() => checkServerAppPacked(configOf({ server }), space.path, []))).toBe(
      "server_app_not_found",
    );
  });

  it("is missed if it is excluded from packing", async () => {
    using space = new Workspace({ "shop/wsgi.py": "application = 1\n" });
    expect(await refusalCode(() => checkServerAppPacked(config, space.path, []))).toBe("server_app_not_found");
  });
});
