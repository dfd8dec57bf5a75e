import { expect, test } from "vitest";
import { type DeploymentView, requestsWords } from "../../../shared/protocol.ts";
import { fakeAppView, fakeTimes } from "../../fakes/app-view.ts";
import { before, canary, live, withCanary } from "./canary-host.ts";
import { PageHost } from "./visitor.ts";

/** As a screen reader has it: without markup, one space between words. */
const words = (text: string) => text.replace(/<[^>]*>/g, " ").replace(/\s+/g, " ");

test("an app: 60 slots coloured by release, its visitors by release, its releases with what can be done", async () => {
  await using page = await withCanary();
  const { text } = await page.ask("/apps/shop");
  const colours = [...text.matchAll(/<span class="slot (release-\d)">/g)].map(([, colour]) => colour);
  expect(colours).toHaveLength(60);
  expect(new Set(colours).size).toBe(2);
  expect(colours.filter((colour) => colour === colours[0])).toHaveLength(54);
  expect(words(text)).toContain(`54 to ${live} 6 to ${canary}`);
  expect(words(text)).toContain(`${live} live 9.0 0.0 % 12 ms 84 ms`);
  expect(words(text)).toContain(`${canary} canary 1.0 20.0 % 12 ms 300 ms`);
  expect(words(text)).toContain("nginx itself, or not known 0.4 0.0 %");
  expect(words(text)).toContain(`2 ${canary} /checkout`);
  expect(words(text)).toContain("Each slot leads to an instance of one release.");
  expect(words(text)).toMatch(
    /The table is of the last \d+ s, .* 5xx: the share of requests that the server failed\. p50, p95:/,
  );
  expect(words(text)).toMatch(/5xx scale 0 to [\d.]+ %/);
  expect([...text.matchAll(/href="\/apps\/shop\/(ask[^"]*)"/g)].map(([, address]) => address)).toEqual([
    "ask/rollback",
    `ask/activate?release=${canary}`,
    "ask/abort?deployment=AAAAAAAAAAAAAAAAAAAAAA",
    `ask/redeploy?release=${live}`,
    `ask/activate?release=${before}`,
  ]);
});

test("the running deployment, step by step, with its output, and an abort until it has cut over", async () => {
  await using page = await PageHost.start();
  const { service } = page.host;
  service.script = [
    { type: "output", source: "pip", line: "Collecting Django" },
    { type: "notice", message: "the new release runs a command" },
  ];
  const { deployment: id } = service.begin("shop", "deploy", canary);
  const view = fakeAppView();
  const deployment: DeploymentView = {
    ...{ id, app: "shop", kind: "deploy", release: canary, outcome: "running", by: { subject: "ci" } },
    ...{ started: fakeTimes.live, state: "verified", phases: [{ state: "verified", took: 40 }] },
  };
  service.views.set("shop", { ...view, deployment });
  await page.enter();
  await expect.poll(async () => words((await page.ask("/apps/shop")).text)).toContain("pip | Collecting Django");
  const { text } = await page.ask("/apps/shop");
  expect(words(text)).toContain("bundle verified 40ms unpacked in progress environment built release command done");
  expect(text).toMatch(/role="status">deploy 20261121T110000Z-7654321: bundle verified</);
  expect(text).toContain(`/apps/shop/ask/abort?deployment=${id}`);
  service.views.set("shop", { ...view, deployment: { ...deployment, state: "cut_over" } });
  expect((await page.ask("/apps/shop")).text).not.toContain("ask/abort");
});

test("what the agent said last of the visitors is not said twice while the deployment runs", async () => {
  await using page = await PageHost.start();
  const { service } = page.host;
  const requests = { requests: 90, failed: 0, p95: 84 };
  service.script = [{ type: "notice", message: requestsWords(requests) }];
  const { deployment: id } = service.begin("shop", "deploy", canary);
  const deployment: DeploymentView = {
    ...{ id, app: "shop", kind: "deploy", release: canary, outcome: "running", by: { subject: "ci" }, requests },
    ...{ started: fakeTimes.live, state: "cut_over", phases: [] },
  };
  service.views.set("shop", { ...fakeAppView(), deployment });
  await page.enter();
  await expect.poll(async () => (await page.ask("/apps/shop")).text).toContain("output-text");
  const shown = words((await page.ask("/apps/shop")).text.replace(/<details.*?<\/details>/gs, ""));
  expect(shown.split(requestsWords(requests))).toHaveLength(2);
});

