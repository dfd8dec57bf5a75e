import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { SignJWT } from "jose";
import { afterEach, beforeEach, expect, test } from "vitest";
import { IssuerKeyFiles } from "../../../agent/host/trust/issuer-keys.ts";
import { UsedTokensFile } from "../../../agent/host/trust/used-tokens.ts";
import { agentSettingsSchema, appSettingsSchema } from "../../../agent/settings.ts";
import { keyIssuer } from "../../../shared/key.ts";
import { hostName, newKey, startTestAgent, type TestAgent, type TestKey } from "../../agent/http/support.ts";
import { TokenServer } from "../../fakes/token-server.ts";
import { Scratch } from "../../harness/scratch.ts";

/** T7 (c): the used tokens of all were one pool: whoever may only read one app locked out every other app. */
let scratch: Scratch;
let agent: TestAgent;
let spent: UsedTokensFile;
let reader: TestKey;
let deployer: TestKey;
const room = 20;

beforeEach(async () => {
  scratch = new Scratch("pools");
  [reader, deployer] = [await newKey(), await newKey()];
  const limits = { pool: room, total: 2 * room, reserved: 5 };
  spent = await UsedTokensFile.open(join(scratch.path, "spent-tokens"), { limits });
  const trust = [{ key: reader.publicLine, allow: ["read" as const] }, { key: deployer.publicLine }];
  agent = await startTestAgent({ trust, auth: { spent } });
  for (const [app, keys] of [
    ["other", [deployer]],
    ["third", [reader]],
  ] as const) {
    const settings = appSettingsSchema.parse({ trust: keys.map(({ publicLine }) => ({ key: publicLine })) });
    agent.settings.set(app, { ...settings, app, file: `/etc/cutover/apps/${app}.yml` });
  }
});
afterEach(async () => {
  await agent.close();
  await spent.close();
  await scratch[Symbol.asyncDispose]();
});

/** One call that reads an app. The service knows only shop, which it tells to none but who has a good token. */
async function read(app: string, key: TestKey): Promise<number> {
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: keyIssuer, aud: `cutover/v1/${hostName}/${app}/read`, sub: "ci", jti: randomUUID() };
  const token = await new SignJWT({ ...claims, iat: now, nbf: now, exp: now + 300 })
    .setProtectedHeader({ alg: "EdDSA", kid: key.signer.kid })
    .sign(key.signer.key);
  const answer = await fetch(`${agent.url}/v1/apps/${app}`, { headers: { authorization: `Bearer ${token}` } });
  await answer.body?.cancel();
  return answer.status;
}

test("T7c: a key that may only read one app uses up its own room alone", async () => {
  for (let n = 0; n < room; n++) expect(await read("shop", reader)).toBe(200);
  expect(await read("shop", reader)).toBe(500);
  for (let n = 0; n < 5; n++) {
    expect(await read("shop", deployer)).toBe(200);
    expect(await read("other", deployer)).toBe(404);
    // Its holder may call for another app too, where it has room of its own.
    expect(await read("third", reader)).toBe(404);
  }
  expect(await read("shop", reader)).toBe(500);
});

test("T7c: GitHub signs for all, and yet a repository that may only read an app uses up its own room alone", async () => {
  await using tokens = await TokenServer.start();
  const issuers = [{ issuer: tokens.issuer, server: "https://github.com" }];
  const { github } = agentSettingsSchema.parse({ github: issuers });
  const keys = new IssuerKeyFiles({ data: scratch.path, issuers: github });
  const common = { repository_id: "1296269", owner_id: "583231" };
  const { trust } = appSettingsSchema.parse({
    trust: [
      { github: { repository: "acme/shop", ...common, environment: "production" } },
      { github: { repository: "acme/docs", ...common, any_ref: true }, allow: ["read"] },
    ],
  });
  const own = await startTestAgent({ trust, github: { issuers: github, keys }, auth: { spent } });
  const aud = `cutover/v1/${hostName}/shop/read`;
  const call = async (claims: object): Promise<number> => {
    const authorization = `Bearer ${await tokens.sign(aud, { claims: { jti: randomUUID(), ...claims } })}`;
    const answer = await fetch(`${own.url}/v1/apps/shop`, { headers: { authorization } });
    await answer.body?.cancel();
    return answer.status;
  };
  try {
    const docs = { repository: "acme/docs", environment: undefined };
    for (let n = 0; n < room; n++) expect(await call(docs)).toBe(200);
    expect(await call(docs)).toBe(500);
    expect(await call({})).toBe(200);
  } finally {
    await own.close();
  }
});
