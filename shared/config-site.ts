import { z } from "zod";
import {
  command,
  expires,
  folderUrl,
  listenAddress,
  plain,
  relativePath,
  serverAddress,
  serverName,
  size,
} from "./config-values.ts";
import { duration } from "./duration.ts";

/** A path that nginx is told: it has no escape for a variable's $. */
const servedPath = relativePath.regex(/^[^$]*$/, "no $, which nginx would read as a variable");

export const staticSchema = z.strictObject({
  url: folderUrl,
  /** Run by the Action in the project before packing. */
  collect: command.optional(),
  /** The folder, inside the project, that holds the files. */
  from: relativePath,
  expires: expires.default("off"),
  /** Names that carry a hash of their content (12 hex digits or more) may be kept for a year without asking again. */
  immutable: z.boolean().default(true),
  /** Serve name.gz, where it lies beside name, to who takes gzip. */
  gzip_static: z.boolean().default(false),
});

/** Files that outlive releases, such as uploads: below `shared/` on the host. */
export const sharedSchema = z.strictObject({
  url: folderUrl,
  /** The folder below shared/. */
  from: servedPath,
  expires: expires.default("off"),
});

/** What nginx takes inside double quotes as it stands, but for the quote and the backslash, which are escaped. */
const headerValue = plain(4000)
  .regex(/^[^$]*$/, "no $, which nginx would read as a variable")
  // nginx reads its files through a buffer of 4,096 bytes, which has to hold the whole value.
  .refine((value) => Buffer.byteLength(value.replace(/["\\]/g, "\\$&")) <= 4000, "longer than nginx can read");

const preview = z.strictObject({
  /** An address of its own, among those that the host allows. */
  listen: listenAddress.optional(),
  /** name=value: who sends this cookie sees the staged release on the ordinary address. */
  cookie: z
    .string()
    .regex(/^[a-z][a-z0-9_]{0,63}=[A-Za-z0-9_-]{1,128}$/, "name=value, such as preview=blue")
    .optional(),
  /** Name: value: likewise with a request header. */
  header: z
    .string()
    .regex(/^[A-Za-z][A-Za-z0-9-]{0,63}: [A-Za-z0-9_-]{1,128}$/, 'Name: value, such as "X-Preview: blue"')
    .optional(),
});

const peer = z.strictObject({
  /** Another host's instance or nginx, among those that the host allows. */
  server: serverAddress,
  /** Beside the weight of this host's instances together, which is `site.weight`. */
  weight: z.int().min(1).max(100).default(1),
  /** Asked only when nothing here answers. */
  backup: z.boolean().default(false),
});

export const siteSchema = z
  .strictObject({
    /** Addresses that nginx listens on, among those the host allows; all of those unless given. */
    listen: z.array(listenAddress).min(1).max(16).optional(),
    server_name: z.array(serverName).min(1).max(64).optional(),
    /** Where the site listens with ssl, requests without it are sent there. */
    https_redirect: z.boolean().default(true),
    client_max_body_size: size.default("50m"),
    client_body_timeout: duration.default("60s"),
    /** For uwsgi these three are uwsgi_connect_timeout and so on. */
    proxy_connect_timeout: duration.default("60s"),
    proxy_read_timeout: duration.default("60s"),
    proxy_send_timeout: duration.default("60s"),
    proxy_buffering: z.boolean().default(true),
    proxy_request_buffering: z.boolean().default(true),
    /** The error page also replaces what the app itself answers with 500 and above. */
    proxy_intercept_errors: z.boolean().default(false),
    /** Pass WebSocket upgrades on. */
    upgrade: z.boolean().default(false),
    /** Compress text of 1 kB and more. */
    gzip: z.boolean().default(false),
    /** Headers that every response gets. */
    add_header: z.record(z.string().regex(/^[A-Za-z][A-Za-z0-9-]{0,127}$/, "a header's name"), headerValue).default({}),
    /** A page of the project, shown for 502, 503 and 504; cutover's own unless given. */
    error_page: servedPath.optional(),
    access_log: z.boolean().default(true),
    balance: z.enum(["round_robin", "ip_hash", "least_conn", "url_hash"]).default("round_robin"),
    /** This host's instances together, beside the weights of `peers`. */
    weight: z.int().min(1).max(100).default(1),
    peers: z.array(peer).max(32).default([]),
    preview: preview.optional(),
  })
  .superRefine(({ balance, peers, preview, listen }, context) => {
    const fault = (path: (string | number)[], message: string) => context.addIssue({ code: "custom", path, message });
    for (const [index, { backup }] of peers.entries()) {
      if (backup && balance !== "round_robin" && balance !== "least_conn") {
        fault(["peers", index, "backup"], `nginx has no backup servers with \`balance: ${balance}\``);
      }
    }
    if (preview !== undefined && Object.values(preview).every((way) => way === undefined)) {
      fault(["preview"], "needs `listen`, `cookie` or `header`");
    }
    const previewPort = preview?.listen === undefined ? undefined : portOf(preview.listen);
    if (previewPort !== undefined && listen?.some((address) => portOf(address) === previewPort)) {
      fault(["preview", "listen"], "is an address of the site itself");
    }
  });
export type Site = z.output<typeof siteSchema>;

/** The port of an address as `listen` takes it. */
export function portOf(address: string | number): number {
  return Number(/(\d+)(?: ssl)?$/.exec(String(address))?.[1]);
}
