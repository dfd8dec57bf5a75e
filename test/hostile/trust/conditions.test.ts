import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { IssuerKeyFiles } from "../../../agent/host/trust/issuer-keys.ts";
import { agentSettingsSchema, appSettingsSchema } from "../../../agent/settings.ts";
import { signToken } from "../../../shared/key.ts";
import { parseYamlFile } from "../../../shared/yaml-file.ts";
import { hostName, newKey, startTestAgent, type TestAgent, type TestAgentOptions } from "../../agent/http/support.ts";
import { shopClaims, TokenServer } from "../../fakes/token-server.ts";
import { Scratch } from "../../harness/scratch.ts";

/** Each condition of a trust entry: a genuine token of the repository that does not meet it is refused by its name. */

let scratch: Scratch;
let tokens: TokenServer;
let agent: TestAgent | undefined;

beforeAll(async () => {
  scratch = new Scratch("conditions");
  tokens = await TokenServer.start();
});
afterAll(async () => {
  await tokens?.[Symbol.asyncDispose]();
  await scratch?.[Symbol.asyncDispose]();
});
afterEach(async () => {
  await agent?.close();
  agent = undefined;
});

type Trust = NonNullable<TestAgentOptions["trust"]>;
const usual = { repository: "acme/shop", repository_id: "1296269", owner_id: "583231", environment: "production" };
const audience = `cutover/v1/${hostName}/shop/read`;
const main = "acme/shop/.github/workflows/deploy.yml@refs/heads/main";
const commit = "3f2c1ab0c5d94d8a9a5be5d6b7f8e9a0b1c2d3e4";

async function start(trust: Trust, options: TestAgentOptions = {}): Promise<TestAgent> {
  const issuers = [{ issuer: tokens.issuer, server: "https://github.com" }];
  const { github } = agentSettingsSchema.parse({ github: issuers });
  const keys = new IssuerKeyFiles({ data: scratch.path, issuers: github });
  agent = await startTestAgent({ trust, github: { issuers, keys }, ...options });
  return agent;
}

async function statusOf({ url }: TestAgent, token: string): Promise<number> {
  const response = await fetch(`${url}/v1/apps/shop`, { headers: { authorization: `Bearer ${token}` } });
  await response.body?.cancel();
  return response.status;
}

function refusals({ log }: TestAgent): Record<string, unknown>[] {
  return log()
    .split("\n")
    .flatMap((line) => (line.includes('"token refused"') ? [JSON.parse(line)] : []));
}

interface Case {
  condition: string;
  trust: object;
  /** Of tokens that are let in, and of those that are not. */
  good: object[];
  bad: object[];
}

const file = ".github/workflows/deploy.yml";
const cases: Case[] = [
  {
    condition: "workflow",
    trust: { workflow: file },
    good: [{}, { workflow_ref: `acme/shop/${file}@refs/heads/other`, ref: "refs/heads/other" }],
    bad: [
      { workflow_ref: `acme/shop/.github/workflows/test.yml@refs/heads/main` },
      { workflow_ref: `acme/other/${file}@refs/heads/main` },
      { workflow_ref: `acme/shop/${file}x@refs/heads/main` },
      { workflow_ref: `acme/shop/${file}` },
      { workflow_ref: undefined },
      // The file that the job is written in is another condition.
      { workflow_ref: `acme/shop/.github/workflows/test.yml@refs/heads/main`, job_workflow_ref: main },
    ],
  },
  {
    condition: "workflow",
    trust: { workflow: `${file}@refs/heads/main` },
    good: [{}],
    bad: [
      { workflow_ref: `acme/shop/${file}@refs/heads/main2` },
      { workflow_ref: `acme/shop/${file}@refs/tags/main` },
      { workflow_ref: `acme/shop/${file}@main` },
    ],
  },
  {
    condition: "job_workflow",
    trust: { job_workflow: `acme/ci/${file}@refs/tags/v1` },
    good: [{ job_workflow_ref: `acme/ci/${file}@refs/tags/v1` }],
    bad: [
      {},
      { job_workflow_ref: `acme/ci/${file}@refs/heads/v1` },
      { job_workflow_ref: `mallory/ci/${file}@refs/tags/v1` },
      { job_workflow_ref: undefined },
    ],
  },
  {
    condition: "job_workflow",
    trust: { job_workflow: `acme/ci/${file}@${commit}` },
    good: [{ job_workflow_ref: `acme/ci/${file}@${commit}` }],
    bad: [{ job_workflow_ref: `acme/ci/${file}@refs/tags/v1` }],
  },
  {
    condition: "runner",
    trust: { runner: "github-hosted" },
    good: [{}],
    bad: [{ runner_environment: "self-hosted" }, { runner_environment: undefined }],
  },
  {
    condition: "runner",
    trust: { runner: "self-hosted" },
    good: [{ runner_environment: "self-hosted" }],
    bad: [{}],
  },
  {
    condition: "ref_protected",
    trust: { ref_protected: true },
    good: [{}],
    bad: [{ ref_protected: "false" }, { ref_protected: undefined }, { ref_protected: "True" }],
  },
  {
    condition: "events",
    trust: {},
    good: ["push", "workflow_dispatch", "release", "schedule", "deployment"].map((event_name) => ({ event_name })),
    bad: ["workflow_run", "issue_comment", "pull_request_target", "repository_dispatch", "merge_group"].map(
      (event_name) => ({ event_name }),
    ),
  },
  {
    condition: "events",
    trust: { events: ["workflow_run"] },
    good: [{ event_name: "workflow_run" }],
    bad: [{ event_name: "push" }],
  },
];

