import { randomUUID } from "node:crypto";
import { SignJWT } from "jose";
import { afterEach, beforeEach, expect, test } from "vitest";
import { keyIssuer, signToken } from "../../../../shared/key.ts";
import { fakeDigest } from "../../../fakes/service.ts";
import { hostName, newKey, startTestAgent, type TestAgent, type TestKey } from "../support.ts";

const bundle = "a bundle, as far as the fake service is concerned";
const digest = fakeDigest(bundle);
const release = "20261121T103000Z-3f2c1ab";
const audience = `cutover/v1/${hostName}/shop/deploy/${digest}`;

let key: TestKey;
let agent: TestAgent;

beforeEach(async () => {
  key = await newKey();
  agent = await startTestAgent({ trust: [{ key: key.publicLine }] });
});
afterEach(() => agent.close());

const seconds = () => Math.floor(Date.now() / 1000);

function post(path: string, authorization: string | undefined, body: string = bundle): Promise<Response> {
  return fetch(`${agent.url}${path}`, {
    method: "POST",
    body,
    headers: authorization === undefined ? {} : { authorization },
  });
}

interface Parts {
  claims?: Record<string, unknown>;
  header?: Record<string, unknown>;
  signer?: TestKey;
}

function token({ claims = {}, header = {}, signer = key }: Parts = {}): Promise<string> {
  const now = seconds();
  const payload = {
    iss: keyIssuer,
    aud: audience,
    iat: now,
    nbf: now,
    exp: now + 300,
    jti: randomUUID(),
    sub: "ci",
    ...claims,
  };
  const kept = Object.fromEntries(Object.entries(payload).filter(([, value]) => value !== undefined));
  return new SignJWT(kept)
    .setProtectedHeader({ alg: "EdDSA", kid: signer.signer.kid, ...header })
    .sign(signer.signer.key);
}

test("a good token deploys, and its claims say who did it", async () => {
  const claims = {
    sub: "repo:acme/shop",
    repository: "acme/shop",
    run_url: "https://github.com/acme/shop/actions/runs/1",
  };
  const good = await signToken(key.signer, audience, claims);
  const response = await post("/v1/apps/shop/releases?activate=false&release_command=false&wait=5", `Bearer ${good}`);
  expect(response.status).toBe(202);
  expect(await response.json()).toMatchObject({ release: "20261121T110000Z-1234567" });
  expect(agent.service.received).toBe(bundle.length);
  expect(agent.service.calls).toEqual([
    {
      method: "deploy",
      app: "shop",
      waitMs: 5000,
      by: {
        subject: "repo:acme/shop",
        repository: "acme/shop",
        run_url: "https://github.com/acme/shop/actions/runs/1",
        trust: `key ${key.publicLine.slice(0, 18)}...`,
      },
      detail: { digest, activate: false, releaseCommand: false },
    },
  ]);
});

test("each call takes the token that names it", async () => {
  const begun = agent.service.begin("shop", "deploy", release);
  const calls: [string, string, string, number][] = [
    ["POST", `/v1/apps/shop/releases/${release}/activate`, `activate/${release}`, 202],
    ["POST", "/v1/apps/shop/redeploy", "redeploy/live", 202],
    ["POST", "/v1/apps/shop/rollback", "rollback", 202],
    ["POST", `/v1/deployments/${begun.deployment}/abort`, `abort/${begun.deployment}`, 200],
    ["GET", "/v1/apps/shop", "read", 200],
    ["GET", "/v1/apps/shop/releases/live/files", "read", 200],
    ["GET", `/v1/apps/shop/releases/${release}/files`, "read", 200],
  ];
  for (const [method, path, operation, status] of calls) {
    const signed = await signToken(key.signer, `cutover/v1/${hostName}/shop/${operation}`, { sub: "ci" });
    const response = await fetch(`${agent.url}${path}`, { method, headers: { authorization: `Bearer ${signed}` } });
    expect([path, response.status]).toEqual([path, status]);
  }
});

