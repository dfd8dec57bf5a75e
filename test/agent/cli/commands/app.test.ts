import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { appSettingsSchema } from "../../../../agent/settings.ts";
import { generateKey } from "../../../../shared/key.ts";
import { parseYamlFile } from "../../../../shared/yaml-file.ts";
import { TestHost } from "../support.ts";

const errors = { notYaml: "host_settings_invalid", invalid: "host_settings_invalid" } as const;
let host: TestHost;

beforeEach(async () => {
  host = await TestHost.make();
});
afterEach(() => host.close());

test("app add writes a file that the agent reads, once", async () => {
  const { publicLine } = await generateKey();
  const argv = [
    "app",
    "add",
    "blog",
    "--user",
    "blog",
    "--key",
    publicLine,
    "--listen",
    "8080",
    "--listen",
    "127.0.0.1:8081",
    "--domain",
    "*.example.com",
  ];
  const added = await host.run(argv);
  expect(added.exit).toBe(0);
  expect(added.out).toContain(`Added blog: ${host.path("etc/apps/blog.yml")}`);
  const text = await readFile(host.path("etc/apps/blog.yml"), "utf8");
  expect(parseYamlFile(text, "blog.yml", appSettingsSchema, errors)).toMatchObject({
    user: "blog",
    trust: [{ key: publicLine, allow: ["deploy", "activate", "redeploy", "rollback", "abort", "read"] }],
    listen: [8080, "127.0.0.1:8081"],
    domains: ["*.example.com"],
  });
  const again = await host.run(argv);
  expect([again.exit, again.err.split("\n", 1)[0]]).toEqual([
    1,
    `error [app_exists] The host already has an app blog: ${host.path("etc/apps/blog.yml")}`,
  ]);
  expect(await readFile(host.path("etc/apps/blog.yml"), "utf8")).toBe(text);
});

test("app add --tls auto has the agent get the certificate", async () => {
  const argv = ["app", "add", "blog", "--listen", "80", "--listen", "443 ssl", "--tls"];
  expect(await host.run([...argv, "/etc/blog.pem"])).toMatchObject({
    exit: 2,
    err: expect.stringContaining("--tls takes auto"),
  });
  expect((await host.run([...argv, "auto"])).exit).toBe(0);
  const text = await readFile(host.path("etc/apps/blog.yml"), "utf8");
  expect(parseYamlFile(text, "blog.yml", appSettingsSchema, errors)).toMatchObject({
    listen: [80, "443 ssl"],
    tls: "auto",
  });
});

test("app add for a repository says what is learnt and what the job needs", async () => {
  const argv = ["app", "add", "blog", "--github", "acme/blog", "--environment", "production"];
  const added = await host.run(argv);
  expect([added.exit, added.err]).toEqual([0, ""]);
  expect(added.out).toContain("You gave no ids of acme/blog, so the first accepted call sets them");
  expect(added.out).toContain("`permissions: { contents: read, id-token: write }` and `environment: production`");
  const text = await readFile(host.path("etc/apps/blog.yml"), "utf8");
  expect(text).toContain('      # repository_id: "123"   # default: the id of the first accepted call\n');
  expect(parseYamlFile(text, "blog.yml", appSettingsSchema, errors).trust).toEqual([
    {
      github: {
        ...{ repository: "acme/blog", environment: "production", any_ref: false, ref_protected: false },
        events: ["push", "workflow_dispatch", "release", "schedule", "deployment"],
      },
      allow: ["deploy", "activate", "redeploy", "rollback", "abort", "read"],
    },
  ]);
});

