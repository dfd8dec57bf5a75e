import { once } from "node:events";
import { readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { TokenServer } from "../fakes/token-server.ts";
import { Fleet, get, siteName, versionOf } from "./hosts.ts";

let fleet: Fleet;
const migrate = { release: { command: `sh -c 'echo ran >> "$CUTOVER_SHARED/ran"'` }, keep_warm: "10m" } as const;

beforeAll(async () => {
  fleet = await Fleet.start(2);
});
afterAll(() => fleet?.[Symbol.asyncDispose]());

function first() {
  const [host] = fleet.hosts;
  if (host === undefined) throw new Error("no host");
  return host;
}

function versions(): Promise<string[]> {
  return Promise.all(fleet.hosts.map(async ({ site }) => (await versionOf(site)).version));
}

/** How many web instances each host has. */
async function instancesRunning(): Promise<number[]> {
  return Promise.all(
    fleet.hosts.map(async ({ agent }) => {
      const { instances } = await agent.appView();
      return instances.filter(({ process }) => process === undefined).length;
    }),
  );
}

test("all hosts become live, and the release command runs once, on the first", async () => {
  const { outputs } = await fleet.deploy({ version: "v1", config: migrate });
  expect(await versions()).toEqual(["v1", "v1"]);
  const outcomes = Object.values<{ outcome: string }>(JSON.parse(outputs.result ?? "{}")).map(({ outcome }) => outcome);
  expect(outcomes).toEqual(["succeeded", "succeeded"]);
  const ran = fleet.hosts.map(({ agent }) => readFile(join(agent.directory, "data/apps/shop/shared/ran"), "utf8"));
  expect(await Promise.allSettled(ran)).toMatchObject([
    { status: "fulfilled", value: "ran\n" },
    { status: "rejected", reason: { code: "ENOENT" } },
  ]);
});

test("a process for the first host runs on no other, also after a redeploy, a rollback and a start of the agent", async () => {
  const tick = { command: "sh -c 'exec sleep 1000'", overlap: false, stay_up: "100ms" };
  const each = { command: "sh -c 'exec sleep 1001'", stay_up: "100ms" };
  const processes = { processes: { tick, each } };
  const running = () =>
    Promise.all(
      fleet.hosts.map(async ({ agent }) => {
        const { instances } = await agent.appView();
        return instances.flatMap(({ process, state }) =>
          process !== undefined && state === "RUNNING" ? [process] : [],
        );
      }),
    );
  const wanted = [["each", "tick"], ["each"]];
  const now = async () => (await running()).map((names) => names.toSorted());
  await fleet.deploy({ version: "v1", config: { ...migrate, ...processes, keep_warm: "0s" } });
  expect(await now()).toEqual(wanted);
  expect((await fleet.action({ command: "redeploy" })).exitCode).toBe(0);
  expect(await now()).toEqual(wanted);
  await fleet.deploy({ version: "v2", config: { ...migrate, ...processes, keep_warm: "0s" } });
  expect((await fleet.action({ command: "rollback" })).exitCode).toBe(0);
  expect(await now()).toEqual(wanted);
  for (const { agent } of fleet.hosts) {
    await agent.kill();
    await agent.start();
  }
  expect(await now()).toEqual(wanted);
});

test("if one host fails before, none activates, and nothing is left on the others", async () => {
  const [, second] = fleet.hosts;
  const file = join(second?.agent.directory ?? "", "etc/apps/shop.yml");
  const settings = await readFile(file, "utf8");
  const config = { ...migrate, env: { SHOP_ALLOWED_HOSTS: "shop.example.com,127.0.0.1", BREAK: "no" } };
  await fleet.checkout({ version: "v2", config: { ...config, site: { server_name: ["shop.example.com"] } } });
  await writeFile(file, settings.replace("shop.example.com", "other.example.com"));
  try {
    const { exitCode, outputs, annotations } = await fleet.action();
    expect(exitCode).toBe(1);
    const hosts = Object.values<{ outcome: string; error?: { code: string } }>(JSON.parse(outputs.result ?? "{}"));
    expect(hosts[0]?.outcome).toBe("aborted");
    expect(hosts[1]).toMatchObject({ outcome: "failed", error: { code: "domain_not_allowed" } });
    expect(annotations.map(({ message }) => message).join("\n")).toContain("domains:");
    expect(await versions()).toEqual(["v1", "v1"]);
    expect(await instancesRunning()).toEqual([2, 2]);
  } finally {
    await writeFile(file, settings);
  }
});

test("if an activation fails, the hosts that were done go back", async () => {
  const [, second] = fleet.hosts;
  const foreign = join(second?.agent.directory ?? "", "etc/nginx/conf.d/foreign.conf");
  await writeFile(foreign, "this is no nginx configuration\n");
  try {
    await fleet.checkout({ version: "v3", config: { ...migrate, site: { client_max_body_size: "60m" } } });
    const { exitCode, outputs, stdout } = await fleet.action();
    expect(exitCode, stdout).toBe(1);
    const hosts = Object.values<{ outcome: string; error?: { code: string; message: string } }>(
      JSON.parse(outputs.result ?? "{}"),
    );
    expect(hosts.map(({ outcome }) => outcome)).toEqual(["rolled_back", "failed"]);
    expect(hosts[1]?.error).toMatchObject({
      code: "nginx_config_broken",
      message: expect.stringContaining("foreign.conf"),
    });
    expect(await versions()).toEqual(["v1", "v1"]);
  } finally {
    await rm(foreign);
  }
  await fleet.deploy({ version: "v4", config: migrate });
  expect(await versions()).toEqual(["v4", "v4"]);
});

describe("without a stored key, by GitHub's ID tokens", () => {
  let tokens: TokenServer;
  /** As the runner starts a job with `id-token: write`, and without a signing key. */
  const action = (inputs: Record<string, string> = {}, env: Record<string, string> = tokens.env) =>
    fleet.action({ "signing-key": "", ...inputs }, env);

  async function read(token: string): Promise<number> {
    const url = `${first().agent.url}/v1/apps/shop`;
    return (await fetch(url, { headers: { authorization: `Bearer ${token}` } })).status;
  }

  beforeAll(async () => {
    tokens = await TokenServer.start();
    for (const { agent, port } of fleet.hosts) {
      const github = [{ issuer: tokens.issuer, server: "https://github.com" }];
      await agent.changeAgentSettings({ github, limits: { connections: 30 } });
      await rm(join(agent.directory, "etc/apps/shop.yml"));
      const where = ["--listen", `127.0.0.1:${port}`, "--domain", siteName];
      const trust = ["--github", "acme/shop", "--environment", "production"];
      const added = await agent.cutover("app", "add", "shop", ...trust, ...where);
      expect(added.stdout).toContain("the first accepted call sets them; after that no other ids are accepted");
    }
  });
  afterAll(() => tokens?.[Symbol.asyncDispose]());

  test("a deploy asks GitHub for one token a host and call, and the hosts learn the repository's ids", async () => {
    const { agent } = first();
    await fleet.checkout({ version: "v5", config: migrate });
    const { exitCode, stdout, masked, summary, outputs } = await action();
    expect(exitCode, stdout).toBe(0);
    expect(await versions()).toEqual(["v5", "v5"]);
    for (const { agent } of fleet.hosts) {
      const mine = tokens.given.filter((audience) =>
        audience.startsWith(`cutover/v1/${new URL(agent.url).host}/shop/`),
      );
      expect(mine.map((audience) => audience.split("/")[4])).toEqual(["read", "deploy", "activate"]);
    }
    const secrets = masked.filter((text) => text.startsWith("eyJ"));
    expect(secrets).toHaveLength(tokens.given.length);
    const log = stdout.replaceAll(/^::add-mask::.*$/gm, "");
    for (const text of [...secrets, tokens.requestToken]) {
      for (const place of [log, summary, JSON.stringify(outputs), agent.log]) expect(place.includes(text)).toBe(false);
    }
    const { deployment } = await agent.appView();
    expect(deployment?.by).toEqual({
      subject: "acme/shop@refs/heads/main by octocat",
      repository: "acme/shop",
      run_url: "https://github.com/acme/shop/actions/runs/4711/attempts/1",
      run: { workflow: "acme/shop/.github/workflows/deploy.yml", number: 42, attempt: 1 },
      trust: "github acme/shop, environment production",
    });
    expect((await agent.cutover("app", "show", "shop")).stdout).toContain(
      "ids: repository 1296269, owner 583231, learnt 2",
    );
    tokens.claims = { ...tokens.claims, repository_id: "1" };
    expect((await action({ command: "redeploy" })).exitCode).toBe(1);
    expect(agent.log).toContain('"claim":"repository_id","expected":"1296269","got":"1"');
    tokens.claims = { ...tokens.claims, repository_id: "1296269" };
  });

  test("a gray release in steps, and a rollback", async () => {
    await fleet.checkout({ version: "v6", config: migrate });
    const raised = await action({ canary: "50@100ms, 100" });
    expect(raised.exitCode, raised.stdout).toBe(0);
    expect(await versions()).toEqual(["v6", "v6"]);
    const back = await action({ command: "rollback" });
    expect(back.exitCode, back.stdout).toBe(0);
    expect(await versions()).toEqual(["v5", "v5"]);
  });

  test("without the permission the step fails at once with the lines to add", async () => {
    const { exitCode, annotations } = await action({}, {});
    expect(exitCode).toBe(1);
    expect(annotations.map(({ message }) => message).join()).toContain(
      "    environment: production\n    permissions:\n      contents: read\n      id-token: write\n",
    );
  });

  test("a token that was used before the agent was killed with SIGKILL is refused after it, with GitHub out of reach", async () => {
    const { agent, site } = first();
    const audience = `cutover/v1/${new URL(agent.url).host}/shop/read`;
    const [used, fresh] = [await tokens.sign(audience), await tokens.sign(audience)];
    expect(await read(used)).toBe(200);
    await agent.kill();
    tokens.state = "down";
    await agent.start();
    try {
      // The keys are those on disk.
      expect([await read(used), await read(fresh)]).toEqual([403, 200]);
      expect(agent.log).toContain('"reason":"spent"');
      expect((await get(site, "/version")).status).toBe(200);
    } finally {
      tokens.state = "up";
    }
  });

  test("connections beyond the limit of agent.yml are closed, and the next ones are served", async () => {
    const { agent } = first();
    const port = Number(new URL(agent.url).port);
    const sockets = Array.from({ length: 40 }, () => connect(port, "127.0.0.1").on("error", () => undefined));
    // Not `once`, which throws where the connection was reset.
    const closed = sockets.map((socket) => new Promise((resolve) => socket.resume().once("close", resolve)));
    try {
      await Promise.any(closed);
      await vi.waitUntil(() => agent.log.includes('"msg":"connections are refused"'), { timeout: 10_000 });
    } finally {
      for (const socket of sockets) socket.destroy();
      await Promise.all(closed);
    }
    // The agent hears of the ends in its own time.
    await vi.waitFor(async () => expect((await get(agent.url, "/healthz")).status).toBe(200), { timeout: 10_000 });
  });

  test("a second upload of an app is refused before its body is read, and told who holds the app", async () => {
    const { agent } = first();
    const upload = async (digest: string) => {
      const authorization = `Authorization: Bearer ${await tokens.sign(`cutover/v1/${new URL(agent.url).host}/shop/deploy/sha256:${digest.repeat(64)}`)}`;
      const socket = connect(Number(new URL(agent.url).port), "127.0.0.1").setEncoding("utf8");
      const head = [
        "POST /v1/apps/shop/releases HTTP/1.1",
        "Host: x",
        authorization,
        "Content-Length: 1000000",
        "Expect: 100-continue",
      ];
      socket.write(`${head.join("\r\n")}\r\n\r\n`);
      return socket;
    };
    const held = await upload("a");
    expect(String((await once(held, "data"))[0])).toContain("100 Continue");
    const second = await upload("b");
    try {
      const answer = String((await once(second, "data"))[0]);
      expect(answer).toMatch(/^HTTP\/1.1 409 /);
      expect(answer).toContain("deployment_in_progress");
      expect(answer).toContain(
        "of acme/shop@refs/heads/main by octocat (https://github.com/acme/shop/actions/runs/4711",
      );
    } finally {
      held.destroy();
      second.destroy();
    }
  });
});
