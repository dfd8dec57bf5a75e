import { afterEach, expect, test } from "vitest";
import { localOperator } from "../../../agent/http/auth/authorize.ts";
import { startTestAgent, type TestAgent } from "./support.ts";

const path = "/v1/apps/shop/maintenance";
let agent: TestAgent;

afterEach(() => agent.close());

const put = (body?: string) => fetch(`${agent.url}${path}`, { method: "PUT", ...(body !== undefined && { body }) });

test("a local operator closes a site and opens it", async () => {
  agent = await startTestAgent({ http: { authorize: localOperator(), admin: true } });
  const closed = await put('{"allow":["127.0.0.1"]}');
  expect([closed.status, await closed.json()]).toEqual([200, { since: expect.any(String), allow: ["127.0.0.1"] }]);
  expect(await (await put()).json()).toMatchObject({ allow: [] });
  expect((await fetch(`${agent.url}${path}`, { method: "DELETE" })).status).toBe(204);
  expect(agent.service.calls.map(({ detail }) => detail)).toEqual([{ allow: ["127.0.0.1"] }, { allow: [] }, null]);
});

test.each(['{"allow":"127.0.0.1"}', '{"alow":[]}', "{"])("a body %s is refused", async (body) => {
  agent = await startTestAgent({ http: { authorize: localOperator(), admin: true } });
  const answer = await put(body);
  expect([answer.status, await answer.json()]).toMatchObject([400, { code: "request_invalid" }]);
  expect(agent.service.calls).toEqual([]);
});

test("nobody else has these calls", async () => {
  agent = await startTestAgent({ http: { authorize: localOperator() } });
  for (const method of ["PUT", "DELETE"]) {
    expect((await fetch(`${agent.url}${path}`, { method })).status).toBe(404);
  }
  expect(agent.service.calls).toEqual([]);
});
