import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import puppeteer, { type Browser, type Page } from "puppeteer-core";
import type { Scratch } from "../../harness/scratch.ts";

/** Debian's Chromium, with a profile of its own that goes with the directory. */
export function openBrowser({ path }: Scratch): Promise<Browser> {
  return puppeteer.launch({
    executablePath: "/usr/bin/chromium",
    // In a container nobody may make the namespaces of its sandbox.
    args: ["--no-sandbox", "--disable-dev-shm-usage"],
    userDataDir: join(path, "chromium"),
  });
}

/** Of the whole page, into the directory that CUTOVER_PICTURES names; without it, none. */
export async function takePicture(page: Page, name: string): Promise<void> {
  const directory = process.env.CUTOVER_PICTURES;
  if (directory === undefined) return;
  await mkdir(directory, { recursive: true });
  await page.screenshot({ path: join(directory, `${name}.png`), fullPage: true });
}
