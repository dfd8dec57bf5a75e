import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import axe, { type AxeResults } from "axe-core";
import type { Browser, Page } from "puppeteer-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { embeddedLayout } from "../../agent/host/embedded/files.ts";
import { openBrowser, takeDocsPictures } from "../agent/ui/browser.ts";
import { cutoverProgram, node } from "../harness/places.ts";
import { freePorts } from "../harness/ports.ts";
import { processId } from "../harness/processes.ts";
import { runProgram } from "../harness/run.ts";
import { BadHost } from "./bad-host.ts";
import { versionOf } from "./hosts.ts";

let host: BadHost;
let browser: Browser;
let page: Page;
let going = true;
let visiting: Promise<unknown>;
/** Where everybody finds the public page. */
let everybody: string;

beforeAll(async () => {
  const [published = 0, front = 0] = await freePorts(2);
  const settings = { public_page: { listen: `127.0.0.1:${published}`, apps: ["shop"] } };
  host = await BadHost.start({ name: "page", settings });
  const { scratch, directory } = host.agent;
  everybody = await publish(directory, published, front);
  const child = spawn(node, [cutoverProgram, "ui", "--port", "0", "--json"], {
    env: { CUTOVER_EMBEDDED: directory, SUDO_USER: "anna" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (child.pid !== undefined) scratch.adopt(processId(child.pid));
  const [printed] = (await once(child.stdout, "data")) as [Buffer];
  browser = await openBrowser(scratch);
  page = await browser.newPage();
  await page.setViewport({ width: 1200, height: 900 });
  await page.goto((JSON.parse(printed.toString()) as { address: string }).address);
  await page.waitForSelector("#slots .slot");
  visiting = (async () => {
    for (let turn = 0; going; turn++) {
      const path = turn % 20 === 0 ? "/checkout" : "/";
      void fetch(`${host.site}${path}`).then(
        (answer) => answer.text(),
        () => undefined,
      );
      await sleep(40);
    }
  })();
});
afterAll(async () => {
  going = false;
  await visiting;
  await browser?.close();
  await host?.[Symbol.asyncDispose]();
});

/** By the nginx lines of the page's docs, at a path. @returns the page's address */
async function publish(directory: string, published: number, front: number): Promise<string> {
  const { nginx } = embeddedLayout(directory);
  const docs = await readFile("agent/ui/README.md", "utf8");
  const snippet = /<!-- snippet:nginx -->\n```nginx\n(.*?)```/s.exec(docs)?.[1] ?? "";
  const lines = snippet
    .replace("listen 80;", `listen 127.0.0.1:${front};`)
    .replace("location / {", "location /deploys/ {")
    .replace("127.0.0.1:7081", `127.0.0.1:${published}`);
  await writeFile(join(nginx.confDir, "deploys.conf"), lines);
  const reload = await runProgram(["nginx", "-c", nginx.conf, "-s", "reload"], { env: process.env });
  expect(reload.code, reload.stderr).toBe(0);
  return `http://127.0.0.1:${front}/deploys/`;
}

/** Waits until a part of the page has this text, without a look at the host. */
const says = (id: string, text: string, where = page) =>
  where.waitForFunction(
    `document.getElementById(${JSON.stringify(id)})?.textContent.includes(${JSON.stringify(text)})`,
    {
      timeout: 60_000,
    },
  );
const click = (selector: string) => Promise.all([page.waitForNavigation(), page.click(selector)]);
/** How many slots have which colour. */
const slots = () =>
  page.evaluate(`(() => {
    const counts = {};
    for (const slot of document.querySelectorAll("#slots .slot")) counts[slot.className] = (counts[slot.className] ?? 0) + 1;
    return Object.values(counts).sort();
  })()`);

test("a deploy is watched step by step, and made a canary, raised and rolled back by click, as the person", async () => {
  const first = (await host.agent.appView()).live;
  const project = await host.project({ version: "v2", config: { watch: "0s" } });
  const staged = host.begin(project, { inputs: { command: "stage" } });
  await says("deployment", "environment built");
  expect((await staged.result).exitCode).toBe(0);
  const { staged: run } = await host.agent.appView();
  await says("facts", `${run}, without traffic`);
  await click(`#activate-${run}`);
  await page.$eval("#weight", (input) => input.setAttribute("value", "50"));
  await click("#yes");
  await says("slots", `30 to ${run}`);
  expect(await slots()).toEqual([30, 30]);
  await says("visitors", "canary");
  await takeDocsPictures(page, "canary", "#title-slots");
  await click(`#activate-${run}`);
  await click("#yes");
  await says("slots", `60 to ${run}`);
  expect((await versionOf(host.site)).version).toBe("v2");
  // Until it has ended, a rollback is refused.
  await says("deployment", `activate ${run}: succeeded`);
  await click("#rollback");
  await click("#yes");
  await says("slots", `60 to ${first}`);
  await says("deployment", `rollback ${first}: succeeded`);
  expect((await versionOf(host.site)).version).toBe("v1");
  const { stdout } = await host.agent.cutover("history", "shop");
  expect(stdout).toMatch(/activate 50 %.*succeeded.*anna \(local operator\)/);
  expect(stdout).toMatch(/rollback.*succeeded.*anna \(local operator\)/);
});

test("a release that fails its visitors on one page: the page says which, and that it was taken back", async () => {
  const { live } = await host.agent.appView();
  // What it is compared with.
  await sleep(8000);
  const config = { watch: "60s" };
  const failing = host.run(await host.project({ version: "v3", fault: "checkout-fails", config }));
  await says("visitors", "/checkout");
  await takeDocsPictures(page, "failing", "#title-visitors");
  const { exitCode, stdout } = await failing;
  expect(exitCode, stdout).toBe(1);
  await says("deployment", "visitors_failed");
  await says("deployment", "/checkout");
  await says("facts", String(live));
  await says("releases", "rolled back");
  await takeDocsPictures(page, "taken-back", "#title-slots");
  expect((await versionOf(host.site)).version).toBe("v1");
});

test("everybody sees it happen on the public page, through nginx, with nothing to click and not why", async () => {
  const visitor = await browser.newPage();
  const complaints: string[] = [];
  visitor.on("console", (message) => complaints.push(message.text()));
  visitor.on("pageerror", (error) => complaints.push(String(error)));
  await visitor.goto(everybody);
  await Promise.all([visitor.waitForNavigation(), visitor.click("#app-shop")]);
  expect(visitor.url()).toBe(`${everybody}apps/shop`);
  await says("deployment", "failed", visitor);
  const text = await visitor.$eval("body", ({ textContent }) => textContent);
  for (const said of ["visitors_failed", "/checkout", "anna", "octocat"]) expect(text).not.toContain(said);
  expect(await visitor.$$("form, button, .button, [href*=ask], [href*=logs]")).toEqual([]);
  const { releases } = await host.agent.appView();
  // v2, which was rolled back by click; v3 came after it.
  const earlier = releases.findLast(({ state }) => state === "rolled_back")?.id ?? "";
  const activated = await host.agent.cutover("activate", "shop", earlier);
  expect(activated.code, activated.stderr).toBe(0);
  await says("slots", `60 to ${earlier}`, visitor);
  await visitor.evaluate(axe.source);
  const { violations } = (await visitor.evaluate("axe.run()")) as AxeResults;
  expect(violations.map(({ id }) => id)).toEqual([]);
  expect(complaints).toEqual([]);
  await takeDocsPictures(visitor, "public", "h1");
  await visitor.close();
});
