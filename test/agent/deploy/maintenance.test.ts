import { pino } from "pino";
import { expect, test } from "vitest";
import { Deployments } from "../../../agent/deploy/deployments.ts";
import { FakeHost } from "../../fakes/ports.ts";

const agentOn = (host: FakeHost) => new Deployments({ ports: host.ports, log: pino({ level: "silent" }) });
const release = "20261121T100000Z-1111111";

test("a site that is closed stays so over a deploy and a new agent, and its view says so", async () => {
  const host = new FakeHost();
  const agent = agentOn(host);
  expect(await agent.maintain("shop", { allow: ["127.0.0.1"] })).toMatchObject({ allow: ["127.0.0.1"] });
  const { deployment } = await agent.deploy("shop", host.request(release));
  expect(await agent.settled(deployment, 10_000, new AbortController().signal)).toMatchObject({ outcome: "succeeded" });
  await agent.close();
  const next = agentOn(host);
  await next.recoverAll();
  expect(await next.app("shop")).toMatchObject({ live: release, maintenance: { allow: ["127.0.0.1"] } });
  expect(await next.maintain("shop", null)).toBeUndefined();
  expect(await next.app("shop")).not.toHaveProperty("maintenance");
});

test("an app that the host does not have cannot be closed", async () => {
  const host = new FakeHost();
  await expect(agentOn(host).maintain("blog", { allow: [] })).rejects.toMatchObject({ code: "app_not_found" });
  expect(host.effects).toEqual([]);
});
