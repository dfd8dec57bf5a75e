import { pino } from "pino";
import { expect, test } from "vitest";
import { Deployments } from "../../../../agent/deploy/deployments.ts";
import { FakeHost } from "../../../fakes/ports.ts";

const v1 = "20261121T100000Z-1111111";
const v2 = "20261121T100100Z-2222222";
const closed = { site: { listen: [8443] } };

/** @returns what a caller is told who asks for an address that the host does not allow */
async function refused(agent: Deployments, host: FakeHost, release: string): Promise<unknown> {
  return agent.deploy("shop", host.request(release, closed)).catch((error: unknown) => error);
}

test("a first deploy that the host refuses is told that nothing is live yet, a later one that the live release serves", async () => {
  const host = new FakeHost();
  const agent = new Deployments({ ports: host.ports, log: pino({ level: "silent" }) });
  expect(await refused(agent, host, v1)).toMatchObject({
    code: "listen_not_allowed",
    unchanged: "Nothing was unpacked; no release is live yet.",
  });
  const { deployment } = await agent.deploy("shop", host.request(v1, { watch: "0s" }));
  await agent.settled(deployment, 10_000, new AbortController().signal);
  expect(await refused(agent, host, v2)).toMatchObject({
    code: "listen_not_allowed",
    unchanged: "Nothing was unpacked; the live release goes on serving.",
  });
});
