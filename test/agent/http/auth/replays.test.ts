import { rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { IssuerKeyFiles } from "../../../../agent/host/trust/issuer-keys.ts";
import { UsedTokensFile } from "../../../../agent/host/trust/used-tokens.ts";
import { agentSettingsSchema } from "../../../../agent/settings.ts";
import { TokenServer } from "../../../fakes/token-server.ts";
import { Scratch } from "../../../harness/scratch.ts";
import { hostName, newKey, startTestAgent, type TestAgent, type TestAgentOptions, type TestKey } from "../support.ts";
import { bundle, type Good, goodGithub, goodKey } from "./good-token.ts";

let scratch: Scratch;
let tokens: TokenServer;
let key: TestKey;
beforeAll(async () => {
  scratch = new Scratch("replays");
  tokens = await TokenServer.start();
  key = await newKey();
});
afterAll(async () => {
  await tokens?.[Symbol.asyncDispose]();
  await scratch?.[Symbol.asyncDispose]();
});

const twoDays = 2 * 24 * 60 * 60_000;

const kinds = [
  { kind: "a key", make: () => goodKey(key) },
  { kind: "GitHub", make: () => goodGithub(tokens) },
];

/** Each test's name counts as one form of replay: the table in test/README.md has their number. */
describe.each(kinds)("a used token of $kind is refused", ({ make }) => {
  let good: Good;
  let now: number;
  let running: { agent: TestAgent; spent: UsedTokensFile } | undefined;
  const file = () => join(scratch.path, "spent-tokens");

  beforeEach(async () => {
    good = await make();
    now = Date.now();
    await rm(file(), { force: true });
  });
  afterEach(async () => {
    await stop();
  });

  async function start(names = [hostName]): Promise<TestAgent> {
    const spent = await UsedTokensFile.open(file(), { now: () => now, limits: { pool: 3 } });
    const issuers = [{ issuer: tokens.issuer, server: "https://github.com" }];
    const { github } = agentSettingsSchema.parse({ github: issuers });
    const options: TestAgentOptions = {
      trust: [
        { key: key.publicLine },
        {
          github: { repository: "acme/shop", environment: "production", repository_id: "1296269", owner_id: "583231" },
        },
      ],
      github: { issuers, keys: new IssuerKeyFiles({ data: scratch.path, issuers: github }) },
      auth: { spent, now: () => now, names },
    };
    running = { agent: await startTestAgent(options), spent };
    return running.agent;
  }

  async function stop(): Promise<void> {
    await running?.agent.close();
    await running?.spent.close();
    running = undefined;
  }

  async function send({ url }: TestAgent, token: string, path = "/v1/apps/shop/releases"): Promise<number> {
    const headers = { authorization: `Bearer ${token}` };
    const response = await fetch(`${url}${path}`, { method: "POST", body: bundle, headers });
    await response.body?.cancel();
    return response.status;
  }

  function reasons({ log }: TestAgent): string[] {
    return [...log().matchAll(/"reason":"(\w+)"/g)].map(([, reason]) => reason ?? "");
  }

  test("sent twice", async () => {
    const agent = await start();
    const token = await good.sign();
    expect([await send(agent, token), await send(agent, token)]).toEqual([202, 403]);
    expect(reasons(agent)).toEqual(["spent"]);
  });

  test("sent twice at once", async () => {
    const agent = await start();
    const token = await good.sign();
    const statuses = await Promise.all(Array.from({ length: 8 }, () => send(agent, token)));
    expect(statuses.toSorted()).toEqual([202, ...Array(7).fill(403)]);
    expect(agent.service.calls).toHaveLength(1);
  });

  test("sent again with other spare bits at the end of its signature", async () => {
    const agent = await start();
    const token = await good.sign();
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const last = alphabet.indexOf(token.at(-1) ?? "");
    const other = `${token.slice(0, -1)}${alphabet[last ^ 1]}`;
    expect(other).not.toBe(token);
    expect([await send(agent, token), await send(agent, other)]).toEqual([202, 403]);
    expect(reasons(agent)).toEqual(["spent"]);
  });

  test("signed again with the same id", async () => {
    const agent = await start();
    const statuses = [];
    for (const sub of ["one", "two"])
      statuses.push(await send(agent, await good.sign({ claims: { jti: "same", sub } })));
    expect(statuses).toEqual([202, 403]);
  });

  test("after a restart", async () => {
    const token = await good.sign();
    expect(await send(await start(), token)).toBe(202);
    await stop();
    const again = await start();
    expect(await send(again, token)).toBe(403);
    expect(reasons(again)).toEqual(["spent"]);
  });

  test("after a crash that left the file as it was", async () => {
    const token = await good.sign();
    await send(await start(), token);
    // Not closed: a second agent over the same file sees what was on disk at that moment.
    const first = running;
    const again = await start();
    expect(await send(again, token)).toBe(403);
    await first?.agent.close();
    await first?.spent.close();
  });

  test("on another call", async () => {
    const agent = await start();
    const token = await good.sign();
    await send(agent, token);
    expect(await send(agent, token, "/v1/apps/shop/rollback")).toBe(401);
    expect(reasons(agent)).toEqual(["audience_mismatch"]);
  });

  test("on another host", async () => {
    const token = await good.sign();
    await send(await start(), token);
    await stop();
    const other = await start(["web2.example.com:7070"]);
    expect(await send(other, token)).toBe(401);
    expect(reasons(other)).toEqual(["host_unknown"]);
  });

  test("after it has expired", async () => {
    const agent = await start();
    const token = await good.sign();
    await send(agent, token);
    now += 400_000;
    expect(await send(agent, token)).toBe(401);
    expect(reasons(agent)).toEqual(["expired"]);
  });

  test("when it has expired, was forgotten, and the clock steps back to when it was good", async () => {
    const agent = await start();
    const token = await good.sign();
    expect(await send(agent, token)).toBe(202);
    now += 400_000;
    const seconds = Math.floor(now / 1000);
    const fresh = { iat: seconds, nbf: seconds, exp: seconds + 300 };
    // The store has room for three, so the third makes it forget.
    for (let count = 0; count < 3; count++) expect(await send(agent, await good.sign({ claims: fresh }))).toBe(202);
    now -= 400_000;
    expect(await send(agent, token)).toBe(403);
    expect(reasons(agent)).toEqual(["clock_behind"]);
  });

  test("likewise with a restart in between", async () => {
    const token = await good.sign();
    expect(await send(await start(), token)).toBe(202);
    await stop();
    // So much later that it is forgotten at a start.
    now += twoDays;
    await start();
    await stop();
    now -= twoDays;
    const agent = await start();
    expect(await send(agent, token)).toBe(403);
    expect(reasons(agent)).toEqual(["clock_behind"]);
  });
});
