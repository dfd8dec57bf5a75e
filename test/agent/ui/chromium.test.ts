import axe, { type AxeResults } from "axe-core";
import type { Browser, Page } from "puppeteer-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { DeploymentView } from "../../../shared/protocol.ts";
import { fakeTimes } from "../../fakes/app-view.ts";
import { Scratch } from "../../harness/scratch.ts";
import { openBrowser, takePicture } from "./browser.ts";
import { canary, live, withCanary } from "./canary-host.ts";
import type { PageHost } from "./visitor.ts";

let browser: Browser;
let scratch: Scratch;
let host: PageHost;
let page: Page;
/** What the browser did not want to do, and what it asked for elsewhere. */
const complaints: string[] = [];

beforeAll(async () => {
  scratch = new Scratch("chromium");
  browser = await openBrowser(scratch);
  host = await withCanary();
  page = await browser.newPage();
  page.on("console", (message) => complaints.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => {
    const { protocol, origin } = new URL(request.url());
    if (protocol !== "data:" && origin !== host.origin) complaints.push(request.url());
  });
  await page.setViewport({ width: 1200, height: 900 });
  await page.goto(host.page.newAddress());
  // The host has one app: the browser is on its page.
  await page.waitForSelector("#slots .slot");
});
afterAll(async () => {
  await browser?.close();
  await host?.[Symbol.asyncDispose]();
  await scratch?.[Symbol.asyncDispose]();
});

/** By axe-core, also its checks of colours. */
async function faults(): Promise<string[]> {
  await page.evaluate(axe.source);
  const found = (await page.evaluate("axe.run()")) as AxeResults;
  return found.violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
}

/** What has the focus. */
const focused = () => page.evaluate("document.activeElement.id || document.activeElement.textContent");

test.each(["light", "dark"])("nobody is kept out of any page, %s", async (scheme) => {
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  for (const path of [
    "/",
    "/apps/shop",
    "/apps/shop/ask/rollback",
    "/apps/shop/logs",
    "/history",
    "/doctor",
    "/nowhere",
  ]) {
    await page.goto(`${host.origin}${path}`);
    expect([path, await faults()]).toEqual([path, []]);
    await takePicture(page, `${scheme}${path.replaceAll("/", "-")}`);
  }
  await page.goto(`${host.origin}/apps/shop?lang=zh`);
  expect(await faults()).toEqual([]);
  await takePicture(page, `${scheme}-chinese`);
  await page.goto(`${host.origin}/apps/shop?lang=en`);
});

test("what changes on the host changes on the page, and the focus stays", async () => {
  await page.goto(`${host.origin}/apps/shop`);
  await page.focus("#rollback");
  const { service } = host.host;
  const view = await service.app("shop");
  service.views.set("shop", { ...view, weight: 50, held: "an operator has to look", previous: view.previous });
  await page.waitForFunction("document.getElementById('facts').textContent.includes('an operator has to look')");
  const [first, ...others] = view.releases;
  if (first === undefined) throw new Error("a release");
  service.views.set("shop", { ...view, releases: [{ ...first, pinned: true }, ...others] });
  await page.waitForFunction("document.getElementById('releases').textContent.includes('pinned')");
  expect(await focused()).toBe("rollback");
});

test("on a narrow screen nothing is beyond the edge but what scrolls by itself", async () => {
  await page.setViewport({ width: 320, height: 800 });
  for (const path of ["/", "/apps/shop", "/apps/shop/ask/rollback", "/history", "/doctor"]) {
    await page.goto(`${host.origin}${path}`);
    expect([path, await page.evaluate("document.documentElement.scrollWidth")]).toEqual([path, 320]);
  }
  await takePicture(page, "narrow");
  await page.setViewport({ width: 1200, height: 900 });
  await page.goto(`${host.origin}/apps/shop`);
});

test("a click during which the page changes is a click, and what the person has opened and marked stays so", async () => {
  const { service } = host.host;
  const { deployment } = service.begin("shop", "deploy", canary);
  service.emit(deployment, { type: "notice", message: "a first notice" });
  const view = await service.app("shop");
  const running = await service.deployment(deployment);
  service.views.set("shop", { ...view, deployment: running });
  await page.waitForSelector("#output");
  await page.click("#output-summary");
  await page.evaluate("getSelection().selectAllChildren(document.getElementById('output-text'))");
  const abort = await page.$("#abort-running");
  await abort?.hover();
  await page.mouse.down();
  service.emit(deployment, { type: "notice", message: "a second notice" });
  await page.waitForFunction("document.getElementById('output-text').textContent.includes('a second notice')");
  expect(await page.evaluate("document.getElementById('output').open")).toBe(true);
  expect(await page.evaluate("String(getSelection())")).toContain("a first notice");
  await Promise.all([page.waitForNavigation(), page.mouse.up()]);
  expect(await page.$eval("h1", ({ textContent }) => textContent)).toBe("Abort the deployment of shop?");
  service.views.set("shop", view);
});

