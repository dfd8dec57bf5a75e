import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { METHODS, request } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createHttpApp } from "../../../agent/http/app.ts";
import { localOperator } from "../../../agent/http/auth/authorize.ts";
import { type RunningServer, startServer } from "../../../agent/http/server.ts";
import { createLogger } from "../../../agent/logger.ts";
import { Looks } from "../../../agent/ui/look.ts";
import { createPage } from "../../../agent/ui/page.ts";
import { createPublicPage, PublicLooks } from "../../../agent/ui/public/index.ts";
import { Sessions } from "../../../agent/ui/session.ts";
import { AuditInMemory } from "../../fakes/audit.ts";
import { FakeService } from "../../fakes/service.ts";
import { freePorts } from "../../harness/ports.ts";
import { runProgram } from "../../harness/run.ts";
import { Scratch } from "../../harness/scratch.ts";
import { deployment, fullView, live, secret, secretNumber, seen, withSecrets } from "./outsider.ts";

let scratch: Scratch;
let server: RunningServer;
let front: number;
const service = new FakeService(["shop", "games"].map((app) => withSecrets(fullView(app), "")));
const errors: unknown[] = [];
let broken: Error | undefined;
/** How often the agent was asked for an app. */
let looks = 0;

function source() {
  return {
    async app(app: string) {
      looks++;
      if (broken !== undefined) throw broken;
      return service.app(app);
    },
    requests: async () => withSecrets(seen),
    apps: async () => ["shop"],
    now: () => Date.now(),
  };
}

/** What nginx is told, from the page's own docs, at a path. */
function snippet(path: string, port: number): string {
  const found =
    /<!-- snippet:nginx -->\n```nginx\n(.*?)```/s.exec(readFileSync("agent/ui/README.md", "utf8"))?.[1] ?? "";
  for (const part of ["rate=10r/s", "listen 80;", "location / {", "http://127.0.0.1:7081/"])
    expect(found).toContain(part);
  return found
    .replace("rate=10r/s", "rate=9000r/s")
    .replace("listen 80;", `listen 127.0.0.1:${port};`)
    .replace("location / {", `location ${path} {`)
    .replace("http://127.0.0.1:7081/", `http://${server.address}/`);
}

beforeAll(async () => {
  scratch = new Scratch("public-page");
  // An app that agent.yml names before it is on the host.
  const published = new PublicLooks(source(), ["shop", "later"]);
  const app = createPublicPage({ looks: published, onError: (thrown) => errors.push(thrown) });
  await published.samples.take();
  await published.samples.take();
  server = await startServer({ host: "127.0.0.1", port: 0 }, { app });
  [front = 0] = await freePorts(1);
  const conf = join(scratch.path, "nginx.conf");
  await writeFile(
    conf,
    `pid ${scratch.path}/nginx.pid;
error_log ${scratch.path}/error.log;
events {}
http {
  access_log off;
  client_body_temp_path ${scratch.path}/body;
  proxy_temp_path ${scratch.path}/proxy;
  fastcgi_temp_path ${scratch.path}/fastcgi;
  uwsgi_temp_path ${scratch.path}/uwsgi;
  scgi_temp_path ${scratch.path}/scgi;
  ${snippet("/deploys/", front)}
}
`,
  );
  // It answers when this has ended; the directory's end is that of the processes of its pid files.
  const started = await runProgram(["nginx", "-c", conf, "-e", join(scratch.path, "error.log")], { env: process.env });
  expect(started.code, started.stderr).toBe(0);
});
afterAll(async () => {
  await server?.close();
  await scratch?.[Symbol.asyncDispose]();
});

interface Answer {
  status: number;
  headers: string;
  text: string;
}

/** Through nginx. Of a stream the first parts are enough. */
function ask(path: string, { method = "GET", body = "" } = {}): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const headers = {
    cookie: `cutover_00000000=${"A".repeat(43)}`,
    ...(body !== "" && { "content-type": "application/x-www-form-urlencoded", "content-length": body.length }),
    ...{ origin: `http://127.0.0.1:${front}`, authorization: "Bearer x", "cutover-operator": "anna" },
  };
  const call = request({ host: "127.0.0.1", port: front, path, method, headers, agent: false }, (response) => {
    let text = "";
    response.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      if (text.includes('"id":"lost"')) response.destroy();
    });
    const end = () => resolve({ status: response.statusCode ?? 0, headers: JSON.stringify(response.headers), text });
    response.once("close", end);
  });
  call.once("connect", ({ statusCode = 0, headers }, socket) => {
    socket.destroy();
    resolve({ status: statusCode, headers: JSON.stringify(headers), text: "" });
  });
  call.once("error", reject);
  call.end(body);
  return promise;
}

const shown = ["/", "/live", "/apps/shop", "/apps/shop/live", "/page.css", "/page.js", "/icon.svg"];