test("app add for a repository takes each condition", async () => {
  const conditions = [
    ["--workflow", ".github/workflows/deploy.yml@refs/heads/main"],
    ["--job-workflow", "acme/ci/.github/workflows/deploy.yml@refs/tags/v1"],
    ["--runner", "github-hosted", "--ref-protected", "--event", "push", "--event", "release"],
    ["--expires", "2027-06-30"],
  ].flat();
  const argv = ["app", "add", "blog", "--github", "acme/blog", "--any-ref", ...conditions];
  expect(await host.run(argv)).toMatchObject({ exit: 0, err: "" });
  const text = await readFile(host.path("etc/apps/blog.yml"), "utf8");
  expect(parseYamlFile(text, "blog.yml", appSettingsSchema, errors).trust).toMatchObject([
    {
      github: {
        workflow: ".github/workflows/deploy.yml@refs/heads/main",
        job_workflow: "acme/ci/.github/workflows/deploy.yml@refs/tags/v1",
        ...{ runner: "github-hosted", ref_protected: true, events: ["push", "release"] },
      },
      expires: "2027-06-30",
    },
  ]);
  const wrong = await host.run(["app", "add", "site", "--github", "acme/site", "--any-ref", "--runner", "mine"]);
  expect([wrong.exit, wrong.err]).toEqual([2, expect.stringContaining("--runner")]);
});

test("app add for a repository takes its ids, a ref, another GitHub, and also a key", async () => {
  const { publicLine } = await generateKey();
  const issuer = "https://ghes.example.com/_services/token";
  const ids = ["--repository-id", "1296269", "--owner-id", "583231"];
  const argv = ["app", "add", "blog", "--github", "acme/blog", "--ref", "refs/heads/main", ...ids, "--issuer", issuer];
  const added = await host.run([...argv, "--key", publicLine]);
  expect([added.exit, added.err]).toEqual([0, ""]);
  expect(added.out).not.toContain("learnt");
  const text = await readFile(host.path("etc/apps/blog.yml"), "utf8");
  const repository = {
    repository: "acme/blog",
    repository_id: "1296269",
    owner_id: "583231",
    ref: "refs/heads/main",
    issuer,
  };
  expect(parseYamlFile(text, "blog.yml", appSettingsSchema, errors).trust).toMatchObject([
    { github: repository },
    { key: publicLine },
  ]);
});

test.each([
  [["--github", "acme/blog"], "--github: give --environment NAME or --ref refs/heads/main, or --any-ref"],
  [["--github", "acme/blog", "--environment", "x", "--any-ref"], "--github: give --environment NAME"],
  [["--github", "blog", "--environment", "x"], "--github: owner/name"],
  [["--github", "acme/blog", "--ref", "main"], "--ref: a whole ref without patterns"],
  [["--github", "acme/blog", "--any-ref", "--repository-id", "x"], "--repository-id: an id of digits"],
  [["--environment", "production"], "need --github"],
])("app add refuses %j", async (options, reason) => {
  const { exit, err } = await host.run(["app", "add", "blog", ...options]);
  expect([exit, err]).toEqual([2, expect.stringContaining(reason)]);
});

test("app add writes the ports of instances, one range or several", async () => {
  const { exit } = await host.run(["app", "add", "blog", "--ports", "9000-9099"]);
  expect(exit).toBe(0);
  const text = await readFile(host.path("etc/apps/blog.yml"), "utf8");
  expect(parseYamlFile(text, "blog.yml", appSettingsSchema, errors).ports).toBe("9000-9099");
  expect((await host.run(["app", "add", "shop", "--ports", "9100-9109", "--ports", "9200-9209"])).exit).toBe(0);
  const several = await readFile(host.path("etc/apps/shop.yml"), "utf8");
  expect(parseYamlFile(several, "shop.yml", appSettingsSchema, errors).ports).toEqual(["9100-9109", "9200-9209"]);
  const wrong = await host.run(["app", "add", "wiki", "--ports", "9000"]);
  expect([wrong.exit, wrong.err]).toEqual([2, expect.stringContaining("--ports: a range such as")]);
});

