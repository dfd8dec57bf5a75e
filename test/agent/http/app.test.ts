import { afterEach, beforeEach, expect, test } from "vitest";
import { localOperator } from "../../../agent/http/auth/authorize.ts";
import { statuses } from "../../../agent/http/problems.ts";
import { CutoverError, errorCodes } from "../../../shared/errors.ts";
import { startTestAgent, type TestAgent } from "./support.ts";

const release = "20261121T103000Z-3f2c1ab";
let agent: TestAgent;

beforeEach(async () => {
  agent = await startTestAgent({ http: { authorize: localOperator() } });
});
afterEach(() => agent.close());

async function problemOf(path: string, init: RequestInit = { method: "POST" }): Promise<Record<string, unknown>> {
  const response = await fetch(`${agent.url}${path}`, init);
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  return (await response.json()) as Record<string, unknown>;
}

test("anyone may ask whether it is alive", async () => {
  const response = await fetch(`${agent.url}/healthz`);
  expect(await response.json()).toEqual({ name: "cutover-agent", version: "1.2.3", protocol: 1 });
});

test("a call that begins a deployment is answered with 202 and the deployment's address", async () => {
  const response = await fetch(`${agent.url}/v1/apps/shop/releases/${release}/activate`, {
    method: "POST",
    body: '{"weight":100}',
  });
  const { deployment } = (await response.json()) as { deployment: string };
  expect(response.status).toBe(202);
  expect(response.headers.get("location")).toBe(`/v1/deployments/${deployment}`);
  expect(agent.service.calls).toEqual([
    { method: "activate", app: "shop", by: { subject: "local operator" }, waitMs: 0, detail: release },
  ]);
});

test.each([
  ["a query that nobody knows", "/v1/apps/shop/rollback?force=1", "request_invalid", 400],
  ["a wait that is too long", "/v1/apps/shop/rollback?wait=9999", "request_invalid", 400],
  ["a wait that is no number", "/v1/apps/shop/rollback?wait=x", "request_invalid", 400],
  ["activate that is neither true nor false", "/v1/apps/shop/releases?activate=no", "request_invalid", 400],
  ["an app name with a dot", "/v1/apps/..shop/rollback", "app_not_found", 404],
  ["an encoded slash in the app's name", "/v1/apps/a%2Fb/rollback", "app_not_found", 404],
  ["a release id that is none", "/v1/apps/shop/releases/latest/activate", "release_not_found", 404],
  ["a deployment id that is none", "/v1/deployments/7/abort", "deployment_not_found", 404],
  ["a deployment that nobody knows", "/v1/deployments/AAAAAAAAAAAAAAAAAAAAAA/abort", "deployment_not_found", 404],
  ["an app that the host does not have", "/v1/apps/blog/rollback", "app_not_found", 404],
  ["a call that does not exist", "/v1/apps/shop/destroy", "request_invalid", 404],
])("%s", async (_name, path, code, status) => {
  expect(await problemOf(path)).toMatchObject({
    type: "about:blank",
    code,
    status,
    title: errorCodes[code as "internal"],
  });
  expect(agent.service.calls.filter(({ app }) => app === "shop")).toEqual([]);
});

test.each([
  ["not JSON", "{", "The body is not JSON."],
  ["an unknown key", '{"relese":"x"}', 'The body is wrong: Unrecognized key: "relese"'],
  ["too long", JSON.stringify({ release: "x".repeat(70_000) }), "The body is longer than 65536 bytes."],
])("a body that is %s", async (_name, body, detail) => {
  expect(await problemOf("/v1/apps/shop/redeploy", { method: "POST", body })).toMatchObject({
    code: "request_invalid",
    detail,
  });
  expect(agent.service.calls).toEqual([]);
});

test("an error has what did not change, the fix and its evidence", async () => {
  agent.service.failure = new CutoverError("health_failed", "web-0 answered 500.", {
    unchanged: "The live release goes on serving.",
    fix: "Look at the traceback.",
    evidence: [{ source: "web-0", text: "ImportError" }],
    cause: new Error("inner"),
  });
  expect(await problemOf("/v1/apps/shop/rollback")).toEqual({
    type: "about:blank",
    title: errorCodes.health_failed,
    status: 422,
    code: "health_failed",
    detail: "web-0 answered 500.",
    unchanged: "The live release goes on serving.",
    fix: "Look at the traceback.",
    evidence: [{ source: "web-0", text: "ImportError" }],
  });
});

