import { setTimeout as sleep } from "node:timers/promises";
import { pino } from "pino";
import { expect, test } from "vitest";
import { Deployments } from "../../../agent/deploy/deployments.ts";
import { CutoverError } from "../../../shared/errors.ts";
import type { Accepted, DeploymentView } from "../../../shared/protocol.ts";
import { FakeHost } from "../../fakes/ports.ts";

const v1 = "20261121T100000Z-1111111";
const v2 = "20261121T100100Z-2222222";
const v3 = "20261121T100200Z-3333333";
const v4 = "20261121T100300Z-4444444";
const v5 = "20261121T100400Z-5555555";
const warm = { keep_warm: "1h" };
const cold = { keep_warm: "0s" };
const call = { by: { subject: "test" }, waitMs: 0, signal: new AbortController().signal };

function agentOn(host: FakeHost): Deployments {
  return new Deployments({ ports: host.ports, log: pino({ level: "silent" }) });
}

async function ended(agent: Deployments, accepted: Accepted | Promise<Accepted>): Promise<DeploymentView> {
  const { deployment } = await accepted;
  return agent.settled(deployment, 10_000, new AbortController().signal);
}

async function hostWith(releases: string[], settings: object = warm): Promise<{ host: FakeHost; agent: Deployments }> {
  const host = new FakeHost();
  const agent = agentOn(host);
  for (const release of releases) {
    expect(await ended(agent, agent.deploy("shop", host.request(release, settings)))).toMatchObject({
      outcome: "succeeded",
    });
  }
  return { host, agent };
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const thrown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(CutoverError);
  return (thrown as CutoverError).code;
}

test("nothing that a visitor sees changes until the new instances are healthy", async () => {
  const { host, agent } = await hostWith([v1]);
  host.answers.set(v2, { kind: "status", status: 503, body: "not yet", location: undefined });
  host.effects.length = 0;
  let probes = 0;
  const { answers } = host;
  const slow = setInterval(() => {
    if (++probes === 5) answers.delete(v2);
  }, 1);
  const view = await ended(agent, agent.deploy("shop", host.request(v2, { ...warm, health: { timeout: "24h" } })));
  clearInterval(slow);
  expect(view.outcome).toBe("succeeded");
  expect(host.effects).toEqual([
    `release.unpack ${v2}`,
    `environment.build ${v2}`,
    `programs.start ${v2}`,
    `publish ${v2} after ${v1}`,
    `slots.swap ${v2}:60`,
  ]);
  expect(view.phases.map(({ state }) => state)).toEqual([
    "verified",
    "unpacked",
    "built",
    "released",
    "started",
    "healthy",
    "cut_over",
    "drained",
    "done",
  ]);
});

test.each([
  [
    "answers 500",
    "health_failed",
    (host: FakeHost) =>
      host.answers.set(v2, { kind: "status", status: 500, body: "Server Error", location: undefined }),
  ],
  [
    "answers 400",
    "health_failed",
    (host: FakeHost) => host.answers.set(v2, { kind: "status", status: 400, body: "", location: undefined }),
  ],
  [
    "never answers",
    "health_timeout",
    (host: FakeHost) => host.answers.set(v2, { kind: "unreachable", reason: "connection refused" }),
  ],
  [
    "has a port that another user's process took (T8)",
    "port_taken",
    (host: FakeHost) => {
      host.taken = v2;
      host.settings = { ...host.settings, ports: "9000-9099" };
    },
  ],
  ["starts and dies", "instance_died", (host: FakeHost) => host.programStates.set(v2, "BACKOFF")],
  [
    "has a failing release command",
    "release_command_failed",
    (host: FakeHost) => Object.assign(host, { releaseCommandCode: 1 }),
  ],
])("a release that %s is undone and the old one goes on", async (_what, code, breakIt) => {
  const { host, agent } = await hostWith([v1]);
  breakIt(host);
  host.effects.length = 0;
  const release = { release: { command: "python manage.py migrate" } };
  const server = code === "port_taken" ? { server: { kind: "gunicorn", app: "shop:app", bind: "port" } as const } : {};
  const view = await ended(agent, agent.deploy("shop", host.request(v2, { ...warm, ...release, ...server })));
  expect(view).toMatchObject({ outcome: "failed", failure: { code } });
  expect(view.failure?.evidence?.length).toBeGreaterThan(0);
  expect(view.failure?.fix).toBeTruthy();
  expect(host.effects.filter((effect) => effect.startsWith("slots"))).toEqual([]);
  expect(host.disk.slots).toBe(`${v1}:60`);
  expect([...host.disk.programs]).toEqual([v1]);
  expect([...host.disk.releases.keys()]).toEqual([v1]);
  const app = await agent.app("shop");
  expect(app.live).toBe(v1);
  expect(app.releases.find(({ id }) => id === v2)?.state).toBe("failed");
});