describe.each(cases)("$condition of $trust", ({ condition, trust, good, bad }) => {
  test("lets in what meets it", async () => {
    const agent = await start([{ github: { ...usual, ...trust } }]);
    for (const claims of good)
      expect(await statusOf(agent, await tokens.sign(audience, { claims: { ...claims } }))).toBe(200);
  });

  test("refuses what does not, and the log names the condition", async () => {
    const agent = await start([{ github: { ...usual, ...trust } }]);
    for (const claims of bad) {
      expect(
        await statusOf(agent, await tokens.sign(audience, { claims: { ...claims } })),
        JSON.stringify(claims),
      ).toBe(401);
    }
    expect(refusals(agent).map(({ condition }) => condition)).toEqual(bad.map(() => condition));
  });
});

describe("expires", () => {
  const at = (time: string) => ({ auth: { now: () => Date.parse(time) } });
  const tokenAt = (time: string) => {
    const seconds = Date.parse(time) / 1000;
    return tokens.sign(audience, { claims: { iat: seconds, nbf: seconds, exp: seconds + 300 } });
  };

  test("a repository's entry counts on its last day, in UTC, and not on the next", async () => {
    const trust: Trust = [{ github: usual, expires: "2026-11-30" }];
    const [last, next] = ["2026-11-30T23:59:00Z", "2026-12-01T00:00:30Z"];
    const before = await start(trust, at(last));
    expect(await statusOf(before, await tokenAt(last))).toBe(200);
    await before.close();
    const after = await start(trust, at(next));
    expect(await statusOf(after, await tokenAt(next))).toBe(401);
    expect(refusals(after)).toMatchObject([
      { reason: "identity_mismatch", condition: "expires", expected: "until 2026-11-30", got: "2026-12-01" },
    ]);
  });

  test("so does a key's, and what another entry allows stays", async () => {
    const key = await newKey();
    const trust: Trust = [
      { key: key.publicLine, allow: ["read"], expires: "2026-11-30" },
      { key: key.publicLine, allow: ["rollback"] },
    ];
    const now = "2026-12-01T00:00:30Z";
    const both = await start(trust, at(now));
    const sign = (operation: string) =>
      signToken(key.signer, `cutover/v1/${hostName}/shop/${operation}`, { sub: "ci" }, Date.parse(now));
    expect(await statusOf(both, await sign("read"))).toBe(403);
    await both.close();
    const one = await start(trust.slice(0, 1), at(now));
    expect(await statusOf(one, await sign("read"))).toBe(401);
    expect(refusals(one)).toMatchObject([{ condition: "expires", expected: "until 2026-11-30" }]);
  });
});

test("who was let in by which entry is known to what the call begins", async () => {
  const key = await newKey();
  const agent = await start([
    { github: { ...usual, workflow: file }, allow: ["read"] },
    { github: usual, allow: ["rollback"] },
    { key: key.publicLine },
  ]);
  const aud = `cutover/v1/${hostName}/shop/rollback`;
  // The key's holder names the repository, too.
  const forged = { sub: "acme/shop@refs/heads/main by octocat", repository: "acme/shop" };
  for (const token of [await tokens.sign(aud), await signToken(key.signer, aud, forged)]) {
    const headers = { authorization: `Bearer ${token}` };
    expect((await fetch(`${agent.url}/v1/apps/shop/rollback`, { method: "POST", headers })).status).toBe(202);
  }
  expect(agent.service.calls.map(({ by }) => by?.trust)).toEqual([
    "github acme/shop, environment production",
    `key ${key.publicLine.slice(0, 18)}...`,
  ]);
});

test.each<[string, object]>([
  ["a workflow with a pattern", { github: { ...usual, workflow: ".github/workflows/*.yml" } }],
  ["a workflow of another directory", { github: { ...usual, workflow: "deploy.yml" } }],
  ["a workflow with a short ref", { github: { ...usual, workflow: `${file}@main` } }],
  ["a reusable workflow without a ref", { github: { ...usual, job_workflow: `acme/ci/${file}` } }],
  ["a reusable workflow without a repository", { github: { ...usual, job_workflow: `${file}@refs/tags/v1` } }],
  ["a runner that there is not", { github: { ...usual, runner: "any" } }],
  ["no event at all", { github: { ...usual, events: [] } }],
  ["a date that there is not", { github: usual, expires: "2026-02-30" }],
  ["a time", { github: usual, expires: "2026-11-30T10:00:00Z" }],
])("a trust entry with %s is refused", (_what, entry) => {
  expect(appSettingsSchema.safeParse({ trust: [entry] }).success).toBe(false);
});

test("a settings file of the last release still loads, and one with a bare date does", () => {
  const errors = { notYaml: "host_settings_invalid", invalid: "host_settings_invalid" } as const;
  const old = "trust:\n  - github: { repository: acme/shop, ref: refs/heads/main, events: [pull_request] }\n";
  expect(parseYamlFile(old, "shop.yml", appSettingsSchema, errors).trust[0]?.github?.events).toEqual(["pull_request"]);
  const dated = `${old}    expires: 2027-06-30\n`;
  expect(parseYamlFile(dated, "shop.yml", appSettingsSchema, errors).trust[0]?.expires).toBe("2027-06-30");
});

test("the sample claims are those of the conditions", () => {
  expect(shopClaims).toMatchObject({ workflow_ref: main, runner_environment: "github-hosted", ref_protected: "true" });
});
