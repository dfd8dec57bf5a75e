import { z } from "zod";
import { duration } from "./duration.ts";
import { appName } from "./names.ts";

/**
 * The definition of cutover.yml. What is parsed is also what the manifest carries, so parsing a checked configuration
 * again gives the same one: no transforms, only checks and defaults. Names are nginx's, supervisor's and gunicorn's own.
 */

const plain = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused here
    .regex(/^[^\u0000-\u001f\u007f]*$/, "no newline or other control character");

/** Split into words as a shell would, but never given to a shell. A list is taken word by word as it stands. */
const command = z.union([plain(4096), z.array(plain(4096)).min(1).max(256)]);

const relativePath = plain(1024).regex(
  /^(?!\/)(?!.*(?:^|\/)\.\.(?:\/|$))(?!.*\\).*$/,
  "a path inside the project, without ..",
);

const urlPath = plain(1024).regex(/^\/[^\s"'\\$;{}<>#]*$/, "a URL path that starts with /");

/** A host name as nginx's server_name takes it, without its regular expressions and variables. */
export const serverName = z
  .string()
  .max(253)
  .regex(/^(?:_|(?:\*\.)?[a-z0-9-]+(?:\.[a-z0-9-]+)*)$/, "a host name in lower case, or *.example.com");

const port = z.int().min(1).max(65535);

/** A port, or address:port as nginx's listen takes them. */
export const listenAddress = z.union([
  port,
  z.string().regex(/^(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:]+\]|localhost):\d{1,5}$/, "a port, or address:port"),
]);

const server = z.strictObject({
  kind: z.enum(["gunicorn", "command"]),
  /** Where the WSGI callable is: package.module:attribute. */
  app: plain(255)
    .regex(/^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*(?:\(.*\))?$/, "module:attribute, such as shop.wsgi:application")
    .optional(),
  /** For kind `command`; {socket}, {instance} and {workers} are replaced. */
  command: command.optional(),
  /** Supervised processes; each is an upstream member. */
  instances: z.int().min(1).max(60).default(2),
  /** Worker processes inside one instance. */
  workers: z.int().min(1).max(64).default(2),
  threads: z.int().min(1).max(128).default(1),
  bind: z.enum(["socket"]).default("socket"),
});

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

const staticFiles = z.strictObject({
  url: plain(255).regex(
    /^\/(?:(?!\.{1,2}\/)[A-Za-z0-9._~-]+\/)+$/,
    "a URL path such as /static/, with a slash at both ends and no .. in it",
  ),
  /** Run by the Action in the project before packing. */
  collect: command.optional(),
  /** The folder, inside the project, that holds the files. */
  from: relativePath,
  expires: z.union([duration, z.enum(["max", "off"])]).default("off"),
});

const site = z.strictObject({
  /** Addresses that nginx listens on, among those the host allows; all of those unless given. */
  listen: z.array(listenAddress).min(1).max(16).optional(),
  server_name: z.array(serverName).min(1).max(64).optional(),
  client_max_body_size: z
    .string()
    .regex(/^\d{1,6}[kmg]?$/, "a size such as 50m")
    .default("50m"),
  balance: z.enum(["round_robin", "ip_hash", "least_conn", "url_hash"]).default("round_robin"),
});

export const environmentName = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "letters, digits and _, and no digit first");

const environmentValue = z
  .string({ error: "a text; put numbers and yes/no in quotes" })
  .max(65536)
  .refine((value) => !value.includes("\0"), "no NUL character");

export const configSchema = z
  .strictObject({
    app: appName,
    server,
    health: health.prefault({}),
    python: python.prefault({}),
    static: z.array(staticFiles).max(16).default([]),
    site: site.prefault({}),
    /** Run once for a deploy, on the first host, before any instance of the release starts. */
    release: z.strictObject({ command, timeout: duration.default("10m") }).optional(),
    env: z.record(environmentName, environmentValue).default({}),
    drain: z.strictObject({ timeout: duration.default("30s") }).prefault({}),
    /** How many good releases stay on the host: the live one, the one whose static files pages still ask for, and more. */
    keep: z.int().min(2).max(100).default(5),
    /** How long the old release's instances stay up after the cutover, for a rollback without a start. */
    keep_warm: duration.default("60s"),
    /** What not to pack, in the syntax of .gitignore, beside .git, caches and virtual environments. */
    exclude: z.array(plain(1024)).max(256).default([]),
  })
  .superRefine((config, context) => {
    const { kind, app, command } = config.server;
    if (kind === "gunicorn" && app === undefined) {
      context.addIssue({
        code: "custom",
        path: ["server"],
        message: "kind gunicorn needs `app`, such as shop.wsgi:application",
      });
    }
    if (kind === "gunicorn" && command !== undefined) {
      context.addIssue({ code: "custom", path: ["server", "command"], message: "only kind command takes `command`" });
    }
    if (kind === "command") {
      if (command === undefined) {
        context.addIssue({ code: "custom", path: ["server"], message: "kind command needs `command`" });
      } else if (![command].flat().some((word) => word.includes("{socket}"))) {
        context.addIssue({
          code: "custom",
          path: ["server", "command"],
          message: "must contain {socket}, the path that the instance listens on",
        });
      }
    }
    const urls = config.static.map(({ url }) => url);
    for (const [index, url] of urls.entries()) {
      if (urls.indexOf(url) !== index) {
        context.addIssue({ code: "custom", path: ["static", index, "url"], message: `${url} stands twice` });
      }
    }
  });

export type Config = z.output<typeof configSchema>;

/** Whether a status is among those that `health.expect` names. */
export function statusExpected(expect: string, status: number): boolean {
  const [low, high] = expect.split("-").map(Number);
  return low !== undefined && status >= low && status <= (high ?? low);
}
