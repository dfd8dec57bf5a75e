import { describe, expect, it } from "vitest";
import { readConfig } from "../../../action/project/config.ts";
import { refusal, Workspace } from "../workspace.ts";

const django = {
  "manage.py": 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")\nimport django\n',
  "shop/wsgi.py": "application = 1\n",
};

async function read(files: Record<string, string>) {
  using space = new Workspace(files);
  const lines: string[] = [];
  const { config } = await readConfig(space.path, "cutover.yml", (line) => lines.push(line));
  const { server } = config;
  return { server, lines };
}

async function refused(files: Record<string, string>) {
  using space = new Workspace(files);
  return await refusal(() => readConfig(space.path, "cutover.yml"));
}

describe("a cutover.yml without server.kind", () => {
  it.each(["app: shop\n", "app: shop\nserver: { instances: 2 }\n", "app: shop\nserver: { kind: gunicorn }\n"])(
    "takes it, and the application, from the project: %j",
    async (text) => {
      const { server, lines } = await read({ ...django, "requirements.txt": "gunicorn\n", "cutover.yml": text });
      expect(server).toMatchObject({ kind: "gunicorn", app: "shop.wsgi:application", instances: 2, bind: "socket" });
      expect(lines).toEqual([
        "cutover.yml names no server; found kind: gunicorn, app: shop.wsgi:application (manage.py is Django's, shop/wsgi.py, requirements.txt has gunicorn).",
      ]);
    },
  );

  it("takes the host's own packages for what there is", async () => {
    const text = "app: shop\npython: { system_site_packages: true, requirements: more.txt }\n";
    const { server } = await read({ ...django, "more.txt": "django\n", "cutover.yml": text });
    expect(server.kind).toBe("gunicorn");
  });

  it("says what was looked for if nothing shows it", async () => {
    const error = await refused({ "cutover.yml": "app: shop\nserver: { workers: 3 }\n" });
    expect(error).toMatchObject({
      code: "kind_unknown",
      message: expect.stringContaining("Looked for: manage.py"),
      fix: expect.stringContaining('server: { kind: gunicorn, app: "shop.wsgi:application" }'),
    });
  });

  it("tells all that it might be", async () => {
    const error = await refused({ ...django, "requirements.txt": "uwsgi\ngunicorn\n", "cutover.yml": "app: shop\n" });
    expect(error).toMatchObject({ code: "kind_unknown", fix: expect.stringContaining("kind: gunicorn") });
    expect(error.message).toContain("requirements.txt has gunicorn");
    expect(error.message).toContain("requirements.txt has uwsgi");
  });

  it("is reported together with all other faults, each with its line", async () => {
    const error = await refused({ "cutover.yml": "app: Shop\nserver:\n  workers: 0\nkeep: 1\n" });
    expect(error.code).toBe("config_invalid");
    const lines = error.message.split("\n").map((line) => line.split(": ").slice(0, 2).join(" "));
    expect(lines).toEqual([
      "cutover.yml:1:1 app",
      "cutover.yml:2:1 server.kind",
      "cutover.yml:3:3 server.workers",
      "cutover.yml:4:1 keep",
    ]);
  });

  it("and one with a wrong value is not made good", async () => {
    const error = await refused({ ...django, "cutover.yml": "app: shop\nserver: { kind: gunicron }\n" });
    expect([error.code, error.message]).toEqual(["config_invalid", expect.stringContaining("server.kind")]);
  });

  it("that is complete is left alone", async () => {
    const text = 'app: shop\nserver: { kind: uwsgi, app: "x:y" }\n';
    expect((await read({ ...django, "cutover.yml": text })).lines).toEqual([]);
  });
});
