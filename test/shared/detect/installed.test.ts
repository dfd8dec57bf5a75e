import { expect, test } from "vitest";
import { configSchema } from "../../../shared/config.ts";
import { readDependencies } from "../../../shared/dependencies/read-dependencies.ts";
import { survey } from "../../../shared/detect/detect.ts";
import { projectFaults } from "../../../shared/project.ts";
import { projectOf } from "./project.ts";
import { flask } from "./texts.ts";

/** Projects that are made to be installed, and what a release does for them, which holds their files. */

const pyproject =
  '[build-system]\nrequires = ["setuptools"]\n[project]\nname = "Shop-Site"\nversion = "1"\ndependencies = ["flask", "gunicorn"]\n[project.scripts]\nshop-jobs = "shop.jobs:main"\nshop = "shop.cli:run"\n';
const project = {
  "pyproject.toml": pyproject,
  "shop/__init__.py": "",
  "shop/web.py": flask,
  "shop/jobs.py": "def main():\n    pass\n",
  "shop/cli.py": "import click\n\n@click.command()\n@click.option('--x')\ndef run(x):\n    pass\n",
};

const reads: [string, string][] = [
  ["importlib.metadata", "from importlib.metadata import version\n\nVERSION = version('shop_site')\n"],
  [
    "a module of another name",
    "import importlib.metadata as m\n\ndef v():\n    return m.distribution('shop.site').version\n",
  ],
  ["pkg_resources", "import pkg_resources\n\nVERSION = pkg_resources.get_distribution('shop-site').version\n"],
];

/** As generated tables and long queries are written. */
const deep = `TOTAL = ${Array.from({ length: 1500 }, () => "1").join(" + ")}\n`;

test("a long sum hides neither the application of its file nor what that reads", () => {
  const text = `${reads[0]?.[1]}${deep}`;
  const files = { ...project, "shop/about.py": text, "requirements.txt": "flask\ngunicorn\n" };
  expect(told(files)).toHaveLength(1);
  const web = projectOf({ "web.py": `${flask}${deep}`, "requirements.txt": "flask\ngunicorn\n" });
  expect(survey(web).detection).toMatchObject({ found: true, server: { app: "web:app" } });
});

const config = configSchema.parse({ app: "x", server: { kind: "gunicorn", app: "shop.web:app" } });
const told = (files: Record<string, string>) =>
  projectFaults(config, projectOf(files)).flatMap(({ message }) => (/metadata/.test(message) ? [message] : []));

test.each(reads)(
  "a project that reads its own metadata by %s is installed with what pyproject.toml names",
  (_, text) => {
    const line = (files: Record<string, string>) =>
      readDependencies(projectOf(files), "pyproject.toml")?.requirements.map((each) => each.line);
    expect(line({ ...project, "shop/about.py": text })).toEqual(["flask", "gunicorn", "."]);
    expect(line(project)).toEqual(["flask", "gunicorn"]);
  },
);

test.each(reads)("with a requirements file the line that installs it by %s is told", (_, text) => {
  const files = { ...project, "shop/about.py": text };
  const message = `shop/about.py:${text.startsWith("import importlib") ? 4 : 3} reads the metadata of Shop-Site, the project itself, and requirements.txt does not install that: add a line with a dot, \`.\`, to it`;
  expect(told({ ...files, "requirements.txt": "flask\ngunicorn\n" })).toEqual([message]);
  for (const line of [".", "-e .", "./", "--editable .[web]  # itself"]) {
    expect(told({ ...files, "requirements.txt": `flask\ngunicorn\n${line}\n` })).toEqual([]);
  }
});

test.each([
  [
    "guards it",
    "from importlib.metadata import version, PackageNotFoundError\ntry:\n    V = version('shop-site')\nexcept PackageNotFoundError:\n    V = '0'\n",
  ],
  ["reads another one's", "from importlib.metadata import version\nV = version('flask')\n"],
])("a project that %s needs no more", (_, text) => {
  expect(told({ ...project, "shop/about.py": text, "requirements.txt": "flask\ngunicorn\n" })).toEqual([]);
});

test("a program of the project's own is started by its function: a release does not install it", () => {
  const Procfile = "web: gunicorn shop.web:app\nrelease: shop --x 1\njobs: shop-jobs --fast\n";
  const found = survey(projectOf({ ...project, Procfile, "requirements.txt": "flask\ngunicorn\n" }));
  expect(found.processes).toMatchObject([
    { name: "jobs", command: "python -c 'from shop.jobs import main; main()' --fast" },
  ]);
  expect(found.release?.command).toBe("python -c 'from shop.cli import run; run()' --x 1");
});

test.each([
  ["celery -A web flower --port=5555", "celery -A web flower --port=5555 --address=127.0.0.1"],
  ["celery -A web flower --port=$PORT --address 0.0.0.0", "celery -A web flower --address 0.0.0.0"],
  ["celery --broker $REDIS_URL -A web flower --port $PORT", "celery -A web flower --address=127.0.0.1"],
  ["flower --broker=redis://x", "flower --broker=redis://x --address=127.0.0.1"],
  ["rq-dashboard --port 9181", "rq-dashboard --port 9181 --bind=127.0.0.1"],
])("a page that watches workers is for its host alone, and never there twice: %s", (line, command) => {
  const procfile = projectOf({ "web.py": flask, Procfile: `web: gunicorn web:app\nwatch: ${line}\n` });
  expect(survey(procfile).processes).toMatchObject([{ name: "watch", command, overlap: false }]);
  const text = `services:\n  web:\n    command: gunicorn web:app\n  watch:\n    command: ${line}\n`;
  const compose = projectOf({ "web.py": flask, "compose.yaml": text.replaceAll("$", "$$$$") });
  expect(survey(compose).processes).toMatchObject([{ name: "watch", command, overlap: false }]);
});

test("a beat that two files start is one", () => {
  const files = {
    "web.py": flask,
    Procfile:
      "web: gunicorn web:app\nceleryworker: celery -A web worker -l info -Q a\nslow: celery -A web worker -Q b\ncelerybeat: celery -A web beat -l info\n",
    "compose.yaml":
      "services:\n  w:\n    command: celery -A web worker -l INFO\n  b:\n    command: celery -A web beat -l INFO\n  f:\n    command: celery -A web flower\n",
  };
  expect(survey(projectOf(files)).processes.map(({ name }) => name)).toEqual([
    "celeryworker",
    "slow",
    "celerybeat",
    "f",
  ]);
});

test.each([
  "from importlib.metadata import entry_points\n\nFOUND = entry_points(group='shop.plugins')\n",
  "from importlib.metadata import entry_points\n\nFOUND = entry_points().select(group='shop.plugins')\n",
  "import pkg_resources\n\nFOUND = list(pkg_resources.iter_entry_points('shop.plugins'))\n",
])("a project that looks for its own plugins is installed", (text) => {
  const plugins = `${pyproject}[project.entry-points."shop.plugins"]\nmail = "shop.mail:Mail"\n`;
  const own = (toml: string) =>
    readDependencies(projectOf({ ...project, "pyproject.toml": toml, "shop/web.py": text }), "pyproject.toml");
  expect(own(plugins)?.requirements.map(({ line }) => line)).toContain(".");
  expect(own(pyproject)?.requirements.map(({ line }) => line)).not.toContain(".");
});
