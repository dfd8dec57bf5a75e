import { pino } from "pino";
import { expect, test } from "vitest";
import { readInputs } from "../../../action/inputs.ts";
import { claimsOf } from "../../../action/tokens/key-tokens.ts";
import type { DeployRequest } from "../../../agent/contracts/service.ts";
import { Deployments } from "../../../agent/deploy/deployments.ts";
import { workflowRunOf } from "../../../agent/http/auth/workflow-run.ts";
import { signToken } from "../../../shared/key.ts";
import type { WorkflowRun } from "../../../shared/protocol.ts";
import { hostName, newKey, startTestAgent } from "../../agent/http/support.ts";
import { FakeHost } from "../../fakes/ports.ts";
import { fakeDigest } from "../../fakes/service.ts";

/** An older run of a workflow replaced in silence what a newer one had deployed. */

const [v1, v2, v3, v4] = [
  "20261121T100000Z-1111111",
  "20261121T100100Z-2222222",
  "20261121T100200Z-3333333",
  "20261121T100300Z-4444444",
];
const workflow = "acme/shop/.github/workflows/deploy.yml";
const never = new AbortController().signal;
const plain = { by: { subject: "test" }, waitMs: 0, signal: never };

class Host {
  readonly host = new FakeHost();
  agent = this.start();

  start(): Deployments {
    return new Deployments({ ports: this.host.ports, log: pino({ level: "silent" }) });
  }

  async deploy(release: string, run: Partial<WorkflowRun> | undefined, more: Partial<DeployRequest> = {}) {
    const by = run === undefined ? plain.by : { ...plain.by, run: { workflow, number: 1, attempt: 1, ...run } };
    const request = this.host.request(release, { keep_warm: "0s" }, { by, ...more });
    const { deployment } = await this.agent.deploy("shop", request);
    return (await this.agent.settled(deployment, 10_000, never)).outcome;
  }
}

test("a run that is older than the live one's is refused, says which, and changes nothing", async () => {
  const host = new Host();
  expect(await host.deploy(v2, { number: 42 })).toBe("succeeded");
  host.host.effects.length = 0;
  await expect(host.deploy(v1, { number: 41 })).rejects.toMatchObject({
    code: "older_than_live",
    message: expect.stringMatching(
      /^This is run 41 of acme\/shop\/\.github\/workflows\/deploy\.yml, and the live release 20261121T100100Z-2222222 \(live since .*\) came with run 42\.$/,
    ),
    fix: expect.stringContaining("allow-older: true"),
  });
  // Also one that would only be staged, for a canary or by the command `stage`.
  await expect(host.deploy(v1, { number: 41 }, { activate: false })).rejects.toMatchObject({ code: "older_than_live" });
  expect(host.host.effects).toEqual([]);
  expect(await host.agent.app("shop")).toMatchObject({
    live: v2,
    releases: [{ id: v2, run: { workflow, number: 42 } }],
  });
});

test("the same run again is older if its attempt is", async () => {
  const host = new Host();
  expect(await host.deploy(v1, { number: 42, attempt: 2 })).toBe("succeeded");
  await expect(host.deploy(v2, { number: 42, attempt: 1 })).rejects.toMatchObject({
    code: "older_than_live",
    message: expect.stringContaining("came with run 42 (attempt 2)."),
  });
  expect(await host.deploy(v2, { number: 42, attempt: 2 })).toBe("succeeded");
  expect(await host.deploy(v3, { number: 42, attempt: 3 })).toBe("succeeded");
});

test("whoever says so may deploy it all the same, and it is then what later ones are compared with", async () => {
  const host = new Host();
  expect(await host.deploy(v2, { number: 42 })).toBe("succeeded");
  expect(await host.deploy(v1, { number: 40 }, { allowOlder: true })).toBe("succeeded");
  expect(await host.deploy(v3, { number: 41 })).toBe("succeeded");
});

test("only runs of one workflow are compared, and only if both are known", async () => {
  const host = new Host();
  expect(await host.deploy(v1, { number: 42 })).toBe("succeeded");
  expect(await host.deploy(v2, { number: 3, workflow: "acme/shop/.github/workflows/hotfix.yml" })).toBe("succeeded");
  expect(await host.deploy(v3, undefined)).toBe("succeeded");
  expect(await host.deploy(v4, { number: 1 })).toBe("succeeded");
});

