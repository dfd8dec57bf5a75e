import { expect, test } from "vitest";
import { configSchema } from "../../shared/config.ts";
import { type Project, projectFaults } from "../../shared/project.ts";

function project(files: Record<string, string>): Project {
  return {
    exists: (path) => Object.keys(files).some((file) => file === path || file.startsWith(`${path}/`)),
    read: (path) => files[path],
    folders: () => [...new Set(Object.keys(files).flatMap((file) => file.split("/").slice(0, -1).slice(0, 1)))],
  };
}

const good = {
  "shop/urls.py": "",
  "shop/wsgi.py": "application = 1",
  "manage.py": "",
  "requirements.txt": "Django\ngunicorn==20\ncelery\n",
};
const server = { kind: "gunicorn", app: "shop.wsgi:application" };

function faults(config: object, files: Record<string, string> = good): string[] {
  return projectFaults(configSchema.parse({ app: "shop", server, ...config }), project(files)).map(
    ({ severity, path, message }) => `${severity} ${path.join(".")}: ${message}`,
  );
}

test("a project that has all that its file names", () => {
  const config = {
    static: [{ url: "/s/", from: "collected", collect: "python manage.py collectstatic" }],
    release: { command: "python manage.py migrate" },
    processes: { worker: { command: "celery -A shop worker" } },
    site: { error_page: "shop/wsgi.py" },
  };
  expect(faults(config)).toEqual([]);
});

test.each([
  [{ version: "3.6" }, good, ["error python.version: 3.6 cannot install requirements"]],
  [{ version: "3.7" }, good, []],
  [{ version: "3.6", wheels: "none", system_site_packages: true }, good, []],
])("a Python that is too old for the hosts' pip: %j", (python, files, wanted) => {
  const found = faults({ python }, files).filter((fault) => fault.includes("python.version"));
  expect(found.map((fault) => fault.split(":").slice(0, 2).join(":"))).toEqual(wanted);
});

test.each([
  [
    "a module that is not there",
    {},
    { ...good, "shop/wsgi.py": undefined },
    /^error server.app: shop.wsgi:application: the project has neither shop\/wsgi.py nor shop\/wsgi\/__init__.py$/,
  ],
  [
    "an attribute that is not there",
    {},
    { ...good, "shop/wsgi.py": "app = 1" },
    /^error server.app: .*shop\/wsgi.py has no `application`$/,
  ],
  [
    "a script that is not there",
    { release: { command: "python migrate.py" } },
    good,
    /^error release.command: the project has no migrate.py$/,
  ],
  [
    "a process's script",
    { processes: { beat: { command: ["python3", "jobs/beat.py"] } } },
    good,
    /^error processes.beat.command: .*jobs\/beat.py$/,
  ],
  [
    "the folder of static files",
    { static: [{ url: "/s/", from: "assets" }] },
    good,
    /^error static.0.from: the project has no folder assets;/,
  ],
  [
    "the whole project as static files",
    { static: [{ url: "/s/", from: "./" }] },
    good,
    /^error static.0.from: is the whole project/,
  ],
  ["an error page", { site: { error_page: "50x.html" } }, good, /^error site.error_page: the project has no 50x.html$/],
  [
    "requirements that are named",
    { python: { requirements: "deploy.txt" } },
    good,
    /^error python.requirements: the project has no deploy.txt$/,
  ],
  [
    "requirements without the server",
    {},
    { ...good, "requirements.txt": "Django\n" },
    /^warning server.kind: requirements.txt does not name gunicorn.*; add it there, or write `python: { extra: \[gunicorn\] }`$/,
  ],
  [
    "requirements with hashes, which are whole, without the server",
    {},
    { ...good, "requirements.txt": "django==4.2 --hash=sha256:00\n" },
    /^error server.kind: requirements.txt does not name gunicorn, .*`python: { extra: \[gunicorn\] }`$/,
  ],
  [
    "no requirements",
    {},
    { ...good, "requirements.txt": undefined },
    /^warning server.kind: .*no gunicorn will be installed; add it there, or write `python: { extra: \[gunicorn\] }`$/,
  ],
  [
    "no requirements, and a uWSGI that may be the distribution's",
    { server: { kind: "uwsgi", app: "shop.wsgi:application" } },
    { ...good, "requirements.txt": undefined },
    /^warning server.kind: .*no uwsgi will be installed/,
  ],
  [
    "no requirements, and other packages that are added",
    { python: { extra: ["flask"] } },
    { ...good, "requirements.txt": undefined },
    /^warning server.kind: .*`python: { extra: \[flask, gunicorn\] }`$/,
  ],
  [
    "an expression of a workflow",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the text that the app would get
    { env: { TOKEN: "${{ secrets.TOKEN }}" } },
    good,
    /^warning env.TOKEN: the app gets the text .* as it stands.*`cutover env set APP TOKEN`/,
  ],
  [
    "an environment that cutover sets",
    { env: { PATH: "/bin", CUTOVER_APP: "x" } },
    good,
    /^warning env.PATH: has no effect/,
  ],
] as const)("%s", (_, config, files, expected) => {
  const there = Object.fromEntries(Object.entries(files).filter(([, text]) => text !== undefined));
  expect(faults(config, there as Record<string, string>).join("\n")).toMatch(new RegExp(expected.source, "m"));
});

