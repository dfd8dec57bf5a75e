import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { CertificateManager } from "../../../agent/certificates/manager.ts";
import type {
  CertificateFailure,
  OrderRequest,
  OrderResult,
  RenewalWindow,
} from "../../../agent/contracts/certificates.ts";
import { CertificateRecordFiles } from "../../../agent/host/certificates/record-files.ts";
import { SiteCertificates } from "../../../agent/host/certificates/site-certificates.ts";
import { appLayout } from "../../../agent/host/store/layout.ts";
import { createLogger } from "../../../agent/logger.ts";
import { appSettingsSchema } from "../../../agent/settings.ts";
import { CutoverError } from "../../../shared/errors.ts";
import { openAuthority } from "../../harness/authority.ts";
import { eventually, scratch, testConfig } from "../host/scratch.ts";

const minute = 60_000;
const day = 24 * 60 * minute;

/** A manager over real files and real certificates, on a host whose time the test moves, with an authority that it plays. */
function world({ data = scratch(), everyMs = minute } = {}) {
  mkdirSync(appLayout(data, "shop").home, { recursive: true });
  const signer = openAuthority(scratch());
  const store = new SiteCertificates(data);
  const host = {
    data,
    now: Date.now(),
    settings: { tls: "auto", listen: [80, "443 ssl"], domains: ["shop.example.com"] } as object,
    config: testConfig() as ReturnType<typeof testConfig> | undefined,
    days: 30,
    answer: undefined as OrderResult | undefined,
    window: undefined as RenewalWindow | undefined,
    busy: false,
    orders: [] as OrderRequest[],
    windows: 0,
    refreshed: 0,
    failures: [] as CertificateFailure[],
    results: [] as string[],
    chain: () => store.chain("shop"),
  };
  const settings = (app: string) => ({
    ...appSettingsSchema.parse(host.settings),
    app,
    file: "/etc/cutover/apps/shop.yml",
  });
  const timers: { at: number; run: () => void }[] = [];
  const manager = new CertificateManager({
    apps: { names: async () => ["shop"], settings: async (app) => settings(app) },
    privileged: {
      certificateRequest: (app, names) => store.request(app, names),
      installCertificate: (app, chain) => store.install(app, chain),
      certificate: (app) => store.chain(app),
    },
    sites: {
      liveConfig: async () => host.config,
      refreshSite: async () => {
        if (host.busy) throw new CutoverError("deployment_in_progress", "busy");
        host.refreshed += 1;
      },
    },
    authority: {
      order: async (request) => {
        host.orders.push(request);
        return host.answer ?? { kind: "issued", chain: signer.sign(request.request, host.days) };
      },
      renewalWindow: async () => {
        host.windows += 1;
        return host.window;
      },
    },
    records: new CertificateRecordFiles(data),
    clock: {
      now: () => host.now,
      elapsed: () => host.now,
      sleep: async () => {},
      after: (ms, run) => {
        const timer = { at: host.now + ms, run };
        timers.push(timer);
        return () => void timers.splice(timers.indexOf(timer), 1);
      },
    },
    log: createLogger("error"),
    onCertificate: () => {},
    onOrder: (_, result) => host.results.push(result),
    onFailure: (failure) => host.failures.push(failure),
    random: () => 0.5,
    everyMs,
  });
  onTestFinished(() => manager.close());
  /** Lets time pass, look by look. */
  const pass = async (ms: number) => {
    for (const end = host.now + ms; host.now < end; ) {
      await eventually(async () => timers.length > 0);
      const [next] = timers.splice(0, 1);
      host.now = Math.min(Math.max(next?.at ?? end, host.now), end);
      next?.run();
    }
    await eventually(async () => timers.length > 0);
  };
  return { host, manager, pass };
}

test("the first certificate comes as soon as there is a site, the next one after two thirds of its life, and none in between", async () => {
  const { host, manager, pass } = world();
  host.config = undefined;
  manager.start();
  await pass(2 * minute);
  expect(host.orders).toEqual([]);
  expect(await manager.views()).toMatchObject([{ app: "shop", waits: "its first deploy" }]);
  host.config = testConfig();
  manager.wake("shop");
  await eventually(async () => host.results.length === 1);
  const first = await host.chain();
  await pass(5 * minute);
  expect(host.orders).toMatchObject([{ names: ["shop.example.com"], replaces: undefined }]);
  expect(await manager.views()).toMatchObject([
    { names: ["shop.example.com"], failures: 0, certificate: { served: true } },
  ]);
  // Once with the answers to challenges, once with the certificate.
  expect(host.refreshed).toBe(2);
  host.now += 19 * day;
  await pass(2 * minute);
  expect(host.orders).toHaveLength(1);
  host.now += 1 * day;
  // The test's authority has the real time.
  host.days = 90;
  await pass(2 * minute);
  expect(host.orders).toMatchObject([{}, { replaces: first }]);
  // An authority that says nothing is not asked at each look.
  expect(host.windows).toBeLessThan(6);
});

