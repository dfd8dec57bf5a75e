import { cpSync, existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { TestHost } from "../support.ts";

/** Broken projects that `cutover check` tells, and with it the Action before it packs anything. */

const fixtures = join(import.meta.dirname, "../../../fixtures");

let host: TestHost;
beforeEach(async () => {
  host = await TestHost.make();
});
afterEach(() => host.close());

async function checked(name: string, files: Record<string, string> = {}): Promise<string> {
  const directory = host.path("project");
  const own = join(fixtures, "failures", name);
  const whole = existsSync(join(own, "manage.py")) || readdirSync(own).some((file) => file.endsWith(".py"));
  if (!whole) cpSync(join(fixtures, "shop"), directory, { recursive: true });
  cpSync(own, directory, { recursive: true });
  for (const [file, text] of Object.entries(files)) writeFileSync(join(directory, file), text);
  const { out, err } = await host.run(["check", join(directory, "cutover.yml")]);
  return `${out}${err}`;
}

test.each<[name: string, says: string, files?: Record<string, string>]>([
  ["command-env-prefix", "DEBUG=0 would set a variable in a shell: write DEBUG into `env` of cutover.yml"],
  [
    "celery-not-installed",
    "processes.worker.command: requirements.txt does not name celery, which this starts: add it",
  ],
  ["command-shell-syntax", "cd is a word of a shell: write it as `sh -c '...'`"],
  ["error-page-missing", "site.error_page: the project has no templates/502.html"],
  [
    "gunicorn-not-in-requirements",
    "requirements.txt does not name gunicorn, which the instances run on; add it there, or write `python: { extra: [gunicorn] }`",
  ],
  ["user-sqlite-in-project", "db.sqlite3, the SQLite database of shop/settings.py:35, lies in the release"],
  ["user-log-file-in-project", "logs/app.log, the log file of shop/settings.py:35, lies in the release"],
  [
    "flask-run-at-import",
    "gunicorn.conf.py:1: daemon = True does not count",
    { "gunicorn.conf.py": "daemon = True\n" },
  ],
])("%s: %s", async (name, says, files) => {
  expect(await checked(name, files)).toContain(says);
});

test("DEBUG = True is told", async () => {
  const settings = 'DEBUG = True\nSECRET_KEY = "x"\nINSTALLED_APPS = []\nROOT_URLCONF = "shop.urls"\n';
  expect(await checked("user-sqlite-in-project", { "shop/settings.py": settings })).toContain(
    "DEBUG is True (shop/settings.py:1), so visitors see the source and the settings",
  );
});
