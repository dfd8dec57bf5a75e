import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { Browser, Page } from "puppeteer-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openBrowser, takePicture } from "../agent/ui/browser.ts";
import { cutoverProgram, node } from "../harness/places.ts";
import { processId } from "../harness/processes.ts";
import { BadHost } from "./bad-host.ts";
import { versionOf } from "./hosts.ts";

let host: BadHost;
let browser: Browser;
let page: Page;
let going = true;
let visiting: Promise<unknown>;

beforeAll(async () => {
  host = await BadHost.start({ name: "page" });
  const { scratch, directory } = host.agent;
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
  await page.waitForSelector("#app-shop");
  await Promise.all([page.waitForNavigation(), page.click("#app-shop")]);
  visiting = (async () => {
    for (let turn = 0; going; turn++) {
      const path = turn % 20 === 0 ? "/env?name=CUTOVER_RELEASE" : "/";
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

/** Waits until a part of the page has this text, without a look at the host. */
const says = (id: string, text: string) =>
  page.waitForFunction(
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
  await takePicture(page, "canary");
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
  const failing = host.run(await host.project({ version: "v3", fault: "one-page-fails", config }));
  await says("visitors", "/env");
  await takePicture(page, "failing");
  const { exitCode, stdout } = await failing;
  expect(exitCode, stdout).toBe(1);
  await says("deployment", "visitors_failed");
  await says("facts", String(live));
  await says("releases", "rolled back");
  await takePicture(page, "taken-back");
  expect((await versionOf(host.site)).version).toBe("v1");
});
