import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { AgentClient } from "../../../action/client/agent-client.ts";
import { usualTiming } from "../../../action/client/timing.ts";
import { problemResponse } from "../../../agent/http/problems.ts";
import { CutoverError, type ErrorCode } from "../../../shared/errors.ts";
import { toProblem } from "../../../shared/problem.ts";
import { calls } from "../../../shared/protocol.ts";
import { never, refusalCode } from "../workspace.ts";

const open: { close(): unknown }[] = [];
afterEach(() => {
  for (const one of open.splice(0)) one.close();
});

const accepted = { deployment: "y9dcJP7dVicUQJXWO4RW3Q", release: "20261121T103000Z-3f2c1ab" };

/** An agent that refuses its first calls so, as the real one words it, and then takes one. */
async function agentThatRefuses(times: number, code: ErrorCode, status: number) {
  const tokens: (string | undefined)[] = [];
  const server = createServer(async (request, response) => {
    tokens.push(request.headers.authorization);
    if (tokens.length > times) return void response.writeHead(202).end(JSON.stringify(accepted));
    const refused = problemResponse(toProblem(new CutoverError(code, "Not now."), status), { "retry-after": "1" });
    response.writeHead(refused.status, Object.fromEntries(refused.headers)).end(await refused.text());
  });
  open.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const client = new AgentClient(url, { timing: { ...usualTiming, firstDelayMs: 1 } });
  let made = 0;
  const token = async () => `token-${made++}`;
  const rollback = { call: calls.rollback, names: { app: "shop" }, body: {} };
  return { tokens, command: () => client.command({ ...rollback, waitMs: 0, repeatable: false, token, signal: never }) };
}

test.each([
  ["too_many_calls", 429],
  ["agent_stopping", 503],
] as const)(
  "a call that must not happen twice is sent again after %s, with a token of its own",
  async (code, status) => {
    const { command, tokens } = await agentThatRefuses(2, code, status);
    expect(await command()).toEqual({ ...accepted, repeated: false });
    expect(tokens).toEqual(["Bearer token-0", "Bearer token-1", "Bearer token-2"]);
  },
);

test("it is not sent again for ever, nor after another refusal", async () => {
  const busy = await agentThatRefuses(100, "too_many_calls", 429);
  expect(await refusalCode(busy.command)).toBe("too_many_calls");
  expect(busy.tokens).toHaveLength(5);
  const refused = await agentThatRefuses(100, "unauthorized", 401);
  expect(await refusalCode(refused.command)).toBe("unauthorized");
  expect(refused.tokens).toHaveLength(1);
});
