import { cpSync, readFileSync } from "node:fs";
import { describe, expect, it, test } from "vitest";
import { pack } from "../../../action/bundle/pack.ts";
import { sayAdvice } from "../../../action/project/advice.ts";
import { deployCheck } from "../../../action/project/deploy-check.ts";
import type { Noticed } from "../../../action/project/warning.ts";
import { execute } from "../../../action/runner/exec.ts";
import { realTime, type Time } from "../../../action/runner/time.ts";
import { jobIn } from "../job-in.ts";
import { RecordedConsole } from "../recorded-console.ts";
import { configOf, never, refusal, Workspace } from "../workspace.ts";

/** Each asks a real Django. */

const collect = "/usr/bin/python3 manage.py collectstatic --noinput";
const parts = {
  server: { kind: "gunicorn", app: "mysite.wsgi:application" },
  static: [{ url: "/static/", collect, from: "staticfiles" }],
  python: { wheels: "none" },
};

/** A project of Django's with these lines at the end of its settings. */
function project(lines: string): Workspace {
  const space = new Workspace();
  cpSync("test/fixtures/cases/projects/35-no-static-file-at-all", space.at("p"), { recursive: true });
  const settings = readFileSync(space.at("p/mysite/settings.py"), "utf8");
  space.write("p/mysite/settings.py", `${settings}${lines}`);
  return space;
}

interface Asked {
  config?: object;
  time?: Time;
  signal?: AbortSignal;
}

async function noticed(space: Workspace, { config = {}, time = realTime, signal = never }: Asked = {}) {
  const env = { PATH: "/usr/bin:/bin" };
  const context = { directory: space.at("p"), env, bin: undefined, exec: execute, time, signal };
  return deployCheck(configOf({ ...parts, ...config }), context);
}

const named = { site: { server_name: ["shop.example.com", "*.example.org"] } };
const plainHttp = { site: { listen: [80], server_name: ["shop.example.com"] } };
const good = 'import os\nDEBUG = False\nALLOWED_HOSTS = [".example.com"]\n';

