import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ActionResult, runAction } from "../harness/action.ts";
import { type EmbeddedAgent, type Key, startAgent } from "../harness/agent.ts";
import { offlinePip } from "../harness/places.ts";
import { freePorts } from "../harness/ports.ts";
import { Scratch } from "../harness/scratch.ts";

/** Projects that say in other forms than requirements.txt what they need, with the built Action, real pip and real gunicorn. */

const stack = new AsyncDisposableStack();
let agent: EmbeddedAgent;
let key: Key;
let project: string;
let url: string;

beforeAll(async () => {
  agent = stack.use(await startAgent({ name: "deps" }));
  project = stack.use(new Scratch("deps")).path;
  key = await agent.newKey();
  const [port = 0] = await freePorts(1);
  url = `http://127.0.0.1:${port}`;
  await agent.addApp({ key, ports: [port] });
  write("cutover.yml", cutoverYml());
  write("main.py", page("first"));
});
afterAll(() => stack.disposeAsync());

const cutoverYml = (more = "") => `app: shop
server: { kind: gunicorn, app: "main:app", instances: 1, workers: 1 }
keep_warm: 0s
watch: 0s
${more}`;

const page = (text: string) => `def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"${text}"]
`;

function write(name: string, text: string | Buffer): void {
  mkdirSync(dirname(join(project, name)), { recursive: true });
  writeFileSync(join(project, name), text);
}

async function run(inputs: Record<string, string> = {}): Promise<ActionResult> {
  const given = { hosts: agent.url, "signing-key": key.privatePem, ...inputs };
  return runAction({ inputs: given, cwd: project, env: await offlinePip() });
}

async function deploy(inputs: Record<string, string> = {}): Promise<string> {
  const { exitCode, stdout } = await run(inputs);
  expect(exitCode, stdout).toBe(0);
  return stdout;
}

const answer = async () => (await fetch(url)).text();

async function locked(file: string): Promise<string> {
  const hash = createHash("sha256")
    .update(readFileSync(join((await offlinePip()).PIP_FIND_LINKS ?? "", file)))
    .digest("hex");
  const [name, version] = file.split("-");
  return `[[package]]
name = "${name}"
version = "${version}"
source = { registry = "https://pypi.org/simple" }
wheels = [{ url = "https://files.example.com/${file}", hash = "sha256:${hash}" }]
`;
}

test("a project with uv.lock goes live, its wheels checked by their hashes", async () => {
  write("pyproject.toml", '[project]\nname = "shop"\nversion = "0"\ndependencies = ["gunicorn", "common"]\n');
  const root = `version = 1
[[package]]
name = "shop"
version = "0"
source = { virtual = "." }
dependencies = [{ name = "gunicorn" }, { name = "setuptools" }, { name = "common" }]
[[package]]
name = "common"
version = "1.0"
source = { editable = "libs/common" }
`;
  write(
    "libs/common/setup.py",
    'from setuptools import setup\nsetup(name="common", version="1.0", packages=["common"])\n',
  );
  write("libs/common/common/__init__.py", "TEXT = 'from the workspace'\n");
  write("main.py", `import common\n${page("x").replace('b"x"', "common.TEXT.encode()")}`);
  const wheels = ["gunicorn-20.1.0-py3-none-any.whl", "setuptools-66.1.1-py3-none-any.whl"];
  write("uv.lock", [root, ...(await Promise.all(wheels.map(locked)))].join("\n"));
  const log = await deploy({ "pip-arguments": "--no-build-isolation" });
  expect(log).toContain("Found in the project: python.requirements: uv.lock.");
  expect(await answer()).toBe("from the workspace");
});

test("the environment on the host is used again while nothing that it is made of changed", async () => {
  write("readme.txt", "changed\n");
  expect(await deploy({ "pip-arguments": "--no-build-isolation" })).toMatch(/environment \w+ reused/);
  write("libs/common/common/__init__.py", "TEXT = 'changed'\n");
  expect(await deploy({ "pip-arguments": "--no-build-isolation" })).toMatch(/environment \w+ made/);
  expect(await answer()).toBe("changed");
});

test("requirements that PowerShell wrote go live", async () => {
  write("main.py", page("from UTF-16"));
  write("requirements.txt", Buffer.from("\ufeffgunicorn==20.1.0\r\nsetuptools==66.1.1\r\n", "utf16le"));
  await deploy();
  expect(await answer()).toBe("from UTF-16");
});

test("wheels for a Python that the host lacks are refused before anything is sent", async () => {
  write("cutover.yml", cutoverYml('python: { version: "3.8" }\n'));
  const before = await agent.appView();
  expect(before.host?.pythons.length).toBeGreaterThan(0);
  expect(before.host?.glibc).toMatch(/^2\.\d+$/);
  const { exitCode, annotations, stdout } = await run();
  expect(exitCode).toBe(1);
  const [{ message = "" } = {}] = annotations.filter(({ level }) => level === "error");
  expect(message, stdout).toMatch(/^The release is for Python 3\.8, and 127\.0\.0\.1:\d+ has 3\.\d+/);
  expect(message).toContain("below actions/setup-python");
  expect((await agent.appView()).deployment).toEqual(before.deployment);
  write("cutover.yml", cutoverYml());
});
