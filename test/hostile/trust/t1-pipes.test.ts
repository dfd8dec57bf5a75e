import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, mkdirSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { appLayout } from "../../../agent/host/store/layout.ts";
import { pathOf } from "../../../shared/call.ts";
import { calls } from "../../../shared/protocol.ts";
import { makeBundle } from "../../fixtures/bundle.ts";
import { type EmbeddedAgent, startAgent } from "../../harness/agent.ts";
import { call, finished } from "../../harness/deploy.ts";
import { freePorts } from "../../harness/ports.ts";

/**
 * T1 (b): what a build left in place of a file that the agent reads stops nobody: not this app's calls, and not those of
 * another app, however many calls there are.
 */
let agent: EmbeddedAgent;
let release: string;
let deployment: string;
const other = "other";
const quickly = 8000;

beforeAll(async () => {
  agent = await startAgent({ name: "pipes" });
  const key = await agent.newKey();
  const ports = await freePorts(2);
  await agent.addApp({ key, ports: ports.slice(0, 1) });
  await agent.addApp({ app: other, key, ports: ports.slice(1) });
  const answer = 'def application(environ, start):\n    start("200 OK", [])\n    return [b"ok"]\n';
  const { bytes, manifest } = makeBundle({
    files: { "app/shop.py": answer },
    config: {
      server: { kind: "gunicorn", app: "shop:application", instances: 1, workers: 1 },
      python: { wheels: "none", system_site_packages: true },
    },
  });
  release = manifest.release;
  const view = await finished(agent, pathOf(calls.deploy, { app: "shop" }, { activate: true }), Readable.from([bytes]));
  expect(view.outcome, view.failure?.detail).toBe("succeeded");
  deployment = view.id;
});
afterAll(() => agent?.[Symbol.asyncDispose]());

const layout = () => appLayout(join(agent.directory, "data"), "shop");

const get = {
  app: () => pathOf(calls.app, { app: "shop" }),
  files: () => pathOf(calls.files, { app: "shop", release }),
  logs: () => pathOf(calls.logs, { app: "shop" }),
  events: () => `${pathOf(calls.events, { id: deployment })}`,
};

/** Each reads another file of the app. */
const places: [file: string, at: () => string, path: () => string][] = [
  ["config.json of the live release", () => layout().config(release), get.app],
  ["manifest.json of the live release", () => layout().manifest(release), get.files],
  ["the log of an instance", () => join(layout().runLogs(release), "web-0.log"), get.logs],
  ["the events of a deployment", () => join(layout().deployments, `${deployment}.ndjson`), get.events],
];

const hostile: [what: string, put: (path: string) => void | Promise<void>][] = [
  ["a pipe", (path) => void execFileSync("mkfifo", [path])],
  ["a pipe that is fed and then no more", feed],
  ["a link to a device without end", (path) => symlinkSync("/dev/zero", path)],
  ["a directory", (path) => void mkdirSync(path)],
  ["a file of a terabyte", terabyte],
];

async function feed(path: string): Promise<void> {
  execFileSync("mkfifo", [path]);
  const feeder = spawn("sh", ["-c", `exec 3<>"$0"; printf '{"app":' >&3; echo ready; exec sleep 120`, path]);
  onTestFinished(async () => {
    const gone = once(feeder, "exit");
    feeder.kill("SIGKILL");
    await gone;
  });
  await once(feeder.stdout, "data");
}

function terabyte(path: string): void {
  writeFileSync(path, "{");
  truncateSync(path, 2 ** 40);
}

/** How the calls end: in time, whether with an answer or with an error. */
function ends(path: string): Promise<"ended" | "hangs"> {
  const { promise, resolve } = Promise.withResolvers<"hangs">();
  const timer = setTimeout(() => resolve("hangs"), quickly);
  const ended = call(agent, "GET", path).then(
    () => "ended" as const,
    () => "ended" as const,
  );
  return Promise.race([ended, promise]).finally(() => clearTimeout(timer));
}

test.each(places.flatMap((place) => hostile.map((what) => [what[0], place[0], what, place] as const)))(
  "T1b: %s in place of %s hangs no call, of this app or another",
  async (_what, _file, [, put], [, at, path]) => {
    const aside = `${at()}.aside`;
    renameSync(at(), aside);
    try {
      await put(at());
      const own = Array.from({ length: 8 }, () => ends(path()));
      const others = Array.from({ length: 3 }, () => ends(pathOf(calls.app, { app: other })));
      expect(new Set(await Promise.all([...own, ...others]))).toEqual(new Set(["ended"]));
    } finally {
      // A reader that was fooled waits no more.
      appendOnce(at());
      rmSync(at(), { recursive: true, force: true });
      renameSync(aside, at());
    }
    expect(await call(agent, "GET", get.app())).toMatchObject({ live: release });
  },
);

/** Ends those who wait for a pipe. */
function appendOnce(path: string): void {
  try {
    execFileSync("timeout", ["1", "sh", "-c", `[ ! -p "$0" ] || echo > "$0"`, path]);
  } catch {
    // Nobody waits for it.
  }
}

test("T1b: what the agent wrote itself is still read", async () => {
  appendFileSync(join(layout().runLogs(release), "web-0.log"), "the last line\n");
  expect(JSON.stringify(await call(agent, "GET", get.logs()))).toContain("the last line");
  expect(await call(agent, "GET", get.files())).toMatchObject({ release });
});