test.each([
  ["gunicorn -b {socket} shop.wsgi &", "ends with &, and what supervisor starts must stay in the foreground"],
  ["cd shop && python app.py {socket}", "cd is a word of a shell: write it as `sh -c '...'`"],
  ["python app.py {socket} > out.log 2>&1", "> is a word of a shell"],
  ["python app.py {socket} | tee out.log", "| is a word of a shell"],
  ["python a.py {socket}; python b.py", "a.py {socket};"],
  ["DEBUG=0 python app.py {socket}", "DEBUG=0 would set a variable in a shell: write DEBUG into `env`"],
])("a command for a shell, %s, is told before anything is packed", (command, message) => {
  const told = faults({ server: { kind: "command", command } }, { ...good, "app.py": "", "a.py": "" });
  expect(told).toEqual([expect.stringContaining("error server.command: ")]);
  if (!message.includes(";")) expect(told[0]).toContain(message);
});

test.each([
  ["sh -c 'cd shop && exec python app.py {socket} 2>&1'"],
  [["serve", "&", "{socket}"]],
  ["serve --filter='a|b' --url=http://x/?a=1&b=2 {socket}"],
])("a command that only looks like one for a shell, %s, is no fault", (command) => {
  expect(faults({ server: { kind: "command", command } })).toEqual([]);
});

test("a server that python.extra adds needs no other requirements", () => {
  expect(faults({ python: { extra: ["gunicorn>=20"] } }, { ...good, "requirements.txt": "Django\n" })).toEqual([]);
  expect(faults({ python: { extra: ["gunicorn"] } }, { "shop/wsgi.py": "application = 1" })).toEqual([]);
});

test.each([
  [{ kind: "daphne", app: "shop:make()" }, /daphne calls no function/],
  [{ kind: "uvicorn", app: "shop:make(1)" }, /uvicorn calls a function only without arguments/],
  [{ kind: "uvicorn", app: "shop:app", interface: "wsgi" }, /only granian is told/],
  [{ kind: "granian", app: "shop:app", threads: 2 }, /has no threads/],
])("a server that cannot do what is asked of it: %j", (server, message) => {
  const { success, error } = configSchema.safeParse({ app: "shop", server });
  expect([success, error?.issues.map((issue) => issue.message).join()]).toEqual([
    false,
    expect.stringMatching(message),
  ]);
});

test("what comes out of the requirements, or is made in ways that cannot be seen, is no fault", () => {
  expect(faults({ server: { kind: "gunicorn", app: "elsewhere.wsgi:app" } })).toEqual([]);
  expect(faults({}, { ...good, "shop/wsgi.py": "from x import *" })).toEqual([]);
  expect(faults({}, { ...good, "requirements.txt": "-r base.txt", "base.txt": "Gunicorn[gevent]>=20" })).toEqual([]);
  expect(faults({ python: { system_site_packages: true } }, { "shop/wsgi.py": "application = 1" })).toEqual([]);
  expect(faults({ server: { kind: "command", command: "bin/serve {socket}" } }, {})).toEqual([]);
});
