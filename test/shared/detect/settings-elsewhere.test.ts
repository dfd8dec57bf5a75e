import { afterEach, beforeEach, expect, test } from "vitest";
import { survey } from "../../../shared/detect/detect.ts";
import { TestHost } from "../../agent/cli/support.ts";
import { directoryOf, projectOf } from "./project.ts";
import { asgi, django, flask, manage, wsgi } from "./texts.ts";

/** Settings that count, and what cannot be read. */

let host: TestHost;

beforeEach(async () => {
  host = await TestHost.make();
});

afterEach(() => host.close());

async function init(files: Record<string, string>): Promise<string> {
  const { out, err } = await host.run(["init", directoryOf(files), "--dry-run"]);
  return out + err;
}

test("of ASGI and WSGI the settings of the one that is served count", () => {
  const files = {
    ...django,
    "site1/settings/__init__.py": "",
    "site1/settings/dev_small.py": 'ROOT_URLCONF = "x"\n',
    "site1/settings/prod.py": 'ROOT_URLCONF = "x"\n',
    "site1/asgi.py": asgi.replace("site1.settings", "site1.settings.dev_small"),
    Procfile: "web: daphne site1.asgi:application\n",
  };
  expect(survey(projectOf(files)).django?.settings).toMatchObject({
    module: "site1.settings.prod",
    developing: "site1.settings.dev_small",
    from: "site1/asgi.py",
  });
});

test.each([
  ["runtime.txt", "python-2.7.11\n", "2.7"],
  [".python-version", "2.7.18\n", "2.7"],
  ["app.yaml", "runtime: python27\n", "2.7"],
])("Python 2 of %s is told", async (file, text, version) => {
  const told = `${file} names Python ${version}, and hosts have Python 3 alone: port the project first.`;
  expect(await init({ "main.py": "x = 1\n", [file]: text })).toContain(told);
  const old = {
    "wsgi.py": `${flask}print "ready"\n`,
    "requirements.txt": "flask\n",
    Procfile: "web: gunicorn wsgi:app\n",
  };
  const out = await init({ ...old, [file]: text });
  expect(out).toContain(told);
  expect(out).toMatch(/The Python of this machine cannot read wsgi\.py:3 \(Missing parentheses/);
});

const configured = (gateway: string) =>
  gateway
    .replace("django.core.", "configurations.")
    .replace('"site1.settings")', '"site1.settings")\nos.environ.setdefault("DJANGO_CONFIGURATION", "Development")');

const classes = {
  ...django,
  "manage.py": configured(manage),
  "site1/wsgi.py": configured(wsgi),
  "site1/asgi.py": configured(asgi),
  "site1/settings.py": `from configurations import Configuration, values

class Base(Configuration):
    INSTALLED_APPS = ["django.contrib.staticfiles"]
    DATA = values.Value("out", environ_name="DATA")
    STATIC_URL = "/s/"

class Development(Base):
    STATIC_ROOT = "dev"

class PreProduction(Base):
    pass

class Production(Base):
    STATIC_ROOT = Base.DATA and "live"
`,
};

test("settings that are classes: the one for production is read and named", async () => {
  const files = {
    ...classes,
    "site1/settings.py": classes["site1/settings.py"].replace('Base.DATA and "live"', '"live"'),
  };
  const out = await init(files);
  expect(out).toMatch(/DJANGO_CONFIGURATION=Production \(site1\/wsgi\.py has Development, which is for developing\)/);
  expect(out).toMatch(/static {3}\/s\/ from live/);
  expect(await init(classes)).toMatch(
    /STATIC_ROOT \(site1\/settings\.py:15\) is computed, and its folder cannot be told/,
  );
});

test("settings of a starter package are told not to be read", async () => {
  const starter = {
    "site1/settings.py": 'from starter.django import *\nINSTALLED_APPS = ["django.contrib.staticfiles"]\n',
  };
  expect(await init({ ...django, ...starter })).toMatch(
    /site1\.settings takes settings from starter\.django, which is not read here\. If STATIC_ROOT is there/,
  );
  const base = classes["site1/settings.py"]
    .replace("Configuration, values", "values\nfrom starter import Started")
    .replace("Base(Configuration)", "Base(Started)")
    .replace(/ {4}STATIC_ROOT = Base.*\n/, "    DEBUG = False\n");
  expect(await init({ ...classes, "site1/settings.py": base })).toMatch(
    /takes settings from starter, which is not read/,
  );
});

test("Python files that nobody could read are not told to make no application", () => {
  const files = { ...projectOf({ "web.py": flask, "requirements.txt": "flask\n" }) };
  const { detection } = survey({ ...files, python: () => ({ modules: {}, skipped: [], complete: false }) });
  expect(detection).toMatchObject({ found: false, reasons: [expect.stringMatching(/read none of its Python files/)] });
});

test("files that django-compressor makes beforehand are made with the static ones", async () => {
  const text =
    'INSTALLED_APPS = ["django.contrib.staticfiles", "compressor"]\nSTATIC_ROOT = "out"\nCOMPRESS_OFFLINE = True\n';
  expect(await init({ ...django, "site1/settings.py": text })).toContain(
    "collect: sh -c 'python manage.py collectstatic --noinput && python manage.py compress --force'",
  );
});
