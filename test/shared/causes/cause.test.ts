import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { fileBelow, findCause, releaseFile } from "../../../shared/causes/cause.ts";
import { hints } from "../../../shared/causes/hints.ts";
import { packageOf } from "../../../shared/causes/packages.ts";

/** What gunicorn, uvicorn, uWSGI, Celery, Django, pip and a shell printed when they failed. */
const outputs = join(import.meta.dirname, "../../fixtures/outputs");

/** On which machine each of the others was printed, and how the line and the fix begin that a person reads. */
const recorded = readFileSync(join(outputs, "causes.tsv"), "utf8")
  .trimEnd()
  .split("\n")
  .map((row) => row.split("\t") as [name: string, where: "host" | "runner", line: string, fix: string]);

const onHost = { app: "shop", where: "host", projectFile: releaseFile, lastLine: true } as const;

const causes: Record<string, { line: string | RegExp; fix?: string | RegExp }> = {
  badelf: { line: /Exec format error/, fix: /another processor/ },
  "celery-missing": { line: "ModuleNotFoundError: No module named 'stripe' (missing_module.py:1)", fix: /has stripe/ },
  "celery-noattr": { line: "Module 'good' has no attribute 'celery'", fix: /Correct `-A`/ },
  "celery-nomodule": { line: "The module nomod was not found.", fix: /Correct `-A`/ },
  "dj-manifest": {
    line: /^ValueError: Missing staticfiles manifest entry for 'shop\/site.css'/,
    fix: /did not collect shop\/site.css/,
  },
  "dj-nosettings": { line: /No module named 'nope'/, fix: /correct its name/ },
  "dj-pg": { line: /Error loading psycopg2 module/, fix: /psycopg for PostgreSQL/ },
  "dj-static-root": { line: /^ImproperlyConfigured: .*STATIC_ROOT/, fix: /Set STATIC_ROOT/ },
  "dj-table": { line: /no such table: auth_user/, fix: /migrate --noinput/ },
  "dj-variable-keyerror": {
    line: /no variable DATABASE_URL: KeyError: .*\(shop\/settings.py:4\)/,
    fix: /`cutover env set shop DATABASE_URL`/,
  },
  "dj-variable-missing": {
    line: /no variable SECRET_KEY: RuntimeError: .*SECRET_KEY, DATABASE_URL \(shop\/settings.py:6\)/,
    fix: /`cutover env set shop SECRET_KEY`/,
  },
  "dj-variable-must": {
    line: /ImproperlyConfigured: The environment variable DJANGO_SECRET_KEY must be set/,
    fix: /`cutover env set shop DJANGO_SECRET_KEY`/,
  },
  "dj-variable-not-defined": {
    line: /ImproperlyConfigured: DATABASE_URL environment variable not defined/,
    fix: /`cutover env set shop DATABASE_URL`/,
  },
  "dj-unknown": { line: "Unknown command: 'frobnicate'", fix: /INSTALLED_APPS/ },
  "gunicorn-asgi": { line: /^The server speaks WSGI, and the application is ASGI: /, fix: /kind: uvicorn/ },
  "gunicorn-badconf": {
    line: "SyntaxError: invalid syntax (gunicorn.conf.py:1)",
    fix: /^Correct gunicorn.conf.py, line 1\. If your own Python accepts it/,
  },
  "gunicorn-badopt": { line: "gunicorn: error: unrecognized arguments: --nope", fix: /does not know --nope/ },
  "gunicorn-chained": { line: "RuntimeError: database is not configured (chained.py:5)", fix: /chained.py, line 5/ },
  "gunicorn-dbconn": {
    line: /^SQLite cannot open its file for writing: .*unable to open database file \(dbconn.py:2\)/,
    fix: /CUTOVER_SHARED.*folder must exist/,
  },
  "gunicorn-dbtable": { line: "OperationalError: no such table: shop_item (dbtable.py:2)", fix: /migrate --noinput/ },
  "gunicorn-factory": { line: /a function that makes the application/, fix: /create_app\(\)/ },
  "gunicorn-factory0": { line: /a function that makes the application/, fix: /make\(\)/ },
  "gunicorn-keyerror": {
    line: /no variable SECRET_KEY: KeyError: 'SECRET_KEY' \(keyerror.py:2\)/,
    fix: /`cutover env set shop SECRET_KEY`/,
  },
  "gunicorn-kill9": { line: /killed by signal 9/, fix: /^Most often the host has too little memory/ },
  "gunicorn-missing_module": {
    line: "ModuleNotFoundError: No module named 'stripe' (missing_module.py:1)",
    fix: /has stripe/,
  },
  "gunicorn-missing_own": {
    line: "ModuleNotFoundError: No module named 'stripe' (missing_module.py:1)",
    fix: /has stripe/,
  },
  "gunicorn-noattr": { line: "Failed to find attribute 'app' in 'good'.", fix: /`server.app`/ },
  "gunicorn-nomodule": { line: "ModuleNotFoundError: No module named 'nomod'", fix: /correct its name/ },
  "gunicorn-notcallable": { line: "Failed to find application object: 'application'", fix: /`server.app`/ },
  "gunicorn-perm": { line: /No such file or directory: '\/etc\/shadow2\/x' \(perm.py:1\)/, fix: /no such file/ },
  "gunicorn-syntax": {
    line: "SyntaxError: expected ':' (syntax.py:1)",
    fix: "Correct syntax.py, line 1, and deploy again.",
  },
  "gunicorn-sysexit": { line: "no config file given" },
  nosuch: { line: "sh: 1: no_such_tool: not found", fix: /Install no_such_tool/ },
  nox: { line: /Permission denied/, fix: /chmod=\+x \.\/nox\.sh/ },
  "pip-invalid": { line: /Invalid requirement: 'foo bar'/, fix: /Correct that line/ },
  "pip-none": {
    line: "ERROR: No matching distribution found for nosuchpkg-x==1",
    fix: /nosuchpkg-x==1.*no wheel for this Python/,
  },
  "py-dns": { line: /Name or service not known> \(dns.py:2\)/, fix: /DNS/ },
  "py-prompt": { line: /asks a question/, fix: /--noinput/ },
  "py-refused": { line: /Connection refused/, fix: /Nothing listens/ },
  "uvicorn-factory": { line: "TypeError: 'NoneType' object is not callable" },
  "uvicorn-keyerror": { line: /no variable SECRET_KEY/, fix: /cutover env set/ },
  "uvicorn-missing_module": {
    line: "ModuleNotFoundError: No module named 'stripe' (missing_module.py:1)",
    fix: /has stripe/,
  },
  "uvicorn-noattr": { line: /Attribute "app" not found in module "good"/, fix: /`server.app`/ },
  "uvicorn-nomodule": { line: /Could not import module "nomod"/, fix: /names the module nomod/ },
  "uvicorn-syntax": { line: "SyntaxError: expected ':' (syntax.py:1)" },
  "uvicorn-wsgi": { line: /^The server speaks ASGI, and the application is WSGI: /, fix: /kind: gunicorn/ },
  "uvicorn-wsgi-auto": { line: /^The server speaks ASGI, and the application is WSGI: /, fix: /kind: gunicorn/ },
  "uwsgi-asgi": { line: /^The server speaks WSGI, and the application is ASGI: /, fix: /kind: uvicorn/ },
  "uwsgi-missing": { line: "ModuleNotFoundError: No module named 'stripe' (missing_module.py:1)", fix: /has stripe/ },
  "uwsgi-nomodule": { line: "ModuleNotFoundError: No module named 'nomod'", fix: /correct its name/ },
};

