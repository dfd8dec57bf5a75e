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
  staticUrl,
} from "./config-values.ts";
import { accessLog, hsts, redirects, requestLimit } from "./config-visits.ts";
import { duration } from "./duration.ts";

/** A path in nginx's configuration, which has no escape for the $ of a variable. */
const servedPath = relativePath.regex(/^[^$]*$/, "no $, which nginx would read as a variable");

const staticFields = z.strictObject({
  url: staticUrl.describe(
    "The URL path: of a folder, such as `/static/`, of one file, such as `/favicon.ico`, or `/`: what is no file goes to the app.",
  ),
  collect: command
    .optional()
    .describe("The command that collects the files. The Action runs it in the project before packing."),
  from: relativePath.describe("The folder in the project that holds the files, or the file."),
  fallback: servedPath
    .optional()
    .describe(
      "For a single-page app: the file below `from`, such as `index.html`, that is shown wherever there is no other. With `/` as `url` the app gets what `except` names.",
    ),
  except: z
    .array(folderUrl)
    .max(16)
    .default([])
    .describe("URL paths below `url` that go to the app all the same: `[/api/, /admin/]`."),
  expires: expires.default("off").describe("nginx's `expires`: a duration, `max` or `off`."),
  immutable: z
    .boolean()
    .default(true)
    .describe(
      "Browsers may keep files with 12 or more hex digits before the extension, such as `app.1a2b3c4d5e6f.css`, for a year without asking again.",
    ),
  gzip_static: z
    .boolean()
    .default(false)
    .describe(
      "Serve `name.gz`, if it is next to `name`, to clients that accept gzip. Refused if the host's nginx cannot do it.",
    ),
});

export const staticSchema = staticFields.superRefine(({ url, fallback, except }, context) => {
  const fault = (path: (string | number)[], message: string) => context.addIssue({ code: "custom", path, message });
  if (!url.endsWith("/") && fallback !== undefined) fault(["fallback"], "is for folders, and `url` is one file");
  for (const [index, one] of except.entries()) {
    if (!one.startsWith(url) || one === url) fault(["except", index], `does not lie below ${url}`);
  }
});

/** A file, or with a slash at its end a folder, of the project. */
const linkedPath = plain(255).regex(
  /^(?!\.cutover\/)(?:(?!\.{1,2}(?:\/|$))[^/\\$]+\/)*(?!\.{1,2}$)[^/\\$]+\/?$/,
  "a file or a folder of the project, such as db.sqlite3 or media/",
);

/** Files that outlive releases, such as uploads: below `shared/` on the host. */
export const sharedSchema = z
  .strictObject({
    path: linkedPath
      .optional()
      .describe(
        "A file of the project that the app writes, such as `db.sqlite3`, or a folder, such as `media/`: in each release it is a link into the app's shared directory. What the project has there is the start.",
      ),
    url: folderUrl
      .optional()
      .describe(
        "The URL path at which nginx serves the files, such as `/media/`. Without it nginx serves nothing of them.",
      ),
    from: servedPath.optional().meta({
      description:
        "The place below the app's shared directory (`CUTOVER_SHARED`). nginx follows a symlink there only to a file of the same owner.",
      absent: "`path`",
    }),
    expires: expires.default("off").describe("As for static files."),
    internal: z
      .boolean()
      .default(false)
      .describe(
        "Only for the app's answers: nginx sends the file that `X-Accel-Redirect` names, and visitors who ask for it get 404.",
      ),
  })
  .superRefine(({ path, url, from, internal }, context) => {
    const fault = (key: string[], message: string) => context.addIssue({ code: "custom", path: key, message });
    if (path === undefined && url === undefined) fault([], "needs `path`, `url` or both");
    else if (path === undefined && from === undefined)
      fault([], "needs `from`, or the `path` of a folder of the project");
    if (internal && url === undefined) fault(["internal"], "needs `url`");
    if (path !== undefined && url !== undefined && !path.endsWith("/")) {
      fault(["path"], "must end with / where nginx serves it: it is a folder");
    }
  });
export type Shared = z.output<typeof sharedSchema>;

/** Where a shared file or folder lies below the app's shared directory, without a slash at its end. */
export function sharedPlace({ path = "", from = path }: Pick<Shared, "path" | "from">): string {
  return from.replace(/\/+$/, "");
}

/** What is a link in each release: its path in the project, and where it leads below the shared directory. */
export interface LinkedPath {
  path: string;
  place: string;
  /** A folder, which is made if the project does not have it. */
  folder: boolean;
}

export function linkedPaths(shared: readonly Shared[]): LinkedPath[] {
  return shared.flatMap((one) =>
    one.path === undefined
      ? []
      : [{ path: one.path.replace(/\/$/, ""), place: sharedPlace(one), folder: one.path.endsWith("/") }],
  );
}

/** Where a bundle has what the project has at its linked paths, below `app/`. No file of a project lies there. */
export const seedFolder = ".cutover/seed";

