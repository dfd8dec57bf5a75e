import { readFile } from "node:fs/promises";

/** Next to this file, in the sources as in agent/dist. */
const types = {
  "page.css": "text/css; charset=utf-8",
  "page.js": "text/javascript; charset=utf-8",
  "icon.svg": "image/svg+xml",
};
type AssetName = keyof typeof types;
export const assetNames = Object.keys(types) as AssetName[];

/** What hono's `body` takes: text, status, headers. */
export async function asset(name: AssetName): Promise<[string, 200, { "content-type": string }]> {
  return [await readFile(new URL(`./${name}`, import.meta.url), "utf8"), 200, { "content-type": types[name] }];
}