test("each recorded output has a row", () => {
  expect(
    readdirSync(outputs)
      .filter((file) => file.endsWith(".txt"))
      .map((file) => file.replace(/\.txt$/, ""))
      .toSorted(),
  ).toEqual([...Object.keys(causes), ...recorded.map(([name]) => name)].toSorted());
});

test.each(recorded)("the output of %s, printed on a %s, has its cause and its fix", (name, where, line, fix) => {
  const projectFile =
    where === "host" ? releaseFile : fileBelow("/var/lib/cutover/apps/shop/releases/20261126T101500Z-abc1234/app");
  const cause = findCause(readFileSync(join(outputs, `${name}.txt`), "utf8"), { ...onHost, where, projectFile });
  expect(cause?.line.slice(0, line.length)).toBe(line);
  expect(cause?.fix?.slice(0, fix.length)).toBe(fix);
});

test.each(Object.entries(causes))("the output of %s has its cause in one line", (name, { line, fix }) => {
  const cause = findCause(readFileSync(join(outputs, `${name}.txt`), "utf8"), onHost);
  if (typeof line === "string") expect(cause?.line).toBe(line);
  else expect(cause?.line).toMatch(line);
  if (fix !== undefined) expect(cause?.fix).toMatch(fix);
  expect(cause?.line).not.toContain("\n");
});