test.each([
  [400, "\n<!doctype html>\n<h1>Bad Request (400)</h1><p></p>\n", /ALLOWED_HOSTS: add shop\.example\.com there/],
  [400, "Invalid host header", /TrustedHostMiddleware.*add shop\.example\.com to its `allowed_hosts`/],
  [400, "", /ALLOWED_HOSTS \(Django\), .*TRUSTED_HOSTS \(Flask\)/],
  [421, "wrong host", /add shop\.example\.com to .*or set `health\.host`/],
  [404, "Not Found", /no page at \/ for the name shop\.example\.com: set `health\.path`.*`health\.host`/],
])("%i for a Host that is not allowed says where to add it, by what the app says: %j", async (status, body, fix) => {
  const { host, agent } = await hostWith([v1]);
  host.answers.set(v2, { kind: "status", status, body, location: undefined });
  const view = await ended(agent, agent.deploy("shop", host.request(v2)));
  expect(view.failure?.fix).toMatch(fix);
});

test("a second deployment is told who holds the app, and waits when asked", async () => {
  const { host, agent } = await hostWith([v1]);
  const by = { subject: "acme/shop@main", run_url: "https://github.com/acme/shop/actions/runs/7" };
  const first = await agent.deploy("shop", host.request(v2, warm, { by }));
  const refused = await agent.deploy("shop", host.request(v3)).catch((error: CutoverError) => error);
  expect(refused).toMatchObject({ code: "deployment_in_progress" });
  expect((refused as CutoverError).message).toContain("acme/shop@main (https://github.com/acme/shop/actions/runs/7)");
  const waited = await ended(agent, agent.deploy("shop", host.request(v3, warm, { waitMs: 3_600_000 })));
  expect(await agent.deployment(first.deployment)).toMatchObject({ outcome: "succeeded" });
  expect(waited).toMatchObject({ outcome: "succeeded", release: v3 });
});

test("an abort before the cutover undoes; after it, it is refused", async () => {
  const { host, agent } = await hostWith([v1]);
  host.answers.set(v2, { kind: "unreachable", reason: "starting" });
  const accepted = await agent.deploy("shop", host.request(v2, { ...warm, health: { timeout: "999999d" } }));
  expect(await agent.abort(accepted.deployment)).toMatchObject({ outcome: "aborted", failure: { code: "aborted" } });
  expect([...host.disk.programs]).toEqual([v1]);
  const done = await ended(agent, agent.deploy("shop", host.request(v3)));
  expect(await codeOf(agent.abort(done.id))).toBe("already_cut_over");
});

test("the same bundle sent again has the deployment that it had", async () => {
  const { host, agent } = await hostWith([v1]);
  const first = await agent.deploy("shop", host.request(v2));
  expect(await agent.deploy("shop", host.request(v2))).toEqual(first);
  await ended(agent, first);
  expect(await agent.deploy("shop", host.request(v2))).toEqual(first);
});

test("a staged release has no traffic until it is activated, and an abort takes it away", async () => {
  const { host, agent } = await hostWith([v1]);
  const staged = await ended(agent, agent.deploy("shop", host.request(v2, warm, { activate: false })));
  expect(staged.outcome).toBe("staged");
  expect(host.disk.slots).toBe(`${v1}:60`);
  expect(await agent.app("shop")).toMatchObject({ live: v1, staged: v2 });
  expect(await ended(agent, agent.activate("shop", v2, { ...call, weight: 100 }))).toMatchObject({
    outcome: "succeeded",
    kind: "activate",
  });
  expect(host.disk.slots).toBe(`${v2}:60`);

  const second = await ended(agent, agent.deploy("shop", host.request(v3, warm, { activate: false })));
  expect(await agent.abort(second.id)).toMatchObject({ outcome: "aborted" });
  expect(await agent.app("shop")).toMatchObject({ live: v2, staged: null });
  expect([...host.disk.releases.keys()]).toEqual([v1, v2]);
});

test("between its stage and its activation a job keeps the app, and not longer than it asks for its deployment", async () => {
  const { host, agent } = await hostWith([v1]);
  const lease = { activate: false, leaseMs: 1000 };
  const staged = await ended(agent, agent.deploy("shop", host.request(v2, warm, lease)));
  expect(await codeOf(agent.deploy("shop", host.request(v3)))).toBe("deployment_in_progress");
  for (let asked = 0; asked < 4; asked++) {
    await sleep(300);
    await agent.deployment(staged.id);
  }
  expect(await codeOf(agent.rollback("shop", call))).toBe("deployment_in_progress");
  expect(await ended(agent, agent.activate("shop", v2, { ...call, weight: 100 }))).toMatchObject({
    outcome: "succeeded",
  });

  const abandoned = await ended(agent, agent.deploy("shop", host.request(v3, warm, lease)));
  expect(abandoned.outcome).toBe("staged");
  await sleep(1500);
  expect(await ended(agent, agent.deploy("shop", host.request(v4)))).toMatchObject({ outcome: "succeeded" });

  const aborted = await ended(agent, agent.deploy("shop", host.request(v5, warm, lease)));
  expect(await agent.abort(aborted.id)).toMatchObject({ outcome: "aborted" });
  expect(await ended(agent, agent.rollback("shop", call))).toMatchObject({ outcome: "succeeded" });
});

