import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { IssuerKeyFiles } from "../../../../agent/host/trust/issuer-keys.ts";
import { createHttpApp } from "../../../../agent/http/app.ts";
import { localOperator } from "../../../../agent/http/auth/authorize.ts";
import { TrustBook } from "../../../../agent/http/auth/trust-view.ts";
import { type RunningServer, startServer } from "../../../../agent/http/server.ts";
import { createLogger } from "../../../../agent/logger.ts";
import { agentSettingsSchema, appSettingsSchema } from "../../../../agent/settings.ts";
import { shopClaims, TokenServer } from "../../../fakes/token-server.ts";
import { Scratch } from "../../../harness/scratch.ts";
import { hostName, startTestAgent, type TestAgent, type TestAgentOptions } from "../support.ts";

const ghes = { issuer: "https://ghes.example.com/_services/token", server: "https://ghes.example.com" };
const ids = { repository_id: "1296269", owner_id: "583231" };
const repository = "acme/shop";
const environment = "production";
const readAudience = `cutover/v1/${hostName}/shop/read`;

let scratch: Scratch;
let tokens: TokenServer;
let agent: TestAgent | undefined;

beforeAll(async () => {
  scratch = new Scratch("github");
  tokens = await TokenServer.start();
});
afterAll(async () => {
  await tokens?.[Symbol.asyncDispose]();
  await scratch?.[Symbol.asyncDispose]();
});
beforeEach(() => {
  tokens.claims = { ...shopClaims };
});
afterEach(async () => {
  await agent?.close();
  agent = undefined;
});

async function start(trust: TestAgentOptions["trust"], options: TestAgentOptions = {}): Promise<TestAgent> {
  const issuers = [
    { issuer: tokens.issuer, server: "https://github.com" },
    { ...ghes, jwks: tokens.jwks },
  ];
  const keys = new IssuerKeyFiles({
    data: scratch.path,
    issuers: agentSettingsSchema.parse({ github: issuers }).github,
  });
  agent = await startTestAgent({ trust, github: { issuers, keys }, ...options });
  return agent;
}

async function call(
  { url }: TestAgent,
  {
    path = "/v1/apps/shop",
    method = "GET",
    aud = readAudience,
    claims = {},
  }: { path?: string; method?: string; aud?: string; claims?: object } = {},
): Promise<number> {
  const headers = { authorization: `Bearer ${await tokens.sign(aud, { claims: { ...claims } })}` };
  const response = await fetch(`${url}${path}`, { method, headers });
  await response.body?.cancel();
  return response.status;
}

const rollback = { path: "/v1/apps/shop/rollback", method: "POST", aud: `cutover/v1/${hostName}/shop/rollback` };

function refusals({ log }: TestAgent): Record<string, unknown>[] {
  return log()
    .split("\n")
    .filter((line) => line.includes('"msg":"token refused"'))
    .map((line) => JSON.parse(line));
}

test("who holds a deployment: repository, ref and person, and the run at the server of the configuration", async () => {
  const agent = await start([{ github: { repository, ...ids, environment } }]);
  const claims = { actor: "octocat", server_url: "https://evil.example.com", run_url: "https://evil.example.com" };
  expect(await call(agent, { ...rollback, claims })).toBe(202);
  expect(agent.service.calls.at(-1)?.by).toEqual({
    subject: "acme/shop@refs/heads/main by octocat",
    repository,
    run_url: "https://github.com/acme/shop/actions/runs/4711/attempts/1",
    run: { workflow: "acme/shop/.github/workflows/deploy.yml", number: 42, attempt: 1 },
    trust: "github acme/shop, environment production",
  });
});

test("another GitHub is accepted if a trust names it, with its own server and ids", async () => {
  const agent = await start([{ github: { repository, ...ids, environment, issuer: ghes.issuer } }]);
  expect(await call(agent, { ...rollback, claims: { iss: ghes.issuer } })).toBe(202);
  expect(agent.service.calls.at(-1)?.by?.run_url).toBe(
    "https://ghes.example.com/acme/shop/actions/runs/4711/attempts/1",
  );
  expect(await call(agent, rollback)).toBe(401);
  expect(refusals(agent)).toMatchObject([{ reason: "issuer_untrusted", got: tokens.issuer, trusted: [ghes.issuer] }]);
});

test("what one GitHub may do is not what another may, and neither uses up the other's tokens", async () => {
  const agent = await start([
    { github: { repository, ...ids, environment } },
    { github: { repository: "acme/blog", ...ids, environment, issuer: ghes.issuer } },
  ]);
  const elsewhere = { iss: ghes.issuer, repository: "acme/blog", jti: "same" };
  expect(await call(agent, { claims: { ...elsewhere, repository } })).toBe(401);
  expect(refusals(agent)).toMatchObject([{ claim: "repository", expected: "acme/blog", got: "acme/shop" }]);
  expect(await call(agent, { claims: { jti: "same" } })).toBe(200);
  expect(await call(agent, { claims: elsewhere })).toBe(200);
  expect(await call(agent, { claims: elsewhere })).toBe(403);
});