test("an app that the host does not have is answered as an untrusted key is", async () => {
  const aud = audience.replace("/shop/", "/blog/");
  const unknown = await post("/v1/apps/blog/releases", `Bearer ${await token({ claims: { aud } })}`);
  const untrusted = await post("/v1/apps/shop/releases", `Bearer ${await token({ signer: await newKey() })}`);
  expect(unknown.status).toBe(401);
  expect(await unknown.json()).toEqual(await untrusted.json());
  expect(agent.log()).toContain('"reason":"app_unknown"');
});

test("the log has the expected audience and the one that came", async () => {
  const aud = `cutover/v1/${hostName}/shop/rollback`;
  const response = await fetch(`${agent.url}/v1/apps/shop`, {
    headers: { authorization: `Bearer ${await token({ claims: { aud } })}` },
  });
  expect(response.status).toBe(401);
  expect(agent.log()).toContain(`"expected":"cutover/v1/${hostName}/shop/read","got":"${aud}"`);
});

test("a token is good once", async () => {
  const authorization = `Bearer ${await token()}`;
  expect((await post("/v1/apps/shop/releases", authorization)).status).toBe(202);
  const second = await post("/v1/apps/shop/releases", authorization);
  expect(second.status).toBe(403);
  expect(await second.json()).toMatchObject({
    code: "forbidden",
    detail: "The token is genuine, but it was used before: a token is good for one call.",
  });
  expect(agent.log()).toContain('"reason":"spent"');
  expect(agent.service.calls).toHaveLength(1);
});

test("a key may do only what it is allowed, and a refused token is not used up", async () => {
  const limited = await startTestAgent({ trust: [{ key: key.publicLine, allow: ["read"] }] });
  try {
    const response = await fetch(`${limited.url}/v1/apps/shop/releases`, {
      method: "POST",
      body: bundle,
      headers: { authorization: `Bearer ${await token()}` },
    });
    expect(response.status).toBe(403);
    expect(await response.json()).toMatchObject({
      detail: "The token is genuine, but its signer may not make the call deploy; allowed here: read.",
      fix: "If it should, add deploy to `allow` of its trust entry in the app's settings file on the host.",
    });
    expect(limited.log()).toContain('"reason":"grant_missing"');
    expect(limited.service.calls).toEqual([]);
    expect(limited.spent.ids.size).toBe(0);
  } finally {
    await limited.close();
  }
});

test("a release's files are not told without a token that may read, nor whether there is such a release", async () => {
  const deployer = await startTestAgent({ trust: [{ key: key.publicLine, allow: ["deploy"] }] });
  const ask = async (name: string, operation?: string) => {
    const signed =
      operation && (await signToken(key.signer, `cutover/v1/${hostName}/shop/${operation}`, { sub: "ci" }));
    const headers = signed === undefined ? {} : { authorization: `Bearer ${signed}` };
    return (await fetch(`${deployer.url}/v1/apps/shop/releases/${name}/files`, { headers })).status;
  };
  try {
    for (const name of ["live", release, "20261121T103000Z-0000000"]) {
      expect(await ask(name)).toBe(401);
      expect(await ask(name, `activate/${release}`)).toBe(401);
      expect(await ask(name, "read")).toBe(403);
    }
  } finally {
    await deployer.close();
  }
});

test("a redeploy is of the release that the token names", async () => {
  const signed = await signToken(key.signer, `cutover/v1/${hostName}/shop/redeploy/live`, { sub: "ci" });
  const response = await post("/v1/apps/shop/redeploy", `Bearer ${signed}`, JSON.stringify({ release }));
  expect(response.status).toBe(403);
  expect(agent.service.calls).toEqual([]);
});

test("an abort token is for one deployment", async () => {
  const one = agent.service.begin("shop", "deploy", release);
  const other = agent.service.begin("shop", "deploy", release);
  const signed = await signToken(key.signer, `cutover/v1/${hostName}/shop/abort/${one.deployment}`, { sub: "ci" });
  expect((await post(`/v1/deployments/${other.deployment}/abort`, `Bearer ${signed}`, "")).status).toBe(401);
  expect((await post(`/v1/deployments/${one.deployment}/abort`, `Bearer ${signed}`, "")).status).toBe(200);
});
