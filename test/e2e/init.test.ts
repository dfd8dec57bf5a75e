import { createHash } from "node:crypto";
import { once } from "node:events";
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TestHost } from "../agent/cli/support.ts";
import { runAction } from "../harness/action.ts";
import { type EmbeddedAgent, type Key, startAgent } from "../harness/agent.ts";
import { offlinePip, offlineWheels } from "../harness/places.ts";
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
async function live(
  app: string,
  directory: string,
  wheels = offlinePip(),
): Promise<{ url: string; text: string; log: string }> {
  const made = await person.run(["init", directory, "--name", app]);
  expect(made, made.err).toMatchObject({ exit: 0 });
  const [port = 0] = await freePorts(1);
  await agent.addApp({ app, key, ports: [port] });
  const log = await deploy(directory, await wheels);
  const url = `http://127.0.0.1:${port}`;
  return { url, text: await (await fetch(`${url}/`)).text(), log };
}

/** @returns the job's log */
async function deploy(directory: string, env: Record<string, string>): Promise<string> {
  const inputs = { hosts: agent.url, "signing-key": key.privatePem };
  const { exitCode, stdout } = await runAction({ inputs, cwd: directory, env });
  expect(exitCode, stdout).toBe(0);
  return stdout;
}

/** The next deploy of what `live` made, without half a minute of watching. */
async function deployAgain(directory: string, env: Record<string, string>): Promise<void> {
  const file = join(directory, "cutover.yml");
  await writeFile(file, `${await readFile(file, "utf8")}watch: 0s\n`);
  await deploy(directory, env);
}

async function write(directory: string, files: Record<string, string>): Promise<void> {
  for (const [file, text] of Object.entries(files)) {
    await mkdir(dirname(join(directory, file)), { recursive: true });
    await writeFile(join(directory, file), text);
  }
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
  await write(directory, files);
  expect((await live("srcapp", directory)).text).toBe("from src");
});

/** One package of a poetry.lock, with the hash of its wheel. */
async function locked(wheels: string, file: string, dependencies = ""): Promise<string> {
  const [name, version] = file.split("-");
  const hash = createHash("sha256")
    .update(await readFile(join(wheels, file)))
    .digest("hex");
  return `[[package]]
name = "${name}"
version = "${version}"
description = ""
optional = false
python-versions = ">=3.7"
files = [{file = "${file}", hash = "sha256:${hash}"}]
${dependencies}
`;
}

test.concurrent("a poetry project goes live from its lock, with its own package in src", async () => {
  const directory = join(scratch.path, "poetry");
  const pip = await offlineWheels("wheels-poetry", ["gunicorn", "poetry-core"]);
  const wheels = pip.PIP_FIND_LINKS ?? "";
  const packages = [
    await locked(wheels, "gunicorn-20.1.0-py3-none-any.whl", '[package.dependencies]\nsetuptools = ">=3.0"\n'),
    await locked(wheels, "setuptools-66.1.1-py3-none-any.whl"),
  ];
  await write(directory, {
    "pyproject.toml": `[tool.poetry]
name = "letters"
version = "0.1.0"
description = ""
authors = ["Ann <ann@example.com>"]
packages = [{ include = "letters", from = "src" }]
[tool.poetry.dependencies]
python = "^3.9"
gunicorn = "^20.1"
[tool.poetry.group.dev.dependencies]
pytest = "^8"
[build-system]
requires = ["poetry-core"]
build-backend = "poetry.core.masonry.api"
`,
    "poetry.lock": `${packages.join("\n")}
[metadata]
lock-version = "2.0"
python-versions = "^3.9"
content-hash = "0"
`,
    "src/letters/__init__.py": "",
    "src/letters/text.py": "TEXT = b'dear'\n",
    "src/letters/web.py": `from letters.text import TEXT


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [TEXT]
`,
    Procfile: "web: poetry run gunicorn letters.web:app\n",
  });
  const { url, text, log } = await live("letters", directory, Promise.resolve(pip));
  expect(text).toBe("dear");
  expect(log).toContain("python.requirements: poetry.lock");
  await write(directory, { "src/letters/text.py": "TEXT = b'yours'\n" });
  await deployAgain(directory, pip);
  expect(await (await fetch(`${url}/`)).text()).toBe("yours");
});

test.concurrent("WebSockets get through as init wrote it, and one that is open outlives the next deploy", async () => {
  const directory = join(scratch.path, "chat");
  const pip = await offlineWheels("wheels-asgi", ["gunicorn", "starlette", "uvicorn", "wsproto"]);
  const main = (version: string) => `from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket


async def home(request):
    return PlainTextResponse("${version}")


async def chat(websocket: WebSocket):
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(f"${version} {text}")


app = Starlette(routes=[Route("/", home), WebSocketRoute("/chat", chat)])
`;
  await write(directory, { "main.py": main("v1"), "requirements.txt": "starlette\nuvicorn\nwsproto\n" });
  const { url, text } = await live("chat", directory, Promise.resolve(pip));
  expect(await readFile(join(directory, "cutover.yml"), "utf8")).toMatch(/^ {2}upgrade: true /m);
  expect(text).toBe("v1");
  const [open, said] = await chatting(url);
  expect(await said("one")).toBe("v1 one");
  await write(directory, { "main.py": main("v2") });
  await deployAgain(directory, pip);
  // It stays with its release, and new ones are the new release's.
  expect(await said("two")).toBe("v1 two");
  open.close();
  const [next, answered] = await chatting(url);
  expect(await answered("three")).toBe("v2 three");
  next.close();
});

/** An open WebSocket, and what is answered to a text on it. */
async function chatting(url: string): Promise<[WebSocket, (text: string) => Promise<string>]> {
  const socket = new WebSocket(`${url.replace("http", "ws")}/chat`);
  await once(socket, "open");
  const said = async (text: string) => {
    const answer = once(socket, "message");
    socket.send(text);
    const [{ data }] = (await answer) as [MessageEvent];
    return String(data);
  };
  return [socket, said];
}