/** Every route of the page of `cutover ui`, of the agent's calls, and of the public page, for each app and with what is there. */
function everyRoute(): string[] {
  const ui = { agent: undefined as never, doctor: async () => [], now: () => Date.now(), host: "web1", user: "anna" };
  const page = createPage({ source: ui, sessions: new Sessions(ui.now), looks: new Looks(ui) });
  const logger = createLogger("silent");
  const http = createHttpApp({
    ...{ service, logger, version: "1", audit: new AuditInMemory(), authorize: localOperator() },
    ...{ admin: true, metrics: async () => secret },
  });
  const paths = [...page.routes, ...http.routes].map(({ path }) => path).filter((path) => !path.includes("*"));
  const filled = [...new Set(paths)].flatMap((path) =>
    ["shop", "games"].flatMap((app) =>
      ["rollback", "activate"].map((action) =>
        path.replace(":app", app).replace(":action", action).replace(":release", live).replace(/:id\b/, deployment),
      ),
    ),
  );
  const others = [
    "/apps/later",
    "/apps/shop/",
    "/apps/%2e%2e/shop/logs",
    "//apps/shop",
    "/apps/shop/../games",
    "/agent.sock",
  ];
  return [...new Set([...filled, ...shown, ...others])];
}

test("through nginx, no route with any method does anything, or shows what is not for outsiders", async () => {
  const routes = everyRoute();
  expect(routes.length).toBeGreaterThan(50);
  expect(routes).toEqual(expect.arrayContaining(["/doctor", "/history", "/apps/shop/logs", "/apps/shop/do/rollback"]));
  expect(routes).toEqual(expect.arrayContaining([`/v1/deployments/${deployment}/events`, "/v1/apps/shop/rollback"]));
  const answered = new Set<string>();
  for (const method of [...METHODS.filter((name) => name !== "CONNECT"), "DELIVER"]) {
    for (const path of routes) {
      const body = ["POST", "PUT", "PATCH"].includes(method) ? `release=${live}&weight=100` : "";
      const { status, headers, text } = await ask(`/deploys${path}`, { method, body }).catch((error: Error) => {
        // Node does not send a method that it does not know.
        if (/Method must be a valid/.test(error.message)) return { status: 405, headers: "", text: "" };
        throw new Error(`${method} ${path}`, { cause: error });
      });
      if (status === 200) answered.add(`${method} ${path}`);
      else expect([method, path, [400, 404, 405].includes(status)]).toEqual([method, path, true]);
      for (const said of [headers, text]) {
        expect([method, path, said.includes(secret), said.includes(String(secretNumber))]).toEqual([
          ...[method, path, false, false],
        ]);
        expect([method, path, said.includes(deployment), said.includes("games")]).toEqual([method, path, false, false]);
      }
      expect(headers).not.toContain("set-cookie");
    }
  }
  // nginx itself takes `/apps/shop/../games` and two slashes away.
  const same = ["GET //apps/shop", "HEAD //apps/shop"];
  const expected = ["GET", "HEAD"].flatMap((method) => shown.map((path) => `${method} ${path}`));
  expect([...answered].filter((one) => !same.includes(one)).toSorted()).toEqual(expected.toSorted());
  expect(service.calls).toEqual([]);
}, 240_000);

test("it shows the slots, the deployment's steps, visitors and releases, with links that fit the path", async () => {
  const { text } = await ask("/deploys/apps/shop");
  const words = text.replace(/<[^>]*>/g, " ").replace(/\s+/g, " ");
  expect(words).toContain(`60 to ${live}`);
  expect(words).toContain(`deploy ${live} 10 %: failed`);
  expect(words).toContain("bundle verified 40ms");
  expect(words).toContain(`${live} live 90.0 1.0 % 12 ms 84 ms`);
  expect(words).toContain("Some requests may be missing");
  expect([...text.matchAll(/(?:href|src|data-live)="([^"#]+)"/g)].map(([, address]) => address)).toEqual([
    ...["../icon.svg", "../page.css", "../page.js", "shop/live", "../", "?lang=zh"],
  ]);
  expect(text).not.toMatch(/<form|<button|class="button"|<input/);
  const list = await ask("/deploys/?lang=zh");
  expect(list.text).toContain('href="apps/shop?lang=zh"');
  expect(list.text).toContain('data-live="live?lang=zh"');
  expect(list.text).not.toContain("later");
  expect((await ask("/deploys/apps/shop/live")).text).toContain('"id":"slots"');
});

test("what the agent cannot say is not explained to outsiders, and comes back", async () => {
  // What was looked up a second ago is shown again.
  broken = new Error(secret);
  await expect.poll(async () => (await ask("/deploys/apps/shop")).status).toBe(500);
  const [page, stream] = [await ask("/deploys/apps/shop"), await ask("/deploys/apps/shop/live")];
  expect(page.text).toBe("The page cannot be shown now.\n");
  expect(stream.text).toContain('{"id":"lost","html":"No connection to the host. What you see is old."}');
  expect(page.text + stream.text).not.toContain(secret);
  expect(errors).toContain(broken);
  broken = undefined;
  await expect.poll(async () => (await ask("/deploys/apps/shop")).status).toBe(200);
});

test("however many watch, the agent is asked once a second", async () => {
  await ask("/deploys/apps/shop");
  const [asked, began] = [looks, performance.now()];
  for (let turn = 0; turn < 60; turn++) await ask(turn % 2 === 0 ? "/deploys/apps/shop" : "/deploys/apps/shop/live");
  expect(looks - asked).toBeLessThanOrEqual(Math.ceil((performance.now() - began) / 1000) + 1);
});

test("each answer has the page's strict policy, and nothing inline", async () => {
  for (const path of [...shown, "/nowhere"]) {
    const { headers, text } = await ask(`/deploys${path}`);
    expect([path, headers]).toEqual([path, expect.stringContaining("default-src 'none'; script-src 'self'")]);
    expect(text).not.toMatch(/<style|\sstyle=|\son[a-z]+=|<iframe/i);
  }
});
