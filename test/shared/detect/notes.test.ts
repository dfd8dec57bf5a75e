import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, onTestFinished, test } from "vitest";
import { databaseNotes } from "../../../agent/cli/project/notes.ts";
import { readSettings } from "../../../shared/detect/django-settings.ts";
import type { Project } from "../../../shared/project.ts";
import { TestHost } from "../../agent/cli/support.ts";
import { directoryOf } from "./project.ts";
import { django, flask, manage, wsgi } from "./texts.ts";

/** What `init` says about settings and files that are easily overlooked. */

let host: TestHost;
beforeEach(async () => {
  host = await TestHost.make();
});
afterEach(() => host.close());

async function init(files: Record<string, string>, binary: Record<string, string> = {}): Promise<string> {
  const directory = directoryOf({ "requirements.txt": "django\ngunicorn\n", ...files });
  for (const [path, text] of Object.entries(binary)) writeFileSync(join(directory, path), text, "latin1");
  const { out, err } = await host.run(["init", directory, "--dry-run"]);
  return out + err;
}

const urls = 'ROOT_URLCONF = "site1.urls"\n';
const files = 'INSTALLED_APPS = ["django.contrib.staticfiles"]\nSTATIC_URL = "/static/"\n';

test.each([
  ["conf/prod.py", "conf.prod", { "conf/prod.py": "from site1.settings import *\nDEBUG = False\n" }],
  ["config/settings/production.py", "config.settings.production", { "config/settings/production.py": urls }],
  ["site1/settings_prod.py", "site1.settings_prod", { "site1/settings_prod.py": "from .settings import *\n" }],
])("settings in %s that nothing names are told, with those that are used", async (file, module, more) => {
  const out = await init({ ...django, "site1/settings.py": urls, ...more });
  expect(out).toMatch(/DJANGO_SETTINGS_MODULE=site1\.settings/);
  expect(out).toContain(`note     ${file} has settings too, and nothing names them: site1.settings is used.`);
  expect(out).toContain(`write DJANGO_SETTINGS_MODULE: ${module} below env`);
});

test("settings of production that those in use lead to are no news, nor are other files of that name", async () => {
  const out = await init({
    ...django,
    "manage.py": manage.replace("site1.settings", "site1.config"),
    "site1/wsgi.py": wsgi.replace("site1.settings", "site1.config"),
    "site1/config/__init__.py": "import os\nif os.environ.get('PROD'):\n    from .production import *\n",
    "site1/config/production.py": urls,
    "fabric/config/prod.py": "HOSTS = []\n",
  });
  expect(out).not.toContain("note ");
});

test.each([
  ["Dockerfile", "FROM python\nENV DJANGO_SETTINGS_MODULE=site1.live\nCMD gunicorn site1.wsgi\n"],
  ["Procfile", "web: DJANGO_SETTINGS_MODULE=site1.live gunicorn site1.wsgi\n"],
  [
    "compose.yaml",
    "services:\n  web:\n    command: gunicorn site1.wsgi\n    environment:\n      DJANGO_SETTINGS_MODULE: site1.live\n",
  ],
])("the settings that %s gives the server are those of the site", async (file, text) => {
  const all = { ...django, "site1/live.py": `${urls}STATIC_ROOT = "/srv/x"\n${files}`, [file]: text };
  const out = await init(all);
  expect(out).toContain("DJANGO_SETTINGS_MODULE=site1.live");
  expect(out).toMatch(/STATIC_ROOT is \/srv\/x \(site1\/live\.py:2\)/);
  const dev = await init({ ...all, [file]: text.replace("site1.live", "site1.dev"), "site1/dev.py": urls });
  expect(dev).toContain("DJANGO_SETTINGS_MODULE=site1.settings");
});

test.each([
  ["DEBUG = True\nif not DEBUG:\n    STATIC_ROOT = BASE_DIR / 'out'\nelse:\n    STATICFILES_DIRS = []\n", 7],
  ["if os.environ.get('LIVE'):\n    STATIC_ROOT = BASE_DIR / 'out'\n", 6],
  ["DEBUG = True\nif DEBUG:\n    STATICFILES_DIRS = []\nelse:\n    STATIC_ROOT = os.path.join(BASE_DIR, 'out')\n", 7],
])("a STATIC_ROOT under a condition is found, and the condition told", async (text, line) => {
  const head = "import os\nfrom pathlib import Path\nBASE_DIR = Path(__file__).parent.parent\n";
  const out = await init({ ...django, "site1/settings.py": `${head}${files}${text}` });
  expect(out).toMatch(/static {3}\/static\/ from out/);
  expect(out).toContain(`STATIC_ROOT has a value only under the condition of site1/settings.py:${line}`);
});

