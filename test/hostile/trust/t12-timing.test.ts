import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AppsDirectory } from "../../../agent/host/store/apps-dir.ts";
import { IssuerKeyFiles } from "../../../agent/host/trust/issuer-keys.ts";
import { agentSettingsSchema } from "../../../agent/settings.ts";
import { signToken } from "../../../shared/key.ts";
import { hostName, newKey, startTestAgent, type TestAgent, type TestKey } from "../../agent/http/support.ts";
import { TokenServer } from "../../fakes/token-server.ts";
import { Scratch } from "../../harness/scratch.ts";

/** T12: a refusal took 2.3 ms for an app of the host and 1.35 ms for any other name. */

let scratch: Scratch;
let tokens: TokenServer;
let agent: TestAgent;
let stranger: TestKey;
let neighbour: TestKey;

beforeAll(async () => {
  scratch = new Scratch("t12");
  tokens = await TokenServer.start();
  [stranger, neighbour] = [await newKey(), await newKey()];
  const directory = join(scratch.path, "apps");
  mkdirSync(directory);
  const settings = (key: TestKey, repository: string) =>
    [
      "user: shop",
      "trust:",
      "  - github:",
      `      repository: ${repository}`,
      '      repository_id: "1"',
      '      owner_id: "2"',
      "      environment: production",
      `  - key: ${key.publicLine}`,
      "    comment: the release manager",
      "listen: [80, '443 ssl']",
      "domains: [shop.example.com, '*.shop.example.com']",
      "tls: { certificate: /etc/ssl/shop.pem, key: /etc/ssl/shop.key }",
      "",
    ].join("\n");
  writeFileSync(join(directory, "shop.yml"), settings(await newKey(), "acme/other"));
  writeFileSync(join(directory, "blog.yml"), settings(neighbour, "acme/blog"));
  const issuers = [{ issuer: tokens.issuer, server: "https://github.com" }];
  const keys = new IssuerKeyFiles({
    data: scratch.path,
    issuers: agentSettingsSchema.parse({ github: issuers }).github,
  });
  agent = await startTestAgent({ github: { issuers, keys }, auth: { apps: new AppsDirectory(directory) } });
});
afterAll(async () => {
  await agent?.close();
  await tokens?.[Symbol.asyncDispose]();
  await scratch?.[Symbol.asyncDispose]();
});

const audience = (app: string) => `cutover/v1/${hostName}/${app}/read`;
const kinds: [what: string, token: (app: string) => Promise<string>][] = [
  ["of a key that nobody trusts", (app) => signToken(stranger.signer, audience(app), { sub: "ci" })],
  ["of a key that another app trusts", (app) => signToken(neighbour.signer, audience(app), { sub: "ci" })],
  ["that GitHub signed for another repository", (app) => tokens.sign(audience(app))],
  [
    "that another signer made in GitHub's name",
    async (app) => `${(await tokens.sign(audience(app))).slice(0, -20)}${"A".repeat(20)}`,
  ],
];

async function refusalMs(app: string, token: string): Promise<number> {
  const began = performance.now();
  const response = await fetch(`${agent.url}/v1/apps/${app}`, { headers: { authorization: `Bearer ${token}` } });
  const text = await response.text();
  expect([response.status, JSON.parse(text).code]).toEqual([401, "unauthorized"]);
  return performance.now() - began;
}

/** The chance that a call of the first kind takes longer than one of the second (Mann and Whitney): 0.5 if they are alike. */
function chanceOfLonger(first: number[], second: number[]): number {
  const all = [...first.map((ms) => ({ ms, mine: 1 })), ...second.map((ms) => ({ ms, mine: 0 }))];
  const ranks = all.toSorted((a, b) => a.ms - b.ms).reduce((sum, { mine }, index) => sum + mine * (index + 1), 0);
  return (ranks - (first.length * (first.length + 1)) / 2) / (first.length * second.length);
}

test.each(kinds)(
  "T12: a token %s is refused in the same time for an app that there is and one that there is not",
  async (_what, token) => {
    const times: Record<string, number[]> = { shop: [], soap: [] };
    const pair = async () => {
      // In both orders: whatever else the machine does meets both alike.
      for (const app of Math.random() < 0.5 ? ["shop", "soap"] : ["soap", "shop"]) {
        times[app]?.push(await refusalMs(app, await token(app)));
      }
    };
    for (let count = 0; count < 20; count++) await pair();
    for (const list of Object.values(times)) list.length = 0;
    const pairs = 1000;
    const callers = 10;
    await Promise.all(
      Array.from({ length: callers }, async () => {
        for (let count = 0; count < pairs / callers; count++) await pair();
      }),
    );
    const { shop = [], soap = [] } = times;
    expect(shop).toHaveLength(pairs);
    // Its standard deviation is 0.013: a difference that anybody can use in 2,000 calls is beyond 0.07.
    expect(Math.abs(chanceOfLonger(shop, soap) - 0.5), "beyond chance").toBeLessThan(0.07);
  },
  300_000,
);

test("T12: GitHub is asked for an unknown key whatever the app is: one it has, one that trusts no repository, or none", async () => {
  writeFileSync(join(scratch.path, "apps", "keyed.yml"), `trust: [{ key: "${stranger.publicLine}" }]\n`);
  const issuers = [{ issuer: tokens.issuer, server: "https://github.com" }];
  const { github } = agentSettingsSchema.parse({ github: issuers });
  const apps = new AppsDirectory(join(scratch.path, "apps"));
  for (const app of ["shop", "keyed", "soap"]) {
    const keys = new IssuerKeyFiles({ data: join(scratch.path, app), issuers: github });
    const fresh = await startTestAgent({ github: { issuers, keys }, auth: { apps } });
    try {
      const asked = tokens.keysAsked;
      const token = await tokens.sign(audience(app), { header: { kid: "unknown" } });
      const headers = { authorization: `Bearer ${token}` };
      expect((await fetch(`${fresh.url}/v1/apps/${app}`, { headers })).status).toBe(401);
      expect([app, tokens.keysAsked - asked]).toEqual([app, 1]);
    } finally {
      await fresh.close();
    }
  }
});

test("the log has the reason that the caller does not get", async () => {
  const before = agent.log().length;
  await refusalMs("soap", await signToken(stranger.signer, audience("soap"), { sub: "ci" }));
  await refusalMs("soap", await tokens.sign(audience("soap")));
  await refusalMs("shop", await tokens.sign(audience("shop")));
  const lines = agent.log().slice(before).split("\n");
  const reasons = lines.flatMap((line) => (line.includes('"token refused"') ? [JSON.parse(line).reason] : []));
  expect(reasons).toEqual(["app_unknown", "app_unknown", "identity_mismatch"]);
});
