import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { SignJWT } from "jose";
import { expect, onTestFinished, test } from "vitest";
import { AgentClient } from "../../../action/client/agent-client.ts";
import { clockAhead } from "../../../action/client/agent-errors.ts";
import type { CutoverError } from "../../../shared/errors.ts";
import { newIssuerKey, shopClaims } from "../../fakes/token-server.ts";

/** What a person reads who has not reached the agent as it wants to be reached. */

async function refusedBy(listener: RequestListener, path: string, token = "token"): Promise<CutoverError> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await new Promise((resolve) => server.once("listening", resolve));
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`);
  const { signal } = new AbortController();
  const client = new AgentClient(url);
  return client
    .app("shop", async () => token, signal)
    .then(
      () => expect.fail("it was answered"),
      (error: CutoverError) => error,
    );
}

const problem = (code: string, status: number) =>
  JSON.stringify({ type: "about:blank", title: code, status, code, detail: `${code}.`, fix: "Ask the host's log." });

test.each([
  ["10 minutes ahead", -600, /clock is \d+m ahead of that of/],
  ["10 minutes behind", 600, /clock is \d+m behind that of/],
])("a token refused by a host whose clock says that this one is %s", async (_title, seconds, says) => {
  const error = await refusedBy((_request, response) => {
    const date = new Date(Date.now() + seconds * 1000).toUTCString();
    response.writeHead(401, { "content-type": "application/problem+json", date }).end(problem("unauthorized", 401));
  }, "");
  expect(error.message).toMatch(says);
  expect(error.fix).toContain("timedatectl set-ntp true");
});

test("a refusal by a host with the same clock says nothing of clocks", async () => {
  const error = await refusedBy((_request, response) => {
    response.writeHead(401, { "content-type": "application/problem+json" }).end(problem("unauthorized", 401));
  }, "");
  expect(error.message).toBe("unauthorized.");
  expect(error.fix).toBe("Ask the host's log.");
});

test("an answer without a date, or with none that can be read, says nothing of clocks", () => {
  expect([clockAhead(undefined), clockAhead("yesterday"), clockAhead(["x"])]).toEqual([0, 0, 0]);
  expect(clockAhead("Thu, 26 Nov 2026 10:00:00 GMT", Date.parse("2026-11-26T10:10:00Z"))).toBe(600_000);
});

test("an address with a path that the agent does not have is told without it", async () => {
  const server = createServer((_request, response) =>
    response.writeHead(404, { "content-type": "application/problem+json" }).end(problem("request_invalid", 404)),
  ).listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  const client = new AgentClient(new URL(`http://127.0.0.1:${port}/deploy`));
  const error = await client.check(new AbortController().signal).catch((thrown: CutoverError) => thrown);
  expect(error).toMatchObject({
    code: "agent_incompatible",
    message: expect.stringContaining("nothing below /deploy"),
  });
  expect((error as CutoverError).fix).toContain("Take /deploy out of `hosts`");
});

/** A token as GitHub signs it for a job, or as a key does. */
async function tokenOf(claims: Record<string, unknown>): Promise<string> {
  const { private: key } = await newIssuerKey();
  return new SignJWT(claims).setProtectedHeader({ alg: "RS256", kid: "k1" }).sign(key);
}

const refusing =
  (code: string, status: number): RequestListener =>
  (_request, response) =>
    void response.writeHead(status, { "content-type": "application/problem+json" }).end(problem(code, status));
const aud = "cutover/v1/web1:7070/shop/read";

test.each([
  [
    "of a job",
    { ...shopClaims, iss: "https://token.actions.githubusercontent.com", aud },
    "This job's token says: host web1:7070, app shop, call read, repository acme/shop, environment production, event push, ref refs/heads/main, workflow acme/shop/.github/workflows/deploy.yml@refs/heads/main, runner github-hosted, run 4711.",
    "Ask the host's log.",
  ],
  [
    "of a job without an environment",
    { ...shopClaims, environment: undefined, aud },
    "repository acme/shop, no environment, event push",
    "write `environment:` with that name into this job",
  ],
  [
    "of a pull request",
    { ...shopClaims, event_name: "pull_request", aud },
    "event pull_request",
    "A host takes nothing from pull_request unless `events`",
  ],
  ["of a key", { iss: "cutover", repository: "acme/shop", aud }, "call read, key k1, repository acme/shop.", "Ask"],
])("a refused token %s is told with what it claims", async (_title, claims, told, fix) => {
  const token = await tokenOf(claims);
  for (const [code, status] of [
    ["unauthorized", 401],
    ["forbidden", 403],
  ] as const) {
    const error = await refusedBy(refusing(code, status), "", token);
    expect(error.code).toBe(code);
    expect(error.message).toContain(told);
    expect(error.message).not.toContain(token.split(".")[2]);
  }
  expect((await refusedBy(refusing("unauthorized", 401), "", token)).fix).toContain(fix);
});