test("app add without anything is a file to fill in", async () => {
  const { exit, out } = await host.run(["app", "add", "blog"]);
  expect(exit).toBe(0);
  expect(out).toContain("Nobody may deploy it yet");
  const text = await readFile(host.path("etc/apps/blog.yml"), "utf8");
  expect(parseYamlFile(text, "blog.yml", appSettingsSchema, errors)).toMatchObject({
    trust: [],
    listen: [80],
    domains: [],
  });
});

test("app add without a user says at once what the deploy would refuse; an embedded agent needs none", async () => {
  const argv = ["app", "add", "blog", "--config", host.path("real/agent.yml")];
  const { exit, out } = await host.run(argv, { env: { CUTOVER_EMBEDDED: "" } });
  expect(exit).toBe(0);
  expect(out).toContain("cannot be deployed yet: the file names no user");
  expect(out).toContain(`write \`user: blog\` into ${host.path("real/apps/blog.yml")}`);
  expect((await host.run(["app", "add", "blog"])).out).not.toContain("names no user");
});

test("app add says to make a user only where there is none", async () => {
  const added = async (app: string, user: string) =>
    (
      await host.run(["app", "add", app, "--user", user, "--config", host.path("real/agent.yml")], {
        env: { CUTOVER_EMBEDDED: "" },
      })
    ).out;
  expect(await added("blog", "nobody-of-cutover")).toContain("`useradd --system --create-home nobody-of-cutover`");
  expect(await added("wiki", "root")).not.toContain("useradd");
});

test("app add reports all faults of its options, and writes nothing", async () => {
  const { exit, err } = await host.run([
    "app",
    "add",
    "blog",
    "--key",
    "ed25519:short",
    "--listen",
    "x",
    "--user",
    "Root",
  ]);
  expect(exit).toBe(2);
  expect(err).toContain("--user: a user of this host");
  expect(err).toContain("--key: ed25519: and 43 characters");
  expect(err).toContain("--listen: a port, address:port, or either with ssl");
  await expect(stat(host.path("etc"))).rejects.toThrow();
});

test("app list shows every app, also one that has an error", async () => {
  await host.startAgent();
  expect((await host.run(["app", "list"])).out).toBe(
    "app   live                      running  last deployment\nshop  20261121T103000Z-3f2c1ab  2 of 2\n",
  );
});

test("H6 app remove says what it deletes and what it keeps", async () => {
  await host.startAgent();
  await host.run(["app", "add", "shop"]);
  const [env, shared] = [host.path("etc/apps/shop.env"), host.path("data/apps/shop/shared")];
  await writeFile(env, "A=b\n");
  await mkdir(shared, { recursive: true });
  await writeFile(host.path("etc/agent.yml"), `data: ${host.path("data")}\n`);
  const asked = await host.run(["app", "remove", "shop", "--delete-data"], { typed: "n" });
  expect(asked.out).toContain(`and all that its visitors left (${shared})`);
  const removed = await host.run(["app", "remove", "shop"], { typed: "y" });
  expect(removed.out).toContain("What its visitors left (shared/) is kept.");
  expect(removed.out).toContain(`and its secrets, ${env}.`);
  expect(removed.out).toContain(`Kept ${shared}`);
  await expect(stat(env)).rejects.toThrow();
  expect(host.service.calls.filter(({ method }) => method === "removeApp")).toHaveLength(1);
});

test("app remove asks first, and asks nobody without a terminal", async () => {
  await host.startAgent();
  await host.run(["app", "add", "shop"]);
  expect(await host.run(["app", "remove", "shop"])).toMatchObject({ exit: 2 });
  expect(await host.run(["app", "remove", "shop"], { typed: "n" })).toMatchObject({ exit: 0 });
  expect(host.service.views.has("shop")).toBe(true);
  const removed = await host.run(["app", "remove", "shop"], { typed: "y" });
  expect(removed.exit).toBe(0);
  expect(removed.out).toContain("Removed shop");
  expect(host.service.views.has("shop")).toBe(false);
  await expect(stat(host.path("etc/apps/shop.yml"))).rejects.toThrow();
});