/** What nginx accepts unchanged inside double quotes, except the quote and the backslash, which are escaped. */
const headerValue = plain(4000)
  .regex(/^[^$]*$/, "no $, which nginx would read as a variable")
  // nginx reads its files through a buffer of 4,096 bytes, which must hold the whole value.
  .refine((value) => Buffer.byteLength(value.replace(/["\\]/g, "\\$&")) <= 4000, "longer than nginx can read");

const preview = z.strictObject({
  listen: listenAddress
    .optional()
    .describe("An address of its own for the staged release, among those the host allows for previews."),
  cookie: z
    .string()
    .regex(/^[a-z][a-z0-9_]{0,63}=[A-Za-z0-9_-]{1,128}$/, "name=value, such as preview=blue")
    .optional()
    .describe("`name=value`: a client that sends this cookie sees the staged release at the site's own address."),
  header: z
    .string()
    .regex(/^[A-Za-z][A-Za-z0-9-]{0,63}: [A-Za-z0-9_-]{1,128}$/, 'Name: value, such as "X-Preview: blue"')
    .optional()
    .describe('`"Name: value"`: the same with a request header.'),
});

export const peer = z.strictObject({
  server: serverAddress.describe(
    "host:port of another host's instance or nginx, among those the host allows. It speaks the same protocol.",
  ),
  weight: z.int().min(1).max(100).default(1).describe("Its weight, next to `site.weight`."),
  backup: z
    .boolean()
    .default(false)
    .describe("Asked only when nothing else answers. Not with `ip_hash` and `url_hash`."),
});

export const siteSchema = z
  .strictObject({
    listen: z.array(listenAddress).min(1).max(16).optional().meta({
      description:
        'Ports, or address:port, with ` ssl` after it for TLS (`"443 ssl"`), among those the host allows, written as there.',
      absent: "all that the host allows",
    }),
    server_name: z
      .array(serverName)
      .min(1)
      .max(64)
      .optional()
      .meta({ description: "Names, among those the host allows.", absent: "the host's domains" }),
    https_redirect: z.boolean().default(true).describe("If an address has ssl, the others answer 301 to https."),
    client_max_body_size: size.default("50m").describe("As in nginx; `0` is no limit."),
    client_body_timeout: duration.default("60s").describe("As in nginx."),
    proxy_connect_timeout: duration
      .default("60s")
      .describe("As in nginx. With the uwsgi protocol these are `uwsgi_connect_timeout` and so on."),
    proxy_read_timeout: duration.default("60s").describe("How long an instance may send nothing."),
    proxy_send_timeout: duration.default("60s").describe("How long an instance may accept nothing."),
    proxy_buffering: z
      .boolean()
      .default(true)
      .describe("`false`: what an instance writes goes to the visitor at once."),
    proxy_request_buffering: z
      .boolean()
      .default(true)
      .describe(
        "`false`: an instance gets an upload while it comes in. Such an upload ends with the release that it began with.",
      ),
    proxy_intercept_errors: z
      .boolean()
      .default(false)
      .describe("The error page also replaces what the app itself answers with 500 and above."),
    upgrade: z.boolean().default(false).describe("Pass WebSocket upgrades on."),
    gzip: z
      .boolean()
      .optional()
      .meta({ description: "Compress text of 1 kB and more.", absent: "what the host's nginx.conf says" }),
    add_header: z
      .record(z.string().regex(/^[A-Za-z][A-Za-z0-9-]{0,127}$/, "a header's name"), headerValue)
      .default({})
      .describe("Names and values of headers that every response gets, also errors and files."),
    error_page: servedPath.optional().meta({
      description:
        "A page of the project. It is shown with the original status for 502, 503, 504 and during maintenance.",
      absent: "cutover's own",
    }),
    access_log: accessLog,
    redirects,
    hsts,
    limit_req: requestLimit,
    balance: z
      .enum(["round_robin", "ip_hash", "least_conn", "url_hash"])
      .default("round_robin")
      .describe("`round_robin`, `ip_hash`, `least_conn` or `url_hash`."),
    weight: z
      .int()
      .min(1)
      .max(100)
      .default(1)
      .describe("The weight of this host's instances together, next to the weights of `peers`."),
    peers: z
      .array(peer)
      .max(32)
      .default([])
      .describe(
        "Other hosts that nginx passes requests to as well, unless the host's file says that with `pass_to`: see [several hosts](../agent/host/nginx/README.md#several-hosts).",
      ),
    preview: preview.optional().describe("How the staged release is seen before it has traffic."),
  })
  .superRefine(({ balance, peers, preview, listen, redirects, server_name: names }, context) => {
    const fault = (path: (string | number)[], message: string) => context.addIssue({ code: "custom", path, message });
    for (const [index, { backup }] of peers.entries()) {
      if (backup && balance !== "round_robin" && balance !== "least_conn") {
        fault(["peers", index, "backup"], `nginx has no backup servers with \`balance: ${balance}\``);
      }
    }
    for (const [name, target] of Object.entries(redirects)) {
      if (Object.hasOwn(redirects, target)) fault(["redirects", name], `leads to ${target}, which is sent on too`);
      else if (names?.includes(name)) fault(["redirects", name], "stands in `server_name` too");
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
