import { pino } from "pino";
import { expect, test } from "vitest";
import { Deployments } from "../../../../agent/deploy/deployments.ts";
import { FakeHost } from "../../../fakes/ports.ts";

const release = "20261121T100000Z-1111111";
const never = new AbortController().signal;

/** The first deploy of an app that answers its health check so. */
async function refused(status: number, body: string) {
  const host = new FakeHost();
  host.answers.set(release, { kind: "status", status, body, location: undefined });
  const agent = new Deployments({ ports: host.ports, log: pino({ level: "silent" }) });
  const { deployment } = await agent.deploy("shop", host.request(release, { health: { timeout: "1s" } }));
  return (await agent.settled(deployment, 10_000, never)).failure;
}

test.each([
  [
    503,
    '{"status": "fail", "search": "timeout after 2 s"}',
    /It says: \{"status": "fail", "search": "timeout after 2 s"\}\.$/,
  ],
  [403, "IP not in allow list", /It says: IP not in allow list\.$/],
  [404, '{"detail":"Not Found"}', /expected 200-399\.$/],
  [503, "<html><body>maintenance</body></html>", /expected 200-399\.$/],
  [500, "Internal Server Error", /expected 200-399\.$/],
])("an answer %i that says more than its status is told: %s", async (status, body, detail) => {
  expect((await refused(status, body))?.detail).toMatch(detail);
});

test("a page that takes no GET is told", async () => {
  expect((await refused(405, ""))?.fix).toContain("takes no GET: set `health.path`");
});