describe("the table of hints", () => {
  test("has no id twice", () => {
    expect(new Set(hints.map(({ id }) => id)).size).toBe(hints.length);
  });

  test.each(hints)("the example of $id leads to its own fix", ({ example, fix, pattern }) => {
    const matches = example.split("\n").flatMap((line) => pattern.exec(line) ?? pattern.exec(line.trim()) ?? []);
    if (matches.length === 0) expect.fail("the pattern does not match its example");
    const [group = "", next = ""] = matches.slice(1).filter((each) => each !== undefined);
    const values = {
      1: group,
      2: next,
      app: "shop",
      package: packageOf(group),
      variable: group.toUpperCase(),
      place: "the code",
    };
    const wanted = fix.replace(
      /\{([12]|app|package|variable|place)\}/g,
      (_, name: keyof typeof values) => values[name],
    );
    expect(findCause(example, onHost)?.fix).toBe(wanted.length > 300 ? `${wanted.slice(0, 296)} ...` : wanted);
  });
});

test("a log in which all is well has no cause", () => {
  const log = [
    "[2026-11-26 18:13:21 +0000] [21520] [INFO] Starting gunicorn 20.1.0",
    "[2026-11-26 18:13:21 +0000] [21520] [INFO] Listening at: unix:/run/web-0.sock (21520)",
    "INFO:     Application startup complete.",
  ].join("\n");
  expect(findCause(log, { ...onHost, lastLine: false })).toBeUndefined();
  expect(findCause(log, onHost)).toBeUndefined();
  expect(findCause("", onHost)).toBeUndefined();
});

test("frames of the environment and of Python itself are not the project's", () => {
  const home = "/var/lib/cutover/apps/shop/releases/20261126T101500Z-abc1234";
  expect(releaseFile(`${home}/app/shop/views.py`)).toBe("shop/views.py");
  expect(releaseFile(`${home}/venv/lib/python3.11/site-packages/django/x.py`)).toBeUndefined();
  expect(releaseFile(`${home}/app/.venv/lib/python3.11/site-packages/django/x.py`)).toBeUndefined();
  expect(releaseFile("/usr/lib/python3.11/json/__init__.py")).toBeUndefined();
  const below = fileBelow("/home/runner/shop/");
  expect(below("/home/runner/shop/manage.py")).toBe("manage.py");
  expect(below("./manage.py")).toBe("manage.py");
  expect(below("/home/runner/shop-2/manage.py")).toBeUndefined();
  expect(below("<frozen importlib._bootstrap>")).toBeUndefined();
});

test("what is longer than a line of a summary is cut, and a log of megabytes costs no time", () => {
  const long = findCause(`RuntimeError: ${"x".repeat(100_000)}`, onHost);
  expect(long?.line.length).toBe(300);
  const noise = `${"INFO line of a log that does not end\n".repeat(100_000)}KeyError: 'SECRET_KEY'`;
  expect(findCause(noise, onHost)?.fix).toContain("env set shop SECRET_KEY");
});

test("what a program said last goes before the server's word for its end", () => {
  const log = `shop: no licence, so it ends
[2026-11-26 21:43:33 +0000] [25732] [INFO] Shutting down: Master
[2026-11-26 21:43:33 +0000] [25732] [INFO] Reason: Worker failed to boot.`;
  expect(findCause(log, onHost)).toEqual({ line: "shop: no licence, so it ends", vague: true });
});

test("no line makes the search for a cause take long: an app prints what it likes, and the agent reads it", () => {
  const length = 2000;
  const time = (text: string) => {
    const took = [1, 2, 3].map(() => {
      const began = performance.now();
      findCause(text, onHost);
      return performance.now() - began;
    });
    return Math.min(...took);
  };
  const line = (part: string) => part.repeat(Math.ceil(length / part.length)).slice(0, length);
  const usual = Math.max(time(line("a line like any other, ")), 0.5);
  // Every literal part of every pattern, again and again.
  const parts = new Set(
    hints.flatMap(({ pattern }) => pattern.source.match(/(?:\\[./()[\]"'-]|[A-Za-z0-9 '":,_@=/<>%-]){2,}/g) ?? []),
  );
  const slow = [...parts].map((part) => part.replace(/\\(.)/g, "$1")).filter((part) => time(line(part)) > usual * 100);
  expect(slow).toEqual([]);
});
