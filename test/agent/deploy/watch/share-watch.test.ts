import { setImmediate } from "node:timers/promises";
import { pino } from "pino";
import { expect, onTestFinished, test } from "vitest";
import { Deployments } from "../../../../agent/deploy/deployments.ts";
import { FakeHost } from "../../../fakes/ports.ts";

const v1 = "20261121T100000Z-1111111";
const never = new AbortController().signal;

function agentOf(host: FakeHost) {
  const lines: string[] = [];
  const log = pino({ level: "warn" }, { write: (line: string) => void lines.push(line) });
  const agent = new Deployments({ ports: host.ports, log });
  onTestFinished(() => agent.close());
  const deploy = async (release: string) => {
    const { deployment } = await agent.deploy("shop", host.request(release, { watch: "0s" }));
    return agent.settled(deployment, 10_000, never);
  };
  const until = async (done: () => boolean) => {
    while (!done()) await setImmediate();
  };
  const pass = async (ms: number) => {
    const end = host.ports.clock.elapsed() + ms;
    await until(() => host.ports.clock.elapsed() >= end);
  };
  const said = () => lines.filter((line) => line.includes("full share")).length;
  return { agent, deploy, until, pass, said };
}

test("a release has the full share before it has visitors", async () => {
  const host = new FakeHost();
  const { deploy } = agentOf(host);
  const sharesAt = new Map<string, number>();
  host.onEffect = (effect) => void sharesAt.set(effect.split(" ")[0] ?? "", host.shares.given.length);
  expect((await deploy(v1)).outcome).toBe("succeeded");
  expect(sharesAt.get("programs.start")).toBe(0);
  expect(sharesAt.get("publish")).toBeGreaterThan(0);
});

test("a host that cannot give the full share fails no deploy; the live run gets it as soon as the host can", async () => {
  const host = new FakeHost();
  host.shares.refused = true;
  const { agent, deploy, until, pass, said } = agentOf(host);
  expect((await deploy(v1)).outcome).toBe("succeeded");
  const before = said();
  expect(before).toBeGreaterThan(0);
  agent.supervision.start();
  await pass(60_000);
  expect(said()).toBe(before + 1);
  host.shares.refused = false;
  await until(() => host.shares.given.length > 0);
});

test("an agent that starts gives live instances the full share, and again when none can be new any more", async () => {
  const host = new FakeHost();
  const before = agentOf(host);
  await before.deploy(v1);
  await before.agent.close();
  host.shares.given.length = 0;
  const { agent, pass, until } = agentOf(host);
  agent.supervision.start();
  await until(() => host.shares.given.length === 1);
  await pass(3_600_000);
  expect(host.shares.given).toEqual([v1, v1]);
});

test("an instance that was restarted gets the full share when it listens again", async () => {
  const host = new FakeHost();
  const { agent, deploy, pass, until } = agentOf(host);
  await deploy(v1);
  agent.supervision.start();
  await pass(120_000);
  const web = `unix:${v1}/web-0.sock`;
  host.silent.add(web);
  await pass(9000);
  host.shares.given.length = 0;
  host.silent.delete(web);
  await until(() => host.shares.given.length > 0);
  expect(new Set(host.shares.given)).toEqual(new Set([v1]));
});