test("why a deployment failed is seen at first sight, a log from its end, and what the person closes stays closed", async () => {
  const { service } = host.host;
  const view = await service.app("shop");
  const log = Array.from({ length: 60 }, (_, line) => `line ${line} of the traceback`).join("\n");
  const deployment: DeploymentView = {
    ...{ id: "BBBBBBBBBBBBBBBBBBBBBB", app: "shop", kind: "activate", release: canary, outcome: "failed" },
    ...{ by: { subject: "ci" }, started: fakeTimes.live, state: "cut_over", phases: [] },
    failure: {
      code: "visitors_failed",
      detail: `${canary} failed its visitors.`,
      evidence: [
        { source: "paths that answered 5xx", text: "60 /checkout" },
        { source: "web-0", text: `${log}\nRuntimeError: The till is empty` },
        { source: "web-1", text: log },
      ],
    },
  };
  const show = (detail: string) =>
    service.views.set("shop", {
      ...view,
      deployment: { ...deployment, failure: { ...deployment.failure, code: "visitors_failed", detail } },
    });
  show("first");
  await page.goto(`${host.origin}/apps/shop`);
  expect(await page.$$eval("details[open] > summary", (all) => all.map(({ textContent }) => textContent))).toEqual([
    "paths that answered 5xx",
    "web-0",
  ]);
  const end = `(() => {
    const range = document.createRange();
    const { firstChild } = document.getElementById("evidence-text-1");
    range.setStart(firstChild, firstChild.length - 5);
    range.setEnd(firstChild, firstChild.length);
    const [last, box] = [range.getBoundingClientRect(), document.getElementById("evidence-text-1").getBoundingClientRect()];
    return last.top >= box.top && last.bottom <= box.bottom;
  })()`;
  expect(await page.evaluate(end)).toBe(true);
  await page.click("#evidence-summary-1");
  await page.click("#evidence-summary-2");
  show("second");
  await page.waitForFunction("document.getElementById('deployment').textContent.includes('second')");
  expect(await page.$$eval("details", (all) => all.map((one) => one.open))).toEqual([true, false, true]);
  expect(await faults()).toEqual([]);
  service.views.set("shop", view);
});

test("by the keyboard alone: past the navigation, to the question, and back by its answer", async () => {
  await page.goto(`${host.origin}/apps/shop`);
  await page.keyboard.press("Tab");
  expect(await focused()).toBe("To the content");
  await page.keyboard.press("Enter");
  expect(await focused()).toBe("content");
  await page.focus(`#redeploy-${live}`);
  await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
  expect(await page.$eval("h1", ({ textContent }) => textContent)).toContain(live);
  await page.focus("#yes");
  await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
  expect(page.url()).toBe(`${host.origin}/apps/shop`);
  expect(host.host.service.calls.at(-1)).toMatchObject({ method: "redeploy", by: { user: "anna" } });
});

test("a rollback and a larger canary by click", async () => {
  await Promise.all([page.waitForNavigation(), page.click("#rollback")]);
  await Promise.all([page.waitForNavigation(), page.click("#yes")]);
  expect(host.host.service.calls.at(-1)).toMatchObject({ method: "rollback", by: { user: "anna" } });
  await Promise.all([page.waitForNavigation(), page.click(`#activate-${canary}`)]);
  await page.$eval("#weight", (input) => input.setAttribute("value", "25"));
  await Promise.all([page.waitForNavigation(), page.click("#yes")]);
  expect(host.host.service.calls.at(-1)).toMatchObject({ method: "activate", detail: canary });
});

test("another site's page cannot act with the browser's cookie", async () => {
  const before = host.host.service.calls.length;
  const other = await browser.newPage();
  await other.goto("data:text/html,<title>other</title>");
  await other.setContent(
    `<form method="post" action="${host.origin}/apps/shop/do/rollback"><input name="from" value="${live}"></form>`,
  );
  await Promise.all([other.waitForNavigation(), other.evaluate("document.forms[0].submit()")]);
  expect(await other.$eval("body", ({ textContent }) => textContent)).toMatch(/Another page|not from this page/);
  expect(host.host.service.calls).toHaveLength(before);
  await other.close();
});

test("an agent that is gone is said on the page", async () => {
  await page.goto(`${host.origin}/apps/shop`);
  await host.host.stopAgent();
  await page.waitForFunction("document.getElementById('lost').hidden === false");
  await host.host.startAgent();
  await page.waitForFunction("document.getElementById('lost').hidden === true");
});

test("the browser had nothing to complain about, and asked for nothing elsewhere", () => {
  expect(complaints.filter((text) => !/status of (?:404|409)/.test(text))).toEqual([]);
});
