import { pino } from "pino";
import { expect, test } from "vitest";
import { Deployments } from "../../../../agent/deploy/deployments.ts";
import type { CutoverError } from "../../../../shared/errors.ts";
import type { Accepted, DeploymentView } from "../../../../shared/protocol.ts";
import { FakeHost } from "../../../fakes/ports.ts";

/** One deployment an app at a time. */

const v1 = "20261121T100000Z-1111111";
const v2 = "20261121T100100Z-2222222";
const v3 = "20261121T100200Z-3333333";
const cold = { keep_warm: "0s", watch: "0s" };
const unwell = { kind: "unreachable", reason: "starting" } as const;

function agentOn(host: FakeHost): Deployments {
  return new Deployments({ ports: host.ports, log: pino({ level: "silent" }) });
}

async function ended(agent: Deployments, { deployment }: Accepted): Promise<DeploymentView> {
  return agent.settled(deployment, 10_000, new AbortController().signal);
}

test("many apps are deployed at once, each by its own", async () => {
  const host = new FakeHost();
  host.apps = Array.from({ length: 8 }, (_, index) => `shop-${index}`);
  const agent = agentOn(host);
  const release = (index: number) => `20261121T10000${index}Z-1111111`;
  // One hangs, which keeps no other from going on.
  host.answers.set(release(0), unwell);
  const config = (app: string) => ({ ...cold, app, health: { timeout: "999999d" } });
  const all = await Promise.all(
    host.apps.map((app, index) => agent.deploy(app, host.request(release(index), config(app)))),
  );
  const [first, ...others] = all;
  for (const accepted of others) expect(await ended(agent, accepted)).toMatchObject({ outcome: "succeeded" });
  expect(await agent.deployment(first?.deployment ?? "")).toMatchObject({ outcome: "running" });
  expect(await agent.abort(first?.deployment ?? "")).toMatchObject({ outcome: "aborted" });
});

test("the holder is named with its repository, its run and since when", async () => {
  const host = new FakeHost();
  const agent = agentOn(host);
  const run_url = "https://github.com/acme/shop/actions/runs/7";
  const by = { subject: "octocat", repository: "acme/shop", run_url };
  host.answers.set(v1, unwell);
  const config = { ...cold, health: { timeout: "999999d" } };
  const { deployment } = await agent.deploy("shop", host.request(v1, config, { by }));
  const { started, state } = await agent.deployment(deployment);
  const refused = await agent.deploy("shop", host.request(v2)).catch((thrown: CutoverError) => thrown);
  expect(refused).toMatchObject({
    code: "deployment_in_progress",
    message: `shop is held by deploy ${deployment} of octocat in acme/shop (${run_url}), since ${started}, now at state ${state}.`,
    unchanged: "Nothing was changed by this call.",
    fix: expect.stringContaining("`--wait`"),
  });
  await agent.abort(deployment);
});

test("the holder's hold ends when its client is gone in the middle of an upload", async () => {
  const host = new FakeHost();
  const agent = agentOn(host);
  const sender = new AbortController();
  host.onEffect = (effect) => {
    if (effect === `release.unpack ${v1}`) sender.abort();
  };
  const upload = agent.deploy("shop", host.request(v1, cold, { signal: sender.signal }));
  await expect(upload).rejects.toMatchObject({ code: "aborted" });
  expect([...host.disk.releases.keys()]).toEqual([]);
  expect(await ended(agent, await agent.deploy("shop", host.request(v2, cold)))).toMatchObject({
    outcome: "succeeded",
  });
});

test("who waits gets the next turn, and one whose time is over is told who has it", async () => {
  const host = new FakeHost();
  const agent = agentOn(host);
  host.answers.set(v1, unwell);
  const config = { ...cold, health: { timeout: "60s" } };
  await agent.deploy("shop", host.request(v1, config));
  const short = agent.deploy("shop", host.request(v2, cold, { waitMs: 20_000 }));
  short.catch(() => undefined);
  const long = agent.deploy("shop", host.request(v3, cold, { waitMs: 600_000 }));
  await expect(short).rejects.toMatchObject({ code: "deployment_in_progress" });
  expect(await ended(agent, await long)).toMatchObject({ outcome: "succeeded", release: v3 });
});