test("for an unexpected error the caller learns only where to look, and the log has the rest", async () => {
  agent.service.failure = new TypeError("cannot read /etc/cutover/apps/shop.env");
  const problem = await problemOf("/v1/apps/shop/rollback");
  expect(problem).toMatchObject({ code: "internal", status: 500 });
  expect(JSON.stringify(problem)).not.toContain("shop.env");
  const reference = /\(([0-9a-f]{8})\)/.exec(String(problem.detail))?.[1];
  const line =
    agent
      .log()
      .split("\n")
      .find((text) => text.includes("unexpectedly")) ?? "{}";
  expect(JSON.parse(line)).toMatchObject({
    reference,
    err: { type: "TypeError", message: "cannot read /etc/cutover/apps/shop.env" },
  });
});

test("every call is a line of the log, without its query", async () => {
  await fetch(`${agent.url}/v1/apps/shop?token=eyJsecret`, { headers: { authorization: "Bearer something-secret" } });
  const line = JSON.parse(agent.log().trim().split("\n").at(-1) ?? "{}") as Record<string, unknown>;
  expect(line).toMatchObject({
    method: "GET",
    path: "/v1/apps/shop",
    status: 200,
    actor: "local operator",
    msg: "call",
  });
  expect(agent.log()).not.toContain("secret");
});

test("waiting for a deployment ends with the deployment", async () => {
  const { deployment } = agent.service.begin("shop", "rollback", release);
  const waiting = fetch(`${agent.url}/v1/deployments/${deployment}?wait=30`);
  setTimeout(() => agent.service.finish(deployment, "succeeded"), 50);
  expect(await (await waiting).json()).toMatchObject({ outcome: "succeeded" });
});

test("the files of a release are listed, and nothing of its configuration", async () => {
  for (const name of ["live", release]) {
    const response = await fetch(`${agent.url}/v1/apps/shop/releases/${name}/files`);
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({
      release,
      digest: `sha256:${"a".repeat(64)}`,
      files: [{ path: "app/shop/wsgi.py", mode: 0o644, size: 3, sha256: "b".repeat(64) }],
    });
  }
});

test.each([
  ["latest", "release_not_found", 404],
  ["20261121T103000Z-0000000", "release_not_found", 404],
])("the files of the release %s are those of none", async (name, code, status) => {
  const path = `/v1/apps/shop/releases/${name}/files`;
  expect(await problemOf(path, {})).toMatchObject({ code, status });
});

test("the base of a thin bundle goes to the service, and must be a release's id", async () => {
  const base = "20261120T090000Z-9d8e7f6";
  const upload = (query: string) => fetch(`${agent.url}/v1/apps/shop/releases?${query}`, { method: "POST", body: "x" });
  expect((await upload(`base=${base}`)).status).toBe(202);
  expect(agent.service.calls).toMatchObject([{ method: "deploy", detail: { base } }]);
  expect((await upload("base=live")).status).toBe(400);
  expect(agent.service.calls).toHaveLength(1);
});

test.each(["/v1/apps", "/v1/apps/shop/logs", "/v1/apps/shop/environment"])(
  "%s is only for local operators",
  async (path) => {
    expect((await fetch(`${agent.url}${path}`)).status).toBe(404);
  },
);

test.each([
  ["PUT", "/v1/apps/shop/releases/20261120T090000Z-9d8e7f6/pin"],
  ["DELETE", "/v1/apps/shop/releases/20261120T090000Z-9d8e7f6/pin"],
  ["POST", "/v1/apps/shop/repair"],
])("%s %s is there only on the admin socket", async (method, path) => {
  expect((await fetch(`${agent.url}${path}`, { method })).status).toBe(404);
  expect(agent.service.calls).toEqual([]);
});

test("a rollback may name the release that it leaves", async () => {
  const path = "/v1/apps/shop/rollback";
  expect(await problemOf(path, { method: "POST", body: '{"from":"latest"}' })).toMatchObject({
    code: "request_invalid",
  });
  expect(agent.service.calls).toEqual([]);
});

test("an app can be removed only on the admin socket", async () => {
  expect((await fetch(`${agent.url}/v1/apps/shop`, { method: "DELETE" })).status).toBe(404);
  expect(agent.service.views.has("shop")).toBe(true);
});

test("each code has a status of a failure", () => {
  expect(Object.keys(statuses).toSorted()).toEqual(Object.keys(errorCodes).toSorted());
  for (const status of Object.values(statuses)) expect(status >= 400 && status < 600).toBe(true);
});