test("a rollback within keep_warm starts nothing", async () => {
  const { host, agent } = await hostWith([v1, v2]);
  host.effects.length = 0;
  expect(await ended(agent, agent.rollback("shop", call))).toMatchObject({ outcome: "succeeded", release: v1 });
  expect(host.effects).toEqual([`publish ${v1} after ${v2}`, `slots.swap ${v1}:60`]);
});

test("a rollback goes to the last good release before what is live, and never to one that was rolled back", async () => {
  const { host, agent } = await hostWith([v1, v2, v3], cold);
  expect(await ended(agent, agent.rollback("shop", call))).toMatchObject({ release: v2 });
  expect(await ended(agent, agent.rollback("shop", call))).toMatchObject({ release: v1 });
  expect(await codeOf(agent.rollback("shop", call))).toBe("nothing_to_roll_back_to");
  await ended(agent, agent.deploy("shop", host.request(v4, cold)));
  expect(await ended(agent, agent.rollback("shop", call))).toMatchObject({ release: v1 });
});

test("a redeploy is a second run of the same release, and the first one is retired", async () => {
  const { host, agent } = await hostWith([v1], cold);
  expect(await ended(agent, agent.redeploy("shop", "live", call))).toMatchObject({ outcome: "succeeded", release: v1 });
  expect(host.disk.slots).toBe(`${v1}.2:60`);
  expect([...host.disk.programs]).toEqual([`${v1}.2`]);
});

test("requests that are still open at the drain limit are counted when they are cut", async () => {
  const { host, agent } = await hostWith([v1], cold);
  host.connections.set(`unix:${v1}/web-0.sock`, 3);
  const view = await ended(agent, agent.deploy("shop", host.request(v2, cold)));
  expect(view).toMatchObject({ outcome: "succeeded", cut: 3 });
});

test("only `keep` good releases stay", async () => {
  const { host } = await hostWith([v1, v2, v3, v4], { ...cold, keep: 2 });
  expect([...host.disk.releases.keys()]).toEqual([v3, v4]);
});

test("what the host does not allow is refused before anything is unpacked, with the line that would allow it", async () => {
  const { host, agent } = await hostWith([v1]);
  host.effects.length = 0;
  const listen = await agent
    .deploy("shop", host.request(v2, { site: { listen: [8443] } }))
    .catch((error: unknown) => error);
  expect(listen).toMatchObject({ code: "listen_not_allowed", fix: expect.stringContaining("listen: [80, 8443]") });
  const domain = await agent
    .deploy("shop", host.request(v3, { site: { server_name: ["evil.example.org"] } }))
    .catch((error: unknown) => error);
  expect(domain).toMatchObject({ code: "domain_not_allowed", fix: expect.stringContaining('"evil.example.org"') });
  expect(host.effects).toEqual([]);
});

test("a bundle for another digest or another app is refused", async () => {
  const { host, agent } = await hostWith([v1]);
  const other = host.request(v2, warm, { digest: `sha256:${"a".repeat(64)}` });
  expect(await codeOf(agent.deploy("shop", other))).toBe("manifest_mismatch");
  expect(await codeOf(agent.deploy("shop", host.request(v2, { app: "other" })))).toBe("manifest_mismatch");
});

test("a thin bundle takes its files from a release that is live, good or staged, and from no other", async () => {
  const { host, agent } = await hostWith([v1, v2], cold);
  for (const [release, base] of [
    [v3, v2],
    [v4, v1],
  ] as const) {
    expect(await ended(agent, agent.deploy("shop", host.request(release, cold, { base })))).toMatchObject({
      outcome: "succeeded",
    });
    expect(host.effects).toContain(`release.unpack ${release} over ${base}`);
  }
  expect(await ended(agent, agent.rollback("shop", call))).toMatchObject({ outcome: "succeeded" });
  for (const base of [v4, v5]) {
    expect(await codeOf(agent.deploy("shop", host.request(v5, cold, { base })))).toBe("base_unusable");
  }
  expect(host.effects.filter((effect) => effect.startsWith(`release.unpack ${v5}`))).toEqual([]);
  expect((await agent.app("shop")).live).toBe(v3);
  // The same bundle as a whole is taken afterwards, as the Action sends it.
  expect(await ended(agent, agent.deploy("shop", host.request(v5, cold)))).toMatchObject({ outcome: "succeeded" });
});

test("the files of a release are told while it can have traffic, also those of the live one by that name", async () => {
  const host = new FakeHost();
  const agent = agentOn(host);
  expect(await codeOf(agent.files("shop", "live"))).toBe("nothing_live");
  for (const release of [v1, v2]) await ended(agent, agent.deploy("shop", host.request(release, cold)));
  expect(await agent.files("shop", "live")).toMatchObject({ release: v2, digest: expect.stringMatching(/^sha256:/) });
  expect(await agent.files("shop", v1)).toMatchObject({ release: v1, files: [] });
  expect(await codeOf(agent.files("shop", v3))).toBe("release_not_found");
});