test("rollback, redeploy and activate are not touched by it", async () => {
  const host = new Host();
  expect(await host.deploy(v1, { number: 41 })).toBe("succeeded");
  expect(await host.deploy(v2, { number: 42 })).toBe("succeeded");
  const older = { ...plain, by: { subject: "test", run: { workflow, number: 1, attempt: 1 } } };
  const ended = async ({ deployment }: { deployment: string }) =>
    (await host.agent.settled(deployment, 10_000, never)).outcome;
  expect(await ended(await host.agent.rollback("shop", older))).toBe("succeeded");
  expect(await ended(await host.agent.activate("shop", v2, { ...older, weight: 100 }))).toBe("succeeded");
  expect(await ended(await host.agent.redeploy("shop", v1, older))).toBe("succeeded");
  // What is live now is of run 41, so run 42 may come again.
  expect(await host.deploy(v3, { number: 42 })).toBe("succeeded");
});

test("a state file of the last release, which has no runs, still loads", async () => {
  const host = new Host();
  expect(await host.deploy(v1, { number: 42 })).toBe("succeeded");
  const state = JSON.parse(host.host.disk.state.get("shop") ?? "{}");
  expect(state.releases[0].run).toEqual({ workflow, number: 42, attempt: 1 });
  for (const release of state.releases) delete release.run;
  for (const past of state.history) delete past.by.run;
  host.host.disk.state.set("shop", JSON.stringify(state));
  host.agent = host.start();
  expect(await host.deploy(v2, { number: 41 })).toBe("succeeded");
  host.agent = host.start();
  await expect(host.deploy(v3, { number: 40 })).rejects.toMatchObject({ code: "older_than_live" });
});

test("a run is read from GitHub's claims, and from those that the Action puts into a token of a key", () => {
  const run = { workflow, number: 42, attempt: 3 };
  const workflow_ref = `${workflow}@refs/heads/main`;
  expect(workflowRunOf({ workflow_ref, run_number: "42", run_attempt: "3" })).toEqual(run);
  const env = {
    GITHUB_REPOSITORY: "acme/shop",
    GITHUB_WORKFLOW_REF: `${workflow}@refs/heads/fix.yml@2`,
    GITHUB_RUN_NUMBER: "42",
    GITHUB_RUN_ATTEMPT: "3",
  };
  expect(workflowRunOf(claimsOf(env))).toEqual(run);
  expect(workflowRunOf(claimsOf({ GITHUB_REPOSITORY: "acme/shop" }))).toBeUndefined();
  for (const claims of [
    { workflow_ref: "deploy", run_number: "42" },
    { workflow_ref, run_number: 42 },
    { workflow_ref, run_number: "-1" },
    { workflow_ref, run_number: "1e9" },
    { workflow_ref, run_number: "9".repeat(400) },
    { workflow_ref: ["a"], run_number: "42" },
    { run_number: "42" },
  ]) {
    expect(workflowRunOf(claims)).toBeUndefined();
  }
});

test("the permission comes in a header, which an older agent does not look at, and from the input of the step", async () => {
  const key = await newKey();
  const agent = await startTestAgent({ trust: [{ key: key.publicLine }] });
  try {
    const asked: (boolean | undefined)[] = [];
    agent.service.beforeBody = async ({ allowOlder }) => void asked.push(allowOlder);
    for (const header of [{}, { "cutover-allow-older": "true" }, { "cutover-allow-older": "yes" }]) {
      const audience = `cutover/v1/${hostName}/shop/deploy/${fakeDigest("a bundle")}`;
      const authorization = `Bearer ${await signToken(key.signer, audience, { sub: "ci" })}`;
      const headers = { ...header, authorization };
      await fetch(`${agent.url}/v1/apps/shop/releases`, { method: "POST", body: "a bundle", headers });
    }
    expect(asked).toEqual([false, true, false]);
  } finally {
    await agent.close();
  }
  const env = { INPUT_HOSTS: "https://web1.example.com:7070", "INPUT_ALLOW-OLDER": "true" };
  expect(readInputs(env).allowOlder).toBe(true);
  expect(readInputs({ INPUT_HOSTS: env.INPUT_HOSTS }).allowOlder).toBe(false);
  expect(() => readInputs({ ...env, INPUT_COMMAND: "rollback" })).toThrow("does nothing for the command rollback");
});