test("deploying, activating, rolling back, reading and aborting are granted apart", async () => {
  const agent = await start([
    { github: { repository, ...ids, environment }, allow: ["deploy", "activate", "abort"] },
    { github: { repository, ...ids, ref: "refs/heads/main" }, allow: ["read"] },
  ]);
  expect(await call(agent, { claims: { environment: "staging" } })).toBe(200);
  expect(await call(agent, { ...rollback, claims: { environment: "staging" } })).toBe(403);
  expect(await call(agent, { claims: { ref: "refs/heads/x" } })).toBe(403);
  expect(await call(agent)).toBe(200);
  expect(await call(agent, rollback)).toBe(403);
  expect(refusals(agent)).toMatchObject([
    { reason: "grant_missing", allow: ["read"] },
    { reason: "grant_missing", allow: ["deploy", "activate", "abort"] },
    { reason: "grant_missing", allow: ["deploy", "activate", "abort", "read"] },
  ]);
});

test("with several trusted repositories the log says for each what differs", async () => {
  const agent = await start([
    { github: { repository, ...ids, environment } },
    { github: { repository: "acme/blog", repository_id: "2", owner_id: "583231", ref: "refs/heads/main" } },
  ]);
  expect(await call(agent, { claims: { environment: "staging" } })).toBe(401);
  expect(refusals(agent)).toMatchObject([
    {
      reason: "identity_mismatch",
      trusted: [
        { claim: "environment", expected: "production", got: "staging" },
        { claim: "repository", expected: "acme/blog", got: "acme/shop" },
      ],
    },
  ]);
});

test("a pull request deploys where its event is allowed by name", async () => {
  const agent = await start([{ github: { repository, ...ids, environment, events: ["pull_request"] } }]);
  expect(await call(agent, { claims: { event_name: "pull_request" } })).toBe(200);
  expect(await call(agent, { claims: { event_name: "push" } })).toBe(401);
});

test("any_ref takes every branch and environment, and still no pull request", async () => {
  const agent = await start([{ github: { repository, ...ids, any_ref: true } }]);
  expect(await call(agent, { claims: { ref: "refs/heads/x", environment: undefined } })).toBe(200);
  expect(await call(agent, { claims: { event_name: "pull_request" } })).toBe(401);
});

test("ids that are not given are learnt at the first call that is accepted, and no others count then", async () => {
  const agent = await start([{ github: { repository, environment } }]);
  expect(await call(agent, { claims: { environment: "staging", repository_id: "1" } })).toBe(401);
  expect(await call(agent, { claims: { event_name: "pull_request", repository_id: "1" } })).toBe(401);
  expect(agent.learnt.all.size).toBe(0);
  expect(await call(agent)).toBe(200);
  expect(await agent.learnt.list("shop")).toMatchObject([{ repository, issuer: tokens.issuer, ...ids }]);
  expect(agent.log()).toContain(
    '"msg":"first call of a repository that is trusted by name: from now on only these ids count"',
  );
  expect(await call(agent)).toBe(200);
  expect(await call(agent, { claims: { repository_id: "9" } })).toBe(401);
  expect(await call(agent, { claims: { repository_owner_id: "9" } })).toBe(401);
  expect(refusals(agent).slice(-2)).toMatchObject([
    { reason: "identity_mismatch", claim: "repository_id", expected: "1296269", got: "9" },
    { reason: "identity_mismatch", claim: "repository_owner_id", expected: "583231", got: "9" },
  ]);
  expect(agent.log().match(/first call of a repository/g)).toHaveLength(1);
});

test("a call that is not allowed teaches nothing", async () => {
  const agent = await start([{ github: { repository, environment }, allow: ["deploy"] }]);
  expect(await call(agent)).toBe(403);
  expect(agent.learnt.all.size).toBe(0);
});

test("of two first calls at once from two repositories of one name, one counts", async () => {
  const agent = await start([{ github: { repository, environment } }]);
  // Both look before either is learnt.
  agent.learnt.list = async () => [];
  const others = { claims: { repository_id: "9", repository_owner_id: "8" } };
  const sameId = { claims: { repository_owner_id: "8" } };
  expect([await call(agent), await call(agent, others), await call(agent, sameId)]).toEqual([200, 401, 401]);
  expect(refusals(agent)).toMatchObject([{ claim: "repository_id" }, { claim: "repository_owner_id" }]);
});

