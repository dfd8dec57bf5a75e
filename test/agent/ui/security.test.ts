import { connect } from "node:net";
import { networkInterfaces } from "node:os";
import { expect, test } from "vitest";
import { html, rendered } from "../../../agent/ui/html.ts";
import { sessionMs, tokenMs } from "../../../agent/ui/session.ts";
import { PageHost } from "./visitor.ts";

const moves = (host: PageHost) => host.host.service.calls.filter(({ method }) => method === "rollback");

test("the address with a token opens the page once, and the cookie is for no script and no other site", async () => {
  await using page = await PageHost.start();
  const address = page.page.newAddress().slice(page.origin.length);
  expect((await page.ask("/")).status).toBe(401);
  const first = await page.ask(address);
  expect(first.status).toBe(200);
  expect(String(first.headers["set-cookie"])).toMatch(
    /^cutover_[0-9a-f]{8}=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict$/,
  );
  expect((await page.ask(address)).status).toBe(401);
  const cookie = String(first.headers["set-cookie"]).split(";")[0] ?? "";
  expect((await page.ask("/", { headers: { cookie } })).status).toBe(200);
  expect((await page.ask("/", { headers: { cookie: `${cookie}x` } })).status).toBe(401);
});

test("a token that was replaced, guessed or left out, or is too old, opens nothing", async () => {
  await using page = await PageHost.start();
  const old = page.page.newAddress().slice(page.origin.length);
  const current = page.page.newAddress().slice(page.origin.length);
  for (const path of [old, "/enter", "/enter?token=", `/enter?token=${"A".repeat(43)}`])
    expect([path, (await page.ask(path)).status]).toEqual([path, 401]);
  page.clock.now += tokenMs;
  expect((await page.ask(current)).status).toBe(401);
});

test("a session ends after twelve hours", async () => {
  await using page = await PageHost.start();
  await page.enter();
  page.clock.now += sessionMs - 1;
  expect((await page.ask("/")).status).toBe(200);
  const { promise: opened, resolve } = Promise.withResolvers<void>();
  const stream = page.ask("/apps/shop/live", { onFirst: resolve });
  await opened;
  page.clock.now += 1;
  expect((await page.ask("/")).status).toBe(401);
  // It ends by itself, also where a tab stays open.
  expect((await stream).status).toBe(200);
});

test("without a session nothing is shown and nothing done, whatever the path", async () => {
  await using page = await PageHost.start();
  for (const path of [
    "/",
    "/live",
    "/page.js",
    "/apps/shop",
    "/apps/shop/live",
    "/apps/shop/logs",
    "/history",
    "/doctor",
  ]) {
    const { status, text } = await page.ask(path);
    expect([path, status, text.includes("20261121T103000Z")]).toEqual([path, 401, false]);
  }
  expect((await page.send("/apps/shop/do/rollback")).status).toBe(401);
  expect(moves(page)).toEqual([]);
});

test.each(["attacker.example", "127.0.0.1.attacker.example:7080", "localhost.attacker.example", "169.254.169.254"])(
  "a name that was made to lead here (DNS rebinding) gets nothing: %j",
  async (host) => {
    await using page = await PageHost.start();
    await page.enter();
    expect((await page.ask("/", { headers: { host } })).status).toBe(403);
    const origin = `http://${host}`;
    expect((await page.send("/apps/shop/do/rollback", {}, { host, origin })).status).toBe(403);
    expect(moves(page)).toEqual([]);
  },
);

test.each([
  ["another site", { origin: "https://attacker.example", "sec-fetch-site": "cross-site" }],
  ["another site of an old browser", { origin: "https://attacker.example" }],
  ["another port of this computer", { origin: "http://127.0.0.1:3000", "sec-fetch-site": "same-site" }],
  ["another name of this computer", { origin: "http://localhost:7080" }],
  ["a page in a sandbox", { origin: "null" }],
  ["a caller that says no origin", { origin: "" }],
])("a form of %s changes nothing, with the cookie too", async (_, headers) => {
  await using page = await PageHost.start();
  await page.enter();
  expect((await page.send("/apps/shop/do/rollback", {}, headers)).status).toBe(403);
  expect(moves(page)).toEqual([]);
  expect((await page.send("/apps/shop/do/rollback")).status).toBe(303);
  expect(moves(page)).toHaveLength(1);
});

test.each(["cross-site", "same-site"])("another page cannot read a thing: %s", async (site) => {
  await using page = await PageHost.start();
  await page.enter();
  for (const path of ["/", "/apps/shop/live", "/page.js"])
    expect((await page.ask(path, { headers: { "sec-fetch-site": site } })).status).toBe(403);
});

test("no GET, and no other method, changes anything", async () => {
  await using page = await PageHost.start();
  await page.enter();
  for (const [method, refused] of Object.entries({
    GET: 404,
    HEAD: 404,
    PUT: 400,
    DELETE: 400,
    PATCH: 400,
    OPTIONS: 400,
  })) {
    const { status } = await page.ask("/apps/shop/do/rollback", { method, headers: { origin: page.origin } });
    expect([method, status]).toEqual([method, refused]);
  }
  await page.ask("/apps/shop/ask/rollback");
  expect(moves(page)).toEqual([]);
});

