import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ActionResult, runAction } from "../harness/action.ts";
import { type EmbeddedAgent, type Key, startAgent } from "../harness/agent.ts";
import { offlinePip } from "../harness/places.ts";
import { freePorts } from "../harness/ports.ts";
import { Scratch } from "../harness/scratch.ts";

/** Projects that once failed on a host: each is deployed as it is, or another test has its kind. */

const cases = join(import.meta.dirname, "../fixtures/cases/deploys");
const stack = new AsyncDisposableStack();
let agent: EmbeddedAgent;
let key: Key;
let url: string;

beforeAll(async () => {
  agent = stack.use(await startAgent({ name: "cases" }));
  key = await agent.newKey();
  const [port = 0] = await freePorts(1);
  url = `http://127.0.0.1:${port}`;
  await agent.addApp({ key, ports: [port] });
});
afterAll(() => stack.disposeAsync());

interface Row {
  /** Keys of cutover.yml instead of its own, such as to import for a shorter time. */
  change?: (text: string, name: string) => string;
  /** Its packages are installed by pip. */
  pip?: true;
  /** The body of `/`. */
  answer: string | RegExp;
  says?: RegExp;
  /** Lines in the instance's log. */
  log?: RegExp[];
}

const address = /'REMOTE_ADDR': '127\.0\.0\.1'.*'wsgi\.url_scheme': 'http'/;

const deployed: Record<string, Row> = {
  "02-gunicorn-remote-addr": { answer: address },
  "07-src-layout": { answer: "hello" },
  "08-slow-import": {
    // gunicorn's time-out is shorter here, and so is the import.
    change: (text, name) =>
      name === "wsgi.py" ? text.replace("sleep(40)", "sleep(4)") : `${text}env: { GUNICORN_CMD_ARGS: "--timeout 2" }\n`,
    answer: "hello",
  },
  "09-gunicorn-conf-daemon": {
    answer: address,
    says: /gunicorn\.conf\.py:1: daemon = True does not count/,
    log: [/daemon = True of gunicorn's own settings does not count/],
  },
  "09-gunicorn-conf-workers": {
    change: (text) => text.replace(", workers: 1", ""),
    answer: address,
    log: [/bind = '0\.0\.0\.0:8000' of gunicorn's own settings does not count/, /gunicorn has 4 workers/],
  },
  "10-uwsgi-ini": { answer: /'mode': 'production', 'price': \d/, log: [/spawned uWSGI worker 1 /] },
  "15-celery-beat": { answer: "hello", says: /--schedule \{shared\}\/celerybeat-schedule/ },
  "17-env-values": { answer: /"CFG_PERCENT": "100%s %\(ENV_X\)s; # \\" ' \$HOME".*"CFG_MULTI": "a\\nb\\tc"/ },
  "18-bind-default-mode": { answer: "hello" },
  "19-websocket": { answer: "hello" },
};

/** Those that need another host, another release of a server or a lock's own wheels: the test that has their kind. */
const elsewhere: Record<string, [file: string, title: string]> = {
  "01-uvicorn-forged-client": ["test/agent/host/nginx/front.test.ts", "H11 uvicorn takes for the client"],
  "03-uv-project": ["test/e2e/dependencies.test.ts", "a project with uv.lock goes live"],
  "05-utf16-requirements": ["test/e2e/dependencies.test.ts", "requirements that PowerShell wrote go live"],
  "11-static-names": ["test/agent/host/nginx/files.test.ts", "static: files of the live release"],
  "12-long-server-name": ["test/agent/host/nginx/effects.test.ts", "several addresses, and names"],
  "13-django-startproject": ["test/e2e/shared-paths.test.ts", "starts with the database of the project"],
  "16-gunicorn-26": ["test/agent/host/server-files.test.ts", "gunicorn.conf.py counts"],
  "21-built-on-runner": [
    "test/action/hosts/wheel-fit.test.ts",
    "that were built on a runner with a newer glibc are refused",
  ],
  "22-tls-in-front": ["test/agent/host/nginx/front.test.ts", "H11 behind an nginx or an HAProxy that ends TLS"],
  "23-beat-on-two-hosts": ["test/e2e/several-hosts.test.ts", "a process for the first host runs on no other"],
  "24-requirements-forms": ["test/e2e/dependencies.test.ts", "the environment on the host is used again"],
  "26-upload-beside-code": ["test/agent/host/nginx/effects.test.ts", "proxy_request_buffering"],
  "27-early-answer": ["test/agent/host/nginx/effects.test.ts", "proxy_request_buffering"],
};

test("each case has a row", () => {
  expect(readdirSync(cases).toSorted()).toEqual(
    ["06-pkg-resources", ...Object.keys(deployed), ...Object.keys(elsewhere)].toSorted(),
  );
});

test.each(Object.entries(elsewhere))("another test has the kind of %s", (_, [file, title]) => {
  expect(readFileSync(file, "utf8")).toContain(title);
});

async function deploy(name: string, { change = (text) => text, pip }: Row): Promise<ActionResult> {
  const cwd = stack.use(new Scratch(name)).path;
  cpSync(join(cases, name), cwd, { recursive: true });
  for (const file of ["cutover.yml", "wsgi.py"]) {
    if (!readdirSync(cwd).includes(file)) continue;
    const text = change(readFileSync(join(cwd, file), "utf8"), file);
    const python = file !== "cutover.yml" || pip === true || /^python:/m.test(text);
    // Debian's packages, where the case is not about packages.
    const watched = /^watch:/m.test(text) || file !== "cutover.yml" ? "" : "keep_warm: 0s\nwatch: 0s\n";
    writeFileSync(
      join(cwd, file),
      `${text}${watched}${python ? "" : "python: { wheels: none, system_site_packages: true }\n"}`,
    );
  }
  return runAction({ inputs: { hosts: agent.url, "signing-key": key.privatePem }, cwd, env: await offlinePip() });
}

test("06-pkg-resources is told what to remove, before anything is packed", async () => {
  const { exitCode, annotations } = await deploy("06-pkg-resources", { pip: true, answer: "" });
  expect(exitCode).toBe(1);
  expect(annotations[0]?.message).toMatch(
    /requirements\.txt has pkg-resources==0\.0\.0, which is no package: .* Remove the line/,
  );
});

test.each(Object.entries(deployed))("%s goes live", async (name, row) => {
  const { exitCode, stdout } = await deploy(name, row);
  expect(exitCode, stdout).toBe(0);
  const body = await (await fetch(url)).text();
  if (typeof row.answer === "string") expect(body).toBe(row.answer);
  else expect(body).toMatch(row.answer);
  if (row.says !== undefined) expect(stdout).toMatch(row.says);
  if (row.log === undefined) return;
  const logs = (await agent.cutover("logs", "shop", "-n", "200")).stdout;
  for (const line of row.log) expect(logs).toMatch(line);
});
