import { z } from "zod";
import { serverSchema } from "./config-server.ts";
import { type Site, sharedSchema, siteSchema, staticSchema } from "./config-site.ts";
import { command, environmentName, environmentValue, plain, relativePath, urlPath } from "./config-values.ts";
import { duration } from "./duration.ts";
import { appName } from "./names.ts";
import { slotCount } from "./slots.ts";

/**
 * The definition of cutover.yml. What is parsed is also what the manifest carries, so parsing a checked configuration
 * again gives the same one: no transforms, only checks and defaults. Names are nginx's, supervisor's and gunicorn's own.
 */

const health = z.strictObject({
  path: urlPath.default("/"),
  /** The Host header of the check; the site's first name unless given. */
  host: plain(253)
    .regex(/^[A-Za-z0-9.:[\]_-]+$/, "a host name")
    .optional(),
  expect: z
    .string()
    .regex(/^[1-5]\d\d(?:-[1-5]\d\d)?$/, "a status or a range, such as 200-399")
    .default("200-399"),
  timeout: duration.default("30s"),
});

const python = z.strictObject({
  version: z
    .string()
    .regex(/^3\.\d{1,2}$/, 'a version in quotes, such as "3.11"')
    .optional(),
  /** vendor: packed by the Action; index: pip on the host; none: nothing is installed. Default: vendor, or none without requirements. */
  wheels: z.enum(["vendor", "index", "none"]).optional(),
  requirements: relativePath.default("requirements.txt"),
  system_site_packages: z.boolean().default(false),
});

/** A process that serves no HTTP: a queue's worker, a scheduler. */
const process = z
  .strictObject({
    /** With `{instance}` (`worker-0`) and `{run}`, which tells the new one from the old one beside it. */
    command,
    instances: z.int().min(1).max(slotCount).default(1),
    /** true: the new one starts before the old one is asked to stop. false: never two at once. */
    overlap: z.boolean().default(true),
    /** What asks it to stop, and how long it may take to finish what it has in hand. */
    stop_signal: z.enum(["TERM", "INT", "QUIT", "HUP", "USR1", "USR2"]).default("TERM"),
    stop_timeout: duration.default("60s"),
    /** How long a new one has to stay up to count as started well. */
    stay_up: duration.default("5s"),
  })
  .superRefine(({ overlap, instances }, context) => {
    if (overlap || instances === 1) return;
    const message = "a process without overlap is there once, so it has one instance";
    context.addIssue({ code: "custom", path: ["instances"], message });
  });
export type Process = z.output<typeof process>;

export const processName = z
  .string()
  .regex(/^(?!web$)[a-z][a-z0-9-]{0,31}$/, "a name of lower-case letters, digits and -, other than web");

export const configSchema = z
  .strictObject({
    app: appName,
    server: serverSchema,
    health: health.prefault({}),
    python: python.prefault({}),
    static: z.array(staticSchema).max(16).default([]),
    shared: z.array(sharedSchema).max(16).default([]),
    /** none: the server block is the owner's own, with `proxy_pass http://<app>`; cutover writes the upstream alone. */
    site: z.union([z.literal("none"), siteSchema]).prefault({}),
    /** Run once for a deploy, on the first host, before any instance of the release starts. */
    release: z.strictObject({ command, timeout: duration.default("10m") }).optional(),
    processes: z.record(processName, process).default({}),
    env: z.record(environmentName, environmentValue).default({}),
    drain: z.strictObject({ timeout: duration.default("30s") }).prefault({}),
    /** How many good releases stay on the host: the live one, the one whose static files pages still ask for, and more. */
    keep: z.int().min(2).max(100).default(5),
    /** How long the old release's instances stay up after the cutover, for a rollback without a start. */
    keep_warm: duration.default("60s"),
    /** How long a release is followed after the cutover; the old instances stay up at least as long. 0s: not at all. */
    watch: duration.default("30s"),
    /** What not to pack, in the syntax of .gitignore, beside .git, caches and virtual environments. */
    exclude: z.array(plain(1024)).max(256).default([]),
  })
  .superRefine((config, context) => {
    const places = [
      ...config.static.map(({ url }, index) => ({ url, path: ["static", index, "url"] })),
      ...config.shared.map(({ url }, index) => ({ url, path: ["shared", index, "url"] })),
    ];
    const urls = places.map(({ url }) => url);
    for (const [index, { url, path }] of places.entries()) {
      if (urls.indexOf(url) !== index) context.addIssue({ code: "custom", path, message: `${url} stands twice` });
    }
  });

export type Config = z.output<typeof configSchema>;

/** The site's options: nginx's server block is cutover's unless `site` is none, and then the upstream still has defaults. */
export function siteOf({ site }: Pick<Config, "site">): Site {
  return site === "none" ? siteSchema.parse({}) : site;
}

/** Whether a status is among those that `health.expect` names. */
export function statusExpected(expect: string, status: number): boolean {
  const [low, high] = expect.split("-").map(Number);
  return low !== undefined && status >= low && status <= (high ?? low);
}