test("each answer has a strict policy: nothing inline, nothing from elsewhere, no frame, no cache", async () => {
  await using page = await PageHost.start();
  const answers = [await page.ask("/"), await page.enter(), await page.ask("/apps/shop"), await page.ask("/page.js")];
  answers.push(
    await page.ask("/nowhere"),
    await page.send("/apps/shop/do/rollback"),
    await page.ask("/apps/shop/live"),
  );
  for (const { headers } of answers) {
    expect(headers).toMatchObject({
      "content-security-policy":
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
      "x-content-type-options": "nosniff",
      "x-frame-options": "DENY",
      "referrer-policy": "same-origin",
      "cache-control": "no-store",
      "cross-origin-resource-policy": "same-origin",
    });
  }
  const { text } = answers[2] ?? { text: "" };
  expect(text).not.toMatch(/<script(?! src="\/page\.js" defer><\/script>)|<style|\sstyle=|\son[a-z]+=|<iframe|<img/i);
  expect([...text.matchAll(/(?:src|<link[^>]*href)="([^"]*)"/g)].map(([, address]) => address)).toEqual([
    "/icon.svg",
    "/page.css",
    "/page.js",
  ]);
});

test("it listens on loopback alone", async () => {
  await using page = await PageHost.start();
  const others = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, family }) => !internal && family === "IPv4");
  for (const address of ["127.0.0.2", ...others.map((other) => other.address)]) {
    const { promise, resolve } = Promise.withResolvers<string>();
    const socket = connect({ host: address, port: page.page.port });
    socket.once("connect", () => resolve("connected")).once("error", () => resolve("refused"));
    expect([address, await promise]).toEqual([address, "refused"]);
    socket.destroy();
  }
});

test("what comes from apps, repositories and the network is text, on every page and in every part", async () => {
  await using page = await PageHost.start();
  const evil = `"'><img src=x onerror=alert(1)><script>alert(2)</script>\u202ejs\u001b[2J`;
  const { service, audit } = page.host;
  const view = await service.app("shop");
  const [release, ...others] = view.releases;
  if (release === undefined) throw new Error("a release");
  const by = { subject: evil, repository: evil, run_url: `javascript:alert(1)//${evil}` };
  service.script = [
    { type: "output", source: evil, line: evil },
    { type: "notice", message: evil },
  ];
  const { deployment } = service.begin("shop", "deploy", release.id, by);
  const failure = { code: evil, detail: evil, unchanged: evil, fix: evil, evidence: [{ source: evil, text: evil }] };
  const run = view.live;
  service.views.set("shop", {
    ...view,
    held: evil,
    problem: evil,
    urls: [`javascript:${evil}`, `http://shop.example.com/${evil}`],
    instances: view.instances.map((one) => ({ ...one, name: evil, state: evil })),
    releases: [{ ...release, commit: evil, repository: evil, commanded: true }, ...others],
    requests: {
      seconds: 10,
      gap: evil,
      runs: [{ role: "live", run, release: run, requests: 9, failed: 3, failing: [{ path: evil, count: 3 }] }],
    },
    deployment: {
      ...{ id: deployment, app: "shop", kind: "deploy", release: release.id, state: "done", outcome: "failed", by },
      ...{ started: release.created, phases: [], failure },
      canary: { weight: 5, verdict: "worse", said: evil },
    },
  });
  service.output.set("shop", [{ source: evil, text: evil }]);
  audit.entries.push({ at: release.created, event: "refused", what: evil, app: evil, reason: evil, code: evil });
  audit.entries.push({ at: release.created, event: "done", what: "pin", app: evil, by, release: evil });
  page.findings.push({ severity: "error", check: evil, what: evil, why: evil, fix: evil });
  await page.enter();
  await expect.poll(async () => (await page.ask("/apps/shop")).text.split("onerror=alert").length).toBeGreaterThan(20);
  const asked = [
    "/",
    "/apps/shop",
    "/apps/shop/live",
    "/apps/shop/logs",
    "/history",
    "/doctor",
    "/apps/shop/ask/rollback",
  ];
  const hostile = encodeURIComponent(evil);
  asked.push(
    `/apps/${hostile}`,
    `/apps/shop/ask/${hostile}`,
    `/apps/shop/ask/activate?release=${hostile}`,
    `/?x=${hostile}`,
  );
  for (const path of asked) {
    const { text } = await page.ask(path);
    const shown = text.replaceAll('<script src="/page.js" defer></script>', "").replaceAll('\\"', '"');
    expect([path, shown.match(/<img|<script|href="(?!\/|#|https?:)/)?.[0]]).toEqual([path, undefined]);
    expect([path, text.includes("\u202e"), text.includes("\u001b")]).toEqual([path, false, false]);
    if (/^.(?:apps.shop|apps.shop.(?:live|logs)|history|doctor)$/.test(path)) expect(text).toContain("&lt;script&gt;");
  }
}, 60_000);

test.each(["\u001b", "\u001b[", "\u001b[1;", "\u009b", "\u001b]0;x", "\u001b]8;;"])(
  "an escape sequence that a value begins takes no tag away: %j",
  async (begun) => {
    const text = async (value: string) => rendered(html`<pre title="${value}">a${value}</pre><a href="/">b</a>`);
    const [shown, plain] = [await text(begun), await text("x")];
    expect(shown.match(/<[^>]*>/g)?.map((tag) => tag.slice(0, 3))).toEqual(["<pr", "</p", "<a ", "</a"]);
    expect(shown).toMatch(/<\/pre><a href="\/">b<\/a>$/);
    expect(plain).toBe('<pre title="x">ax</pre><a href="/">b</a>');
  },
);

test("a link of the page leads to no other site, whatever address was opened", async () => {
  await using page = await PageHost.start();
  await page.enter();
  for (const headers of [{}, { "sec-fetch-site": "cross-site" }]) {
    const { text } = await page.ask("//attacker.example/x", { headers });
    expect(text.match(/href="\/[^"]*"/g)).toContain('href="/attacker.example/x?lang=zh"');
    expect(text).not.toContain('"//');
  }
});