test("the address leads to the only app; where there are several, to their list, with what each serves and its failure", async () => {
  await using page = await withCanary();
  const { service } = page.host;
  const only = await page.enter();
  expect(only.text).toContain('content="0; url=/apps/shop"');
  const view = await service.app("shop");
  const deployment: DeploymentView = {
    ...{ id: "BBBBBBBBBBBBBBBBBBBBBB", app: "blog", kind: "activate", release: live, outcome: "failed" },
    ...{ by: { subject: "ci" }, started: fakeTimes.live, state: "cut_over", phases: [] },
    failure: { code: "visitors_failed", detail: "It failed." },
  };
  service.views.set("blog", { ...view, app: "blog", urls: ["https://blog.example.com/", "unix:x"], deployment });
  expect((await page.enter()).text).toContain('content="0; url=/"');
  const { text } = await page.ask("/");
  expect(text).toContain('href="https://blog.example.com/"');
  expect(text).not.toContain('href="unix:x"');
  expect(words(text)).toMatch(/activate failed, \S+ ago visitors_failed https:/);
  await page.host.stopAgent();
  expect((await page.enter()).text).toContain('content="0; url=/"');
});

test("a release has its colour wherever its name stands, also by the charts, which begin with the page", async () => {
  await using page = await withCanary();
  const { text } = await page.ask("/apps/shop");
  const [, colour = ""] = new RegExp(`<span class="mark (release-\\d)"[^>]*></span>${canary}`).exec(text) ?? [];
  for (const id of ["facts", "visitors", "releases", "instances"]) {
    const [part = ""] = new RegExp(`<div id="${id}">.*?(?=<div id=|$)`, "s").exec(text) ?? [];
    expect([id, part.includes(`<span class="mark ${colour}" aria-hidden="true"></span>${canary}`)]).toEqual([id, true]);
  }
  expect(words(text.split('aria-label="The colours of the charts">')[1] ?? "")).toMatch(
    new RegExp(`^ ${live} ${canary} `),
  );
  page.clock.now += 40_000;
  const later = (await page.ask("/apps/shop")).text;
  const points = [...later.matchAll(/points="([\d.]+),/g)].map(([, x]) => Number(x));
  expect(Math.min(...points)).toBe(0);
});

test("the titles of numbers stand over them, on the page of all apps", async () => {
  await using page = await withCanary();
  const { text } = await page.ask("/");
  const titles = [...text.matchAll(/<th scope="col"( class="number")?>([^<]*)/g)].map(([, number, title]) => [
    title,
    number !== undefined,
  ]);
  expect(titles.filter(([, number]) => number).map(([title]) => title)).toEqual(["Requests/s", "5xx", "p95"]);
});

test.each([
  ["rollback", { from: live }, { method: "rollback", app: "shop" }],
  ["activate", { release: canary, weight: "25" }, { method: "activate", detail: canary }],
  ["redeploy", { release: live }, { method: "redeploy", detail: live }],
] as const)("%s asks first, and is done as the person", async (action, fields, call) => {
  await using page = await withCanary();
  const release = "release" in fields ? `?release=${fields.release}` : "";
  const question = await page.ask(`/apps/shop/ask/${action}${release}`);
  expect(question.text).toContain(`<form method="post" action="/apps/shop/do/${action}">`);
  for (const [name, value] of Object.entries(fields))
    expect(question.text).toContain(name === "weight" ? 'name="weight"' : `name="${name}" value="${value}"`);
  expect(words(question.text)).toContain("The audit log will say that it was anna.");
  expect(page.host.service.calls.filter(({ method }) => method === action)).toEqual([]);
  const done = await page.send(`/apps/shop/do/${action}`, { ...fields });
  expect([done.status, done.headers.location]).toEqual([303, "/apps/shop"]);
  expect(page.host.service.calls.at(-1)).toMatchObject({ ...call, by: { subject: "local operator", user: "anna" } });
});

test("abort asks first, and the audit log says who did it", async () => {
  await using page = await withCanary();
  const { deployment } = page.host.service.begin("shop", "deploy", canary);
  expect(words((await page.ask(`/apps/shop/ask/abort?deployment=${deployment}`)).text)).toContain(
    "Abort the deployment of shop?",
  );
  await page.send("/apps/shop/do/abort", { deployment });
  expect(page.host.audit.entries.at(-1)).toMatchObject({
    ...{ event: "done", what: "abort", app: "shop", deployment },
    by: { subject: "local operator", user: "anna" },
  });
  expect(words((await page.ask("/history?app=shop")).text)).toContain("abort done anna (local operator)");
});

test("a rollback over a release command says what it does not undo", async () => {
  await using page = await withCanary();
  const { service } = page.host;
  const view = await service.app("shop");
  service.views.set("shop", {
    ...view,
    releases: view.releases.map((release) => (release.id === live ? { ...release, commanded: true } : release)),
  });
  expect(words((await page.ask("/apps/shop/ask/rollback")).text)).toMatch(/release command/);
});

test("what the agent refuses is shown with its code, what did not change and the fix", async () => {
  await using page = await withCanary();
  const { service } = page.host;
  service.views.set("shop", { ...(await service.app("shop")), previous: null });
  const { status, text } = await page.send("/apps/shop/do/rollback");
  expect([status, text.includes("nothing_to_roll_back_to")]).toEqual([409, true]);
  expect((await page.send("/apps/shop/do/activate", { release: "../x" })).status).toBe(400);
  expect((await page.send("/apps/shop/do/activate", { release: canary, weight: "0" })).status).toBe(400);
  expect((await page.send("/apps/shop/do/remove")).status).toBe(400);
  expect((await page.ask("/apps/blog")).status).toBe(404);
});

test("the parts of an open page come as they change; an agent that is gone is said, and the page stays", async () => {
  await using page = await withCanary();
  const parts = async () =>
    [...(await page.ask("/apps/shop/live")).text.matchAll(/^data: (.*)$/gm)].map(
      ([, data = ""]) => JSON.parse(data) as { id: string; html: string },
    );
  const first = await parts();
  expect(first.map(({ id }) => id)).toEqual([
    ...["facts", "said", "slots", "deployment", "visitors", "releases", "instances", "lost"],
  ]);
  await page.host.stopAgent();
  expect(await parts()).toEqual([{ id: "lost", html: expect.stringContaining("No agent answers on") }]);
  expect((await page.ask("/apps/shop")).status).toBe(502);
});

test("in Chinese where the browser or the person asks for it", async () => {
  await using page = await withCanary();
  const chinese = await page.ask("/apps/shop", { headers: { "accept-language": "fr, zh-CN;q=0.8, en;q=0.5" } });
  expect(chinese.text).toContain('<html lang="zh-Hans">');
  expect(words(chinese.text)).toContain(`54 个指向 ${live}`);
  expect(words((await page.ask("/apps/shop")).text)).toContain(`54 to ${live}`);
  const chosen = await page.ask("/history?lang=zh");
  expect(String(chosen.headers["set-cookie"])).toBe("lang=zh; Path=/; HttpOnly; SameSite=Strict");
  const cookie = `${page.cookie}; lang=zh`;
  expect((await page.ask("/doctor", { headers: { cookie } })).text).toContain("没有发现问题");
});

test("each page has a title, a language, one h1, a way past the navigation, and no id twice", async () => {
  await using page = await withCanary();
  page.findings.push({ severity: "error", check: "disk", what: "The disk is full.", why: "x", fix: "y" });
  page.host.service.output.set("shop", [{ source: "web-0", text: "hello" }]);
  for (const path of [
    "/",
    "/apps/shop",
    "/apps/shop/logs",
    "/history",
    "/doctor",
    "/apps/shop/ask/rollback",
    "/nowhere",
  ]) {
    const { text } = await page.ask(path);
    expect([path, text.match(/<h1>/g)?.length, text.includes('href="#content"')]).toEqual([path, 1, true]);
    const ids = [...text.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id);
    expect([path, ids.filter((id, index) => ids.indexOf(id) !== index)]).toEqual([path, []]);
    for (const [, id = ""] of text.matchAll(/aria-(?:labelledby|describedby)="([^"]*)"/g)) expect(ids).toContain(id);
  }
});
