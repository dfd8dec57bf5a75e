import { mkdir, writeFile } from "node:fs/promises";
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

/** Of the whole page, to look at, into the directory that CUTOVER_PICTURES names; without it, none. */
export async function takePicture(page: Page, name: string): Promise<void> {
  const directory = process.env.CUTOVER_PICTURES;
  if (directory === undefined) return;
  await mkdir(directory, { recursive: true });
  await page.screenshot({ path: join(directory, `${name}.png`), fullPage: true });
}

/** What a picture of the docs may weigh, in bytes. */
export const pictureLimit = 60_000;
const picturePlace = ".github/assets";

/**
 * For the docs, light and dark: what the first screen shows of the page, with the visitors in view. Only with CUTOVER_DOCS,
 * which `npm run pictures` sets.
 */
export async function takeDocsPictures(page: Page, name: string, from: string): Promise<void> {
  if (process.env.CUTOVER_DOCS === undefined) return;
  for (const scheme of ["light", "dark"]) {
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
    await page.$eval(from, (element) => element.scrollIntoView());
    const picture = await smallPicture(page);
    if (picture.length > pictureLimit) throw new Error(`${name}-${scheme}: ${picture.length} bytes`);
    await writeFile(join(picturePlace, `page-${name}-${scheme}.webp`), picture);
  }
  await page.emulateMediaFeatures([]);
}

/** A page that is full of text weighs more: then a little less of each letter's edge is kept. */
async function smallPicture(page: Page): Promise<Uint8Array> {
  let picture = await page.screenshot({ type: "webp", quality: 70 });
  for (const quality of [60, 50]) {
    if (picture.length > pictureLimit) picture = await page.screenshot({ type: "webp", quality });
  }
  return picture;
}
