import { pino } from "pino";
import { expect, test } from "vitest";
import { Deployments } from "../../../agent/deploy/deployments.ts";
import { FakeHost } from "../../fakes/ports.ts";

const release = "20261121T100000Z-1111111";

test("what a site needs of the host is asked before anything is unpacked", async () => {
  const host = new FakeHost();
  const ports = host.ports;
  const refusal = Object.assign(new Error("no certificate"), { code: "certificate_missing" });
  ports.privileged.checkSite = async () => {
    throw refusal;
  };
  const agent = new Deployments({ ports, log: pino({ level: "silent" }) });
  await expect(agent.deploy("shop", host.request(release))).rejects.toThrow("no certificate");
  expect(host.effects).toEqual([]);
});