test("a STATIC_ROOT that each branch gives has no condition", async () => {
  const text = "if os.environ.get('X'):\n    STATIC_ROOT = 'a'\nelse:\n    STATIC_ROOT = 'b'\n";
  const out = await init({ ...django, "site1/settings.py": `import os\n${files}${text}` });
  expect(out).toMatch(/static {3}\/static\/ from b/);
  expect(out).not.toContain("note ");
});

const sqlite = "SQLite format 3\0";
const database = 'DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}\n';

test("a database that git does not ignore is told", async () => {
  const own = await init({ ...django, "site1/settings.py": database }, { "db.sqlite3": sqlite });
  expect(own).toContain("note     db.sqlite3 is there and git does not ignore it: the first deploy takes its content");
  const other = await init({ "app.py": flask }, { "old.db": sqlite });
  expect(other).toContain("note     old.db is there and git does not ignore it: every release has a copy");
  const ignored = await init(
    { ...django, "site1/settings.py": database, ".gitignore": "*.sqlite3\n" },
    { "db.sqlite3": sqlite, "Thumbs.db": "no database at all" },
  );
  expect(ignored).not.toContain("note ");
});

test("a file's name with the signs of a pattern hinders nobody", async () => {
  const out = await init({ ...django, "site1/settings.py": urls }, { "c++.md": "", "a(b.py": "", "notes[1.txt": "" });
  expect(out).toContain("server   gunicorn, site1.wsgi:application");
});

/** The text says how much memory its value would take. */
test.each(['"%30000000s" % "x"', '"%*s" % (30000000, "x")'])("STATIC_URL = %s is not worked out", (value) => {
  const directory = directoryOf({
    ...django,
    "site1/settings.py": `${files}STATIC_URL = ${value}\nSTATIC_ROOT = "out"\n`,
  });
  const read = readSettings(directory, "", "site1.settings");
  expect([read?.staticUrl, read?.inside(String(read.staticRoot))]).toEqual([undefined, "out"]);
});

test("a text that is added to itself again and again is not worked out", () => {
  const doubled = Array.from({ length: 26 }, () => "X = X + X\n").join("");
  const text = `${files}X = "x"\n${doubled}STATIC_URL = X\nSTATIC_ROOT = "out"\n`;
  const read = readSettings(directoryOf({ ...django, "site1/settings.py": text }), "", "site1.settings");
  expect([read?.staticUrl, read?.inside(String(read.staticRoot))]).toEqual([undefined, "out"]);
});

test("a pipe and a link to nothing with a database's name hold nobody up", async () => {
  const directory = mkdtempSync(join(tmpdir(), "cutover-notes-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  execFileSync("mkfifo", [join(directory, "pipe.db")]);
  symlinkSync("/nonexistent", join(directory, "link.sqlite3"));
  writeFileSync(join(directory, "own.db"), sqlite);
  const project = { read: () => undefined, paths: () => ["pipe.db", "link.sqlite3", "own.db"] } as unknown as Project;
  expect(databaseNotes(directory, project, [])).toEqual([expect.stringContaining("own.db is there")]);
});

test("check says what init noted, as far as cutover.yml leaves it open", async () => {
  const files = {
    ...django,
    "requirements.txt": "django\ngunicorn\n",
    "site1/settings.py": `INSTALLED_APPS = ["django.contrib.staticfiles"]\nROOT_URLCONF = "x"\nSTATIC_ROOT = "out"\nSTATIC_URL = "https://cdn.example.com/"\n`,
    "site1/settings_live.py": "from site1.base import *\n",
    "site1/base.py": "",
    "old.db": "SQLite format 3\0",
    "cutover.yml": "app: shop\nserver: { kind: gunicorn, app: 'site1.wsgi:application' }\n",
  };
  const check = async (text: string) =>
    (await host.run(["check", join(directoryOf({ ...files, "cutover.yml": text }), "cutover.yml")])).out;
  const out = await check(files["cutover.yml"]);
  expect(out).toMatch(/note: .*static files are kept by the host of STATIC_URL/);
  expect(out).toMatch(/note: .*old\.db is there and git does not ignore it/);
  const closed = `${files["cutover.yml"]}shared: [{ path: old.db }]\nstatic: [{ url: /s/, collect: make s, from: out }]\n`;
  expect(await check(closed)).not.toMatch(/STATIC_URL|which nobody can write to/);
});
