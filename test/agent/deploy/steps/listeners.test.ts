import { pino } from "pino";
import { expect, test } from "vitest";
import { Deployments } from "../../../../agent/deploy/deployments.ts";
import { FakeHost } from "../../../fakes/ports.ts";

const v1 = "20261121T100000Z-1111111";
const v2 = "20261121T100100Z-2222222";
const never = new AbortController().signal;

/** v1 is live; then v2 comes, of which an instance listens to the network. */
async function deployed(settings: object) {
  const host = new FakeHost();
  host.settings = { ...host.settings, ...settings };
  const agent = new Deployments({ ports: host.ports, log: pino({ level: "silent" }) });
  const deploy = async (release: string) =>
    agent.settled((await agent.deploy("shop", host.request(release, { watch: "0s" }))).deployment, 10_000, never);
  await deploy(v1);
  host.outside.set(`unix:${v2}/web-1.sock`, "0.0.0.0:9000");
  const view = await deploy(v2);
  const events = host.disk.events.get(view.id) ?? [];
  const notices = events.flatMap((event) => (event.type === "notice" ? [event.message] : []));
  return { host, view, notices };
}

test("H10 an instance that listens to the network is told of, with what to do", async () => {
  const { view, notices } = await deployed({});
  expect(view.outcome).toBe("succeeded");
  expect(notices).toContainEqual(
    expect.stringContaining("shop listens to the network and not only to this host: web-1 on 0.0.0.0:9000."),
  );
});

test("H10 with `listen_outside: refuse` it gets no visitors, and the live release keeps them", async () => {
  const { host, view } = await deployed({ listen_outside: "refuse" });
  expect(view).toMatchObject({
    outcome: "failed",
    failure: { code: "listen_not_allowed", fix: expect.stringContaining("has `listen_outside: refuse`") },
  });
  expect(host.disk.slots).toBe(`${v1}:60`);
  expect([...host.disk.programs]).toEqual([v1]);
});
