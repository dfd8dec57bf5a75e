import { z } from "zod";
import { duration } from "./duration.ts";

/** Keys of `site` about who comes how, and what is written down of it. */

/** A whole name, which can be asked for and redirected to. */
const wholeName = z
  .string()
  .max(253)
  .regex(/^[a-z0-9-]+(?:\.[a-z0-9-]+)+$/, "a whole host name in lower case, such as www.example.com");

export const redirects = z
  .record(wholeName, wholeName)
  .default({})
  .describe(
    "Names that are sent on to another one, with the path: `{ www.example.com: example.com }`. The host must allow the names, and its certificate must have them.",
  );

export const hsts = z
  .strictObject({
    max_age: duration.describe("How long browsers go on to use https alone for this name, such as `365d`."),
    include_subdomains: z.boolean().default(false).describe("For all subdomains as well."),
    preload: z.boolean().default(false).describe("Ask for a place in the browsers' own lists."),
  })
  .optional()
  .describe("`Strict-Transport-Security` for visitors who come by https; the app's own is dropped.");
export type Hsts = NonNullable<z.output<typeof hsts>>;

export const requestLimit = z
  .strictObject({
    rate: z
      .string()
      .regex(/^[1-9]\d{0,5}r\/[sm]$/, "a rate such as 10r/s or 30r/m")
      .describe("Requests of one address on average: `10r/s` or `30r/m`."),
    burst: z.int().min(0).max(10_000).default(20).describe("How many more at once."),
  })
  .optional()
  .describe("More requests of one address than that get 429 and do not reach the app. Files are not counted.");
export type RequestLimit = NonNullable<z.output<typeof requestLimit>>;

export const accessLog = z
  .union([z.boolean(), z.enum(["json", "combined"])])
  .default(true)
  .describe(
    "`true`: nginx's usual line, with release, upstream and times after it; `json`: the same as JSON; `combined`: nginx's usual line alone; `false`: no access log. See [logs](../agent/host/nginx/README.md#the-access-log).",
  );