const rows: [string, string, object, RegExp[]][] = [
  ["what is good", `${good}SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = True\n`, named, []],
  [
    "a name that Django refuses",
    'DEBUG = False\nALLOWED_HOSTS = ["example.com"]\n',
    named,
    [
      /^ALLOWED_HOSTS lacks shop\.example\.com, so Django answers 400 .* write ALLOWED_HOSTS = \["shop\.example\.com"\]/,
    ],
  ],
  ["no name at all", "DEBUG = False\nALLOWED_HOSTS = []\n", {}, [/^ALLOWED_HOSTS is empty, so .* every visitor/]],
  ["DEBUG that the text does not show", `${good}DEBUG = len(ALLOWED_HOSTS) == 1\n`, named, [/^DEBUG is True, so /]],
  ["DEBUG that check has told of already", `${good}DEBUG = True\n`, named, []],
  [
    "cookies that no browser keeps",
    `${good}SESSION_COOKIE_SECURE = True\nCSRF_COOKIE_SECURE = True\n`,
    plainHttp,
    [/^SESSION_COOKIE_SECURE is True, .* nobody can log in/, /^CSRF_COOKIE_SECURE is True/],
  ],
  [
    "a redirect to where nothing listens",
    `${good}SECURE_SSL_REDIRECT = True\n`,
    plainHttp,
    [/^SECURE_SSL_REDIRECT sends every visitor to https, and the site listens without TLS: add "443 ssl"/],
  ],
  [
    "a redirect in a circle",
    `${good}SECURE_SSL_REDIRECT = True\n`,
    {
      ...named,
      server: { kind: "hypercorn", app: "mysite.asgi:application" },
      env: { DJANGO_SETTINGS_MODULE: "mysite.settings" },
    },
    [/^SECURE_SSL_REDIRECT without SECURE_PROXY_SSL_HEADER sends visitors round in a circle/],
  ],
  [
    "a fault of Django's own checks",
    `${good}TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "OPTIONS": {"string_if_invalid": 1}}]\n`,
    named,
    [/^Django's check fails: .*templates\.E002/],
  ],
];

test.each(rows)("%s", async (_, lines, config, wanted) => {
  using space = project(lines);
  const found = await noticed(space, { config });
  expect(found.map(({ message }) => message)).toEqual(wanted.map((each) => expect.stringMatching(each)));
});

describe("who is not asked", () => {
  it("is a project whose settings cannot be loaded here", async () => {
    using space = project('import os\nSECRET_KEY = os.environ["OF_THE_HOST"]\n');
    expect(await noticed(space)).toEqual([]);
  });

  it("is one that takes too long, and the job goes on", async () => {
    using space = project("import time\ntime.sleep(60)\n");
    const soon: Time = { ...realTime, after: (_ms, call, ref) => realTime.after(300, call, ref) };
    const began = performance.now();
    expect(await noticed(space, { time: soon })).toEqual([]);
    expect(performance.now() - began).toBeLessThan(20_000);
  });

  it("is one of another framework", async () => {
    using space = project("");
    const config = { static: [{ url: "/static/", collect: "npm run build", from: "dist" }] };
    expect(await noticed(space, { config })).toEqual([]);
  });

  it("is anyone once the job is cancelled", async () => {
    using space = project("import time\ntime.sleep(60)\n");
    const job = new AbortController();
    const cancelled = new Error("cancelled");
    setTimeout(() => job.abort(cancelled), 300);
    await expect(noticed(space, { signal: job.signal })).rejects.toBe(cancelled);
  });
});

it("has the settings that wsgi.py names, which manage.py does not know", async () => {
  using space = project(good);
  space.write("p/mysite/live.py", "from .settings import *\nALLOWED_HOSTS = []\n");
  const wsgi = readFileSync(space.at("p/mysite/wsgi.py"), "utf8");
  space.write("p/mysite/wsgi.py", wsgi.replace("mysite.settings", "mysite.live"));
  const found: Noticed[] = await noticed(space);
  expect(found).toEqual([
    { file: "mysite/live.py", line: 2, message: expect.stringMatching(/^ALLOWED_HOSTS is empty/) },
  ]);
});

/** The annotations and the log of a job that packs this. */
async function packed(space: Workspace): Promise<RecordedConsole> {
  const console = new RecordedConsole();
  const job = jobIn(space, { config: { ...parts, ...named }, console });
  await pack(job);
  await sayAdvice(job);
  return console;
}

it("is an annotation on the line of the settings, and a line of the log where the hosts may say otherwise", async () => {
  using space = project('DEBUG = False\nALLOWED_HOSTS = ["a.example.com"]\n');
  const said = (await packed(space)).taken.filter(({ command }) => command === "warning");
  expect(said.map(({ text }) => text)).toEqual([
    expect.stringMatching(/^mysite\/settings\.py:\d+: ALLOWED_HOSTS lacks/),
  ]);
  using unsure = project('import os\nDEBUG = False\nALLOWED_HOSTS = os.environ.get("HOSTS", "").split(",")\n');
  const { taken, lines } = await packed(unsure);
  expect(taken.filter(({ command }) => command === "warning")).toEqual([]);
  expect(lines.join("\n")).toContain("Unless the environment on the hosts says otherwise: ALLOWED_HOSTS lacks shop.");
});

it("is not waited for until the job ends", async () => {
  using space = project("import sys, time\nif 'shell' in sys.argv: time.sleep(600)\n");
  let expire = () => {};
  const after: Time["after"] = (_ms, call) => {
    expire = call;
    return () => undefined;
  };
  const job = jobIn(space, { config: { ...parts, ...named } });
  const waiting = { ...job, effects: { ...job.effects, time: { ...realTime, after } } };
  // It does not end before its limit, which this test decides about.
  await pack(waiting);
  expire();
  await sayAdvice(waiting);
});

it("ends when the files cannot be collected", async () => {
  using space = project("import sys, time\nif 'shell' in sys.argv: time.sleep(60)\nelse: raise OSError('no files')\n");
  const began = performance.now();
  expect((await refusal(() => packed(space))).code).toBe("collect_failed");
  expect(performance.now() - began).toBeLessThan(15_000);
});