test("one id that is given holds, and the other is learnt", async () => {
  const agent = await start([{ github: { repository, owner_id: "583231", environment } }]);
  expect(await call(agent, { claims: { repository_owner_id: "9" } })).toBe(401);
  expect(await call(agent)).toBe(200);
  expect(await call(agent, { claims: { repository_id: "9" } })).toBe(401);
});

test("ids that the host's owner writes down count instead of those that were learnt", async () => {
  const agent = await start([{ github: { repository, environment } }]);
  expect(await call(agent)).toBe(200);
  const trust = [{ github: { repository, environment, repository_id: "9", owner_id: "8" } }];
  agent.settings.set("shop", { ...appSettingsSchema.parse({ trust }), app: "shop", file: "shop.yml" });
  expect(await call(agent)).toBe(401);
  expect(await call(agent, { claims: { repository_id: "9", repository_owner_id: "8" } })).toBe(200);
});

test("what was learnt and cannot be read refuses the call", async () => {
  const agent = await start([{ github: { repository, environment } }]);
  const { CutoverError } = await import("../../../../shared/errors.ts");
  agent.learnt.list = async () => {
    throw new CutoverError("host_settings_invalid", "learnt-repositories.json cannot be read.");
  };
  expect(await call(agent)).toBe(401);
  expect(refusals(agent)).toMatchObject([
    { reason: "settings_invalid", detail: expect.stringContaining("cannot be read") },
  ]);
  const trust = [{ github: { repository, ...ids, environment } }];
  agent.settings.set("shop", { ...appSettingsSchema.parse({ trust }), app: "shop", file: "shop.yml" });
  expect(await call(agent)).toBe(200);
});

test("an app without a trusted repository asks no issuer for keys", async () => {
  const agent = await start([]);
  const before = tokens.keysAsked;
  expect(await call(agent)).toBe(401);
  expect(refusals(agent)).toMatchObject([{ reason: "issuer_untrusted", trusted: [] }]);
  expect(tokens.keysAsked).toBe(before);
});

test("when GitHub's keys are not to be had, the log says so and the caller gets the usual 401", async () => {
  const keys = { find: async () => ({ kind: "unavailable", detail: "it answered 503" }) as const };
  const agent = await start([{ github: { repository, ...ids, environment } }], {
    github: { issuers: [{ issuer: tokens.issuer, server: "https://github.com" }], keys },
  });
  expect(await call(agent)).toBe(401);
  expect(refusals(agent)).toMatchObject([{ reason: "keys_unavailable", detail: "it answered 503" }]);
});

test("the host's owner sees whom an app trusts with the ids that count, and they go with the app", async () => {
  const agent = await start([
    { github: { repository, environment }, comment: "the shop" },
    { github: { repository: "acme/blog", ...ids, any_ref: true }, allow: ["read"] },
  ]);
  const apps = { settings: async () => agent.settings.get("shop") ?? Promise.reject(new Error("no app")) };
  const { github } = agentSettingsSchema.parse({ github: [{ issuer: tokens.issuer, server: "https://github.com" }] });
  const trust = new TrustBook(apps, agent.learnt, github);
  const local = createHttpApp({
    ...{
      service: agent.service,
      authorize: localOperator(),
      logger: createLogger("silent"),
      version: "1.2.3",
      admin: true,
    },
    trust,
  });
  const server: RunningServer = await startServer({ host: "127.0.0.1", port: 0 }, { app: local });
  try {
    const url = `http://127.0.0.1:${server.port}/v1/apps/shop`;
    const view = async () => (await (await fetch(`${url}/trust`)).json()) as { trust: Record<string, object>[] };
    const events = ["push", "workflow_dispatch", "release", "schedule", "deployment"];
    expect((await view()).trust[0]?.github).toEqual({ repository, issuer: tokens.issuer, environment, events });
    await call(agent);
    expect((await view()).trust).toEqual([
      {
        github: {
          ...{ repository, issuer: tokens.issuer, ...ids, environment, events },
          learnt: expect.stringMatching(/^\d{4}-/),
        },
        comment: "the shop",
        allow: ["deploy", "activate", "redeploy", "rollback", "abort", "read"],
      },
      { github: { repository: "acme/blog", issuer: tokens.issuer, ...ids, any_ref: true, events }, allow: ["read"] },
    ]);
    expect((await fetch(url, { method: "DELETE" })).status).toBe(204);
    expect(agent.learnt.all.size).toBe(0);
    // Callers on the network do not see it.
    expect((await fetch(`${agent.url}/v1/apps/shop/trust`)).status).toBe(404);
  } finally {
    await server.close();
  }
});
