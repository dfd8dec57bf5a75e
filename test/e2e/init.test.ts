import { cp, mkdir, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TestHost } from "../agent/cli/support.ts";
import { runAction } from "../harness/action.ts";
import { type EmbeddedAgent, type Key, startAgent } from "../harness/agent.ts";
import { offlinePip } from "../harness/places.ts";
import { freePorts } from "../harness/ports.ts";
import { Scratch } from "../harness/scratch.ts";

/**
 * Projects as they are, which `init` describes and the built Action deploys: the first push goes live. All at once: a deploy as
 * `init` writes it is watched for half a minute.
 */

let agent: EmbeddedAgent;
let key: Key;
let person: TestHost;
let scratch: Scratch;

beforeAll(async () => {
  agent = await startAgent();
  key = await agent.newKey();
  person = await TestHost.make();
  scratch = new Scratch("init");
});
afterAll(async () => {
  await agent?.[Symbol.asyncDispose]();
  await person?.close();
  await scratch?.[Symbol.asyncDispose]();
});

const cases = "test/fixtures/cases/projects";

/** @returns what `/` answers */
async function live(app: string, directory: string): Promise<{ url: string; text: string; log: string }> {
  const made = await person.run(["init", directory, "--name", app]);
  expect(made, made.err).toMatchObject({ exit: 0 });
  const [port = 0] = await freePorts(1);
  await agent.addApp({ app, key, ports: [port] });
  const inputs = { hosts: agent.url, "signing-key": key.privatePem };
  const { exitCode, stdout } = await runAction({ inputs, cwd: directory, env: await offlinePip() });
  expect(exitCode, stdout).toBe(0);
  const url = `http://127.0.0.1:${port}`;
  return { url, text: await (await fetch(`${url}/`)).text(), log: stdout };
}

async function copyOf(name: string): Promise<string> {
  const directory = join(scratch.path, basename(name));
  await cp(join(cases, name), directory, { recursive: true });
  await rm(join(directory, "WANTED.md"));
  return directory;
}

test.concurrent("Django whose requirements name no server goes live with the server that init adds, and with its style", async () => {
  const { url, text } = await live("plain", await copyOf("01-django-requirements-without-server"));
  expect(text).toBe("v1");
  expect(await (await fetch(`${url}/static/site.css`)).text()).toContain("color: green");
});

test.concurrent("Django whose manage.py lies in a folder below the requirements goes live from the top", async () => {
  expect((await live("outer", await copyOf("15-manage-py-in-a-folder-requirements-above"))).text).toBe("v1");
});

test.concurrent("Django without a static file goes live, and the log says that there are none", async () => {
  const { text, log } = await live("api", await copyOf("35-no-static-file-at-all"));
  expect([text, log]).toEqual(["v1", expect.stringContaining("/static/: there are no static files.")]);
});

test.concurrent("an application in src that a Dockerfile names goes live, though nothing else says what it is", async () => {
  const directory = join(scratch.path, "srcapp");
  const files = {
    "src/hello/entry.py":
      "def site(environ, start_response):\n    start_response('200 OK', [('Content-Type', 'text/plain')])\n    return [b'from src']\n",
    "src/hello/__init__.py": "",
    "requirements.txt": "gunicorn\n",
    Dockerfile:
      'FROM python:3.11 AS build\nRUN true\nFROM python:3.11\nWORKDIR /srv/src\nENTRYPOINT ["dumb-init", "--"]\nCMD ["gunicorn", "-b", ":80", "hello.entry:site"]\n',
  };
  for (const [file, text] of Object.entries(files)) {
    await mkdir(dirname(join(directory, file)), { recursive: true });
    await writeFile(join(directory, file), text);
  }
  expect((await live("srcapp", directory)).text).toBe("from src");
});
