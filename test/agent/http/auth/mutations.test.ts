import { once } from "node:events";
import { createServer, type IncomingMessage, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { IssuerKeyFiles } from "../../../../agent/host/trust/issuer-keys.ts";
import { agentSettingsSchema } from "../../../../agent/settings.ts";
import { TokenServer } from "../../../fakes/token-server.ts";
import { Scratch } from "../../../harness/scratch.ts";
import { newKey, startTestAgent, type TestAgent, type TestAgentOptions } from "../support.ts";
import { githubMutations, otherIssuer, refMutations } from "./github-mutations.ts";
import { bundle, type Good, goodGithub, goodKey } from "./good-token.ts";
import type { Attempt, Mutation } from "./mutation.ts";
import { keyMutations, mutations } from "./mutations.ts";

let scratch: Scratch;
let tokens: TokenServer;
/** A real server with a real set of keys, which must never be asked. */
let attacker: Server;
let attackerAsked = 0;

beforeAll(async () => {
  scratch = new Scratch("mutations");
  tokens = await TokenServer.start({ issuer: "https://token.actions.githubusercontent.com" });
  attacker = createServer((_request, response) => {
    attackerAsked += 1;
    response.end(JSON.stringify({ keys: [] }));
  });
  attacker.listen(0, "127.0.0.1");
  await once(attacker, "listening");
});
afterAll(async () => {
  attacker?.close();
  await tokens?.[Symbol.asyncDispose]();
  await scratch?.[Symbol.asyncDispose]();
});

async function send(agent: TestAgent, attempt: Attempt): Promise<{ status: number; body: string }> {
  const { authorization = [], method = "POST", path = "/v1/apps/shop/releases", headers = {} } = attempt;
  const lines = [authorization].flat().flatMap((value) => ["Authorization", value]);
  const others = Object.entries(headers).flat();
  const sent = method === "POST" ? ["Content-Length", String(bundle.length)] : [];
  const call = request(`${agent.url}${path}`, {
    method,
    headers: ["Host", "x", ...lines, ...others, ...sent],
    agent: false,
  });
  call.end(method === "POST" ? bundle : undefined);
  const [response] = (await once(call, "response")) as [IncomingMessage];
  return { status: response.statusCode ?? 0, body: await text(response) };
}

/** The log line of the last refusal. */
function refusal(agent: TestAgent): Record<string, unknown> {
  const lines = agent.log().trim().split("\n");
  return JSON.parse(lines.filter((line) => line.includes('"msg":"token refused"')).at(-1) ?? "{}");
}

// A signature or a whole payload in a log could be used again, so not even a part of the token may stand there.
function expectNothingOf({ authorization = [], path = "", headers = {} }: Attempt, seen: string): void {
  const all = [...[authorization].flat(), path.split("=")[1] ?? "", ...Object.values(headers)];
  const parts = all
    .flatMap((each) => each.split(/[ .,\t"=]+/))
    .filter((part) => part.length > 20 && !part.includes("/"));
  for (const part of parts) expect(seen).not.toContain(part.slice(0, 20));
}

interface Kind {
  what: string;
  table: Mutation[];
  start: () => Promise<{ options: TestAgentOptions; good: Good }>;
}

function githubKeys(): NonNullable<TestAgentOptions["github"]> {
  const issuers = [
    { issuer: tokens.issuer, server: "https://github.com", jwks: tokens.jwks },
    // The same keys under another name: what counts is the issuer that the app trusts.
    { issuer: otherIssuer, server: "https://ghes.example.com", jwks: tokens.jwks },
  ];
  const { github } = agentSettingsSchema.parse({ github: issuers });
  return { issuers, keys: new IssuerKeyFiles({ data: scratch.path, issuers: github }) };
}

const ids = { repository: "acme/shop", repository_id: "1296269", owner_id: "583231" };

const kinds: Kind[] = [
  {
    what: "a key's",
    table: [...mutations, ...keyMutations],
    async start() {
      const key = await newKey();
      return { options: { trust: [{ key: key.publicLine }] }, good: await goodKey(key) };
    },
  },
  {
    what: "GitHub's, of an environment",
    table: [...mutations, ...githubMutations],
    async start() {
      const trust = [{ github: { ...ids, environment: "production" } }];
      return { options: { trust, github: githubKeys() }, good: await goodGithub(tokens) };
    },
  },
  {
    what: "GitHub's, of a branch",
    table: refMutations,
    async start() {
      const trust = [{ github: { ...ids, ref: "refs/heads/main", events: ["push", "workflow_dispatch"] } }];
      return { options: { trust, github: githubKeys() }, good: await goodGithub(tokens) };
    },
  },
];

describe.each(kinds)("a token is $what", ({ table, start }) => {
  let agent: TestAgent;
  let good: Good;
  let attackerUrl: string;

  beforeAll(async () => {
    const made = await start();
    good = made.good;
    agent = await startTestAgent(made.options);
    attackerUrl = `http://127.0.0.1:${(attacker.address() as AddressInfo).port}`;
  });
  afterAll(() => agent?.close());

  test("and good, which is what all others begin with", async () => {
    const { status, body } = await send(agent, { authorization: `Bearer ${await good.sign()}` });
    expect(status, agent.log() + body).toBe(202);
  });

  test.each(["bearer", "BEARER"])("and good, with the scheme as %s", async (scheme) => {
    expect((await send(agent, { authorization: `${scheme} ${await good.sign()}` })).status).toBe(202);
  });

  test("and good, with white space around the header's value, which is no part of it", async () => {
    expect((await send(agent, { authorization: `  Bearer ${await good.sign()} \t` })).status).toBe(202);
  });

  test("for another digest: the bundle is refused, not the token", async () => {
    const aud = `cutover/v1/web1.example.com:7070/shop/deploy/sha256:${"0".repeat(64)}`;
    const { status, body } = await send(agent, { authorization: `Bearer ${await good.sign({ claims: { aud } })}` });
    expect([status, JSON.parse(body).code]).toEqual([403, "manifest_mismatch"]);
  });

  test.each(table)("refused: $name", async ({ reason, says = {}, make }) => {
    const attempt = await make(good, attackerUrl);
    const before = { calls: agent.service.calls.length, spent: agent.spent.ids.size, logged: agent.log().length };
    const { status, body } = await send(agent, attempt);
    expect(refusal(agent)).toMatchObject({ reason, app: "shop", ...says });
    expect(status).toBe(401);
    // Word for word the same whatever was wrong.
    expect(JSON.parse(body)).toMatchObject({ code: "unauthorized", status: 401, detail: publicDetail });
    expect({ calls: agent.service.calls.length, spent: agent.spent.ids.size }).toMatchObject({
      calls: before.calls,
      spent: before.spent,
    });
    expectNothingOf(attempt, agent.log().slice(before.logged) + body);
  });

  test("and nobody asked the attacker for a key", () => {
    expect(attackerAsked).toBe(0);
  });
});

const publicDetail =
  "The agent refused the token. Either the host has no app of this name, or cannot read its settings file, or the token does not prove what this call needs: " +
  "a repository or a key that the app trusts, this host's name, this app, this call, and that it has not expired.";

test("however many unknown keys were named, GitHub was asked once", () => {
  // For each of the two agents with keys of GitHub, which read the same file.
  expect(tokens.keysAsked).toBeLessThanOrEqual(2);
});