test("the authority's own time for a renewal counts, and the chosen moment stays while it is in the window", async () => {
  const { host, manager, pass } = world();
  const start = host.now + 2 * day;
  host.window = { start, end: start + 2 * day, askAgainMs: 60 * minute };
  manager.start();
  await pass(2 * minute);
  expect(await manager.views()).toMatchObject([{ renews: new Date(start + day).toISOString() }]);
  host.window = { start: start + minute, end: start + 3 * day, askAgainMs: 60 * minute };
  await pass(62 * minute);
  expect(await manager.views()).toMatchObject([{ renews: new Date(start + day).toISOString() }]);
  // It is to be revoked: the window is over already.
  host.window = { start: host.now - day, end: host.now - minute, askAgainMs: 60 * minute };
  await pass(62 * minute);
  expect(host.orders.length).toBeGreaterThan(1);
});

test("failures: the pauses grow, a restart does not shorten them, and a person is told once, and again when it is urgent", async () => {
  const { host, manager, pass } = world();
  host.answer = { kind: "refused", reason: "no such name" };
  manager.start();
  await pass(26 * minute);
  // At 0, 1, 6 and 21 minutes.
  expect(host.orders).toHaveLength(4);
  expect(host.failures).toMatchObject([{ app: "shop", reason: "no such name", failures: 1, expires: undefined }]);
  expect(await manager.views()).toMatchObject([{ failures: 4, failed: { reason: "no such name" } }]);
  manager.close();
  const again = world({ data: host.data, everyMs: 10 * minute });
  again.host.now = host.now;
  again.host.answer = { kind: "refused", reason: "no such name", retryAfterMs: 8 * 60 * minute };
  again.manager.start();
  await again.pass(50 * minute);
  expect(again.host.orders).toEqual([]);
  await again.pass(20 * minute);
  expect(again.host.orders).toHaveLength(1);
  await again.pass(7 * 60 * minute);
  expect(again.host.orders).toHaveLength(1);
  again.host.answer = undefined;
  await again.pass(72 * minute);
  expect(again.host.results).toEqual(["failed", "issued"]);
  expect(await again.manager.views()).toMatchObject([{ failures: 0 }]);
  again.host.answer = { kind: "refused", reason: "gone" };
  again.host.now += 24 * day;
  await again.pass(3 * 60 * minute);
  expect(again.host.failures.length).toBeGreaterThan(2);
  expect(again.host.failures.at(-1)?.expires).toMatch(/^\d{4}-/);
});

test("a deployment that has the app: the certificate is there, and nginx gets it afterwards", async () => {
  const { host, manager, pass } = world();
  manager.start();
  await pass(minute);
  host.busy = true;
  expect(await manager.renew("shop")).toMatchObject({ certificate: { served: false }, failures: 0 });
  await pass(2 * minute);
  expect(host.orders).toHaveLength(2);
  host.busy = false;
  manager.wake("shop");
  await eventually(async () => (await manager.views())[0]?.certificate?.served === true);
  expect(host.orders).toHaveLength(2);
});

test("names that change get a new certificate; a certificate for other names is not taken, and not ordered each minute", async () => {
  const { host, manager, pass } = world();
  manager.start();
  await pass(minute);
  host.settings = { ...host.settings, domains: ["shop.example.com", "www.example.com"] };
  await pass(minute);
  expect(host.orders.map(({ names }) => names.length)).toEqual([1, 2]);
  const both = await host.chain();
  host.answer = { kind: "issued", chain: both ?? "" };
  host.settings = { ...host.settings, domains: ["shop.example.com", "other.example.com"] };
  await pass(4 * minute);
  expect(host.failures).toMatchObject([
    { reason: expect.stringContaining("is for shop.example.com, www.example.com") },
  ]);
  expect(host.orders).toHaveLength(4);
  expect(await host.chain()).toBe(both);
});

test.each([
  ["its own files", { tls: { certificate: "/a", key: "/b" } }, { code: "host_settings_invalid" }],
  [
    "no address with ssl",
    { listen: [80] },
    { code: "certificate_failed", message: expect.stringContaining("443 ssl") },
  ],
])("renew of a site with %s says what is missing", async (_, keys, error) => {
  const { host, manager } = world();
  host.settings = { ...host.settings, ...keys };
  await expect(manager.renew("shop")).rejects.toMatchObject(error);
  expect(host.orders).toEqual([]);
});

test("a record that cannot be read is begun again", async () => {
  const { host, manager } = world();
  mkdirSync(join(host.data, "acme", "sites"), { recursive: true });
  writeFileSync(join(host.data, "acme", "sites", "shop.json"), '{"failures":"many"');
  expect(await manager.renew("shop")).toMatchObject({ failures: 0, certificate: { names: ["shop.example.com"] } });
});
