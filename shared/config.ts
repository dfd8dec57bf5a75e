import { z } from "zod";
import { serverSchema } from "./config-server.ts";
import { type Shared, type Site, sharedSchema, siteSchema, staticSchema } from "./config-site.ts";
import {
  command,
  environmentName,
  environmentValue,
  packageRequirement,
  plain,
  projectOrAbove,
  urlPath,
} from "./config-values.ts";
import { duration } from "./duration.ts";
import { appName } from "./names.ts";
import { slotCount } from "./slots.ts";
import type { YamlPath } from "./yaml-faults.ts";

/**
 * The definition of cutover.yml. What is parsed is also what the manifest carries, so parsing a checked configuration
 * again gives the same one: no transforms, only checks and defaults. Names are nginx's, supervisor's and gunicorn's own.
 */

const health = z.strictObject({
  path: urlPath.default("/").describe("The URL path that each new instance is asked for."),
  host: plain(253)
    .regex(/^[A-Za-z0-9.:[\]_-]+$/, "a host name")
    .optional()
    .meta({
      description: "The `Host` of the check; Django's `ALLOWED_HOSTS` must have it.",
      absent: "the first site name, or `health.example.com` for `*.example.com`",
    }),
  expect: z
    .string()
    .regex(/^[1-5]\d\d(?:-[1-5]\d\d)?$/, "a status or a range, such as 200-399")
    .default("200-399")
    .describe("The status, or range of statuses, that counts as healthy."),
  timeout: duration.default("30s").describe("How long a new instance has until it answers."),
});

const python = z.strictObject({
  version: z
    .string()
    .regex(/^3\.\d{1,2}$/, 'a version in quotes, such as "3.11"')
    .optional()
    .meta({
      description: 'Such as `"3.11"`, in quotes: on the runner and on the hosts.',
      absent: "what the project names, else the host's `python3`",
    }),
  wheels: z.enum(["vendor", "index", "none"]).optional().meta({
    description:
      "`vendor`: the Action packs the wheels and the host installs offline; `index`: pip on the host; `none`: nothing is installed.",
    absent: "`vendor` with requirements, else `none`",
  }),
  requirements: projectOrAbove
    .default("requirements.txt")
    .describe("The file that says what to install: see [dependencies](#dependencies)."),
  extra: z
    .array(packageRequirement)
    .max(32)
    .optional()
    .describe("Packages that are installed besides the project's own, such as a server: `[gunicorn]`."),
  system_site_packages: z.boolean().default(false).describe("Let the release see the distribution's packages."),
});

/** How the hosts of one job get a release. The Action alone does it. */
export const rolloutSchema = z.strictObject({
  parallel: z
    .union([z.int().min(1).max(1000), z.literal("all")])
    .default(1)
    .describe("How many hosts get the traffic at the same time, or `all`."),
  canary_hosts: z.int().min(0).max(1000).default(0).describe("So many hosts, the first ones, come before all others."),
  pause: duration.default("0s").describe("How long the job looks at the hosts between two waves."),
  max_failures: z
    .int()
    .min(0)
    .max(1000)
    .default(0)
    .describe(
      "So many hosts may fail: they are undone, the others go on, and the job fails in the end. With one more all go back.",
    ),
});
export type Rollout = z.output<typeof rolloutSchema>;

/** A process that serves no HTTP: a queue's worker, a scheduler. */
const process = z
  .strictObject({
    command: command.describe(
      "What runs next to the web instances, under a name of your own (`worker`). `{instance}` is `worker-0` and so on, `{run}` distinguishes the new one from the old one, `{shared}` is the app's shared directory. It runs without a shell.",
    ),
    instances: z.int().min(1).max(slotCount).default(1).describe("How many programs of it run."),
    overlap: z
      .boolean()
      .default(true)
      .describe(
        "The new one starts before the old one is asked to stop; `false`: never two at once, and one instance.",
      ),
    hosts: z.enum(["all", "first"]).optional().meta({
      description:
        "`first`: it runs on one host of the fleet, the first of the Action's `hosts`; `all`: on each of them.",
      absent: "`first` with `overlap: false`, else `all`",
    }),
    stop_signal: z
      .enum(["TERM", "INT", "QUIT", "HUP", "USR1", "USR2"])
      .default("TERM")
      .describe("The signal that asks it to stop: `TERM`, `INT`, `QUIT`, `HUP`, `USR1` or `USR2`."),
    stop_timeout: duration
      .default("60s")
      .describe("How long it may take to finish what it is working on; then it is killed."),
    stay_up: duration.default("5s").describe("How long a new one has to stay up before it counts as started."),
  })
  .superRefine(({ overlap, instances }, context) => {
    if (overlap || instances === 1) return;
    const message = "a process without overlap is there once, so it has one instance";
    context.addIssue({ code: "custom", path: ["instances"], message });
  });
export type Process = z.output<typeof process>;

/** Whether a process runs on the first host of a fleet alone, such as a scheduler. */
export function onFirstHost({ hosts, overlap }: Pick<Process, "hosts" | "overlap">): boolean {
  return hosts === undefined ? !overlap : hosts === "first";
}
/** None of the keys has a default here: a manifest that names none of them is one that older agents accept. */
const judge = z.strictObject({
  errors: z
    .string()
    .regex(/^(?:100|[1-9]?\d(?:\.\d{1,2})?)%$/, 'a share of the requests, such as "1%"')
    .refine((text) => Number.parseFloat(text) > 0, "more than 0%")
    .optional()
    .meta({
      description: "How much more of the requests must answer 5xx than with the release before.",
      absent: "`1%`",
    }),
  latency: z
    .string()
    .regex(/^\d{1,3}(?:\.\d{1,2})?x$/, 'how many times as long, such as "2x"')
    .refine((text) => Number.parseFloat(text) > 1, "more than 1x")
    .optional()
    .meta({
      description: "How many times as long requests must take: half of them, or the slowest 5 % of them.",
      absent: "`2x`",
    }),
  confidence: z
    .string()
    .regex(/^(?:[5-9]\d)(?:\.\d{1,3})?%$/, 'from 50% to 99.999%, such as "99%"')
    .optional()
    .meta({
      description:
        "How sure that must be: with `99%`, at most one of a hundred releases that are no worse is taken back.",
      absent: "`99%`",
    }),
  requests: z.int().min(10).max(1_000_000).optional().meta({
    description: "How many requests each of the two releases needs. With fewer nothing is judged.",
    absent: "`50`",
  }),
});

export const processName = z
  .string()
  .regex(/^(?!web$)[a-z][a-z0-9-]{0,31}$/, "a name of lower-case letters, digits and -, other than web");

export const configSchema = z
  .strictObject({
    app: appName.describe("The app's name on the hosts: a-z, 0-9 and -, up to 32 characters."),
    server: serverSchema.describe("The web server and its instances."),
    health: health.prefault({}).describe("What each new instance is asked before visitors see the release."),
    python: python.prefault({}).describe("The interpreter and the packages of a release."),
    static: z.array(staticSchema).max(16).default([]).describe("Files that nginx serves without asking the app."),
    shared: z
      .array(sharedSchema)
      .max(16)
      .default([])
      .describe("Files that outlive releases, such as uploads and an SQLite file."),
    site: z
      .union([z.literal("none"), siteSchema])
      .prefault({})
      .describe(
        "nginx's server block: the keys below, or `none` if the server block is your own: see [your own server block](../agent/host/README.md#your-own-server-block).",
      ),
    release: z
      .strictObject({
        command: command.describe(
          "A command, such as migrations, that runs once for a deploy, on the first host, before any instance starts. `{shared}` is the app's shared directory.",
        ),
        timeout: duration.default("10m").describe("Its time limit."),
      })
      .optional()
      .describe("What runs once for a deploy, before any instance starts."),
    processes: z
      .record(processName, process)
      .default({})
      .describe("Processes that serve no HTTP, such as queue workers, by name."),
    rollout: rolloutSchema
      .optional()
      .describe("How several hosts get a release: see [waves](../action/README.md#waves)."),
    env: z
      .record(environmentName, environmentValue)
      .default({})
      .describe("Plain environment of instances and commands. The host's secrets override it."),
    drain: z
      .strictObject({ timeout: duration.default("30s").describe("How long old instances may finish requests.") })
      .prefault({})
      .describe("How old instances end."),
    keep: z
      .int()
      .min(2)
      .max(100)
      .default(5)
      .describe("Good releases that stay on the host, at least 2. At most as many that were rolled back stay too."),
    keep_warm: duration
      .default("60s")
      .describe("How long the old instances stay up after the cutover. They stay up at least as long as `watch`."),
    watch: duration
      .default("30s")
      .describe(
        "How long the new instances are watched after the cutover. If they fail, the traffic goes back; `0s`: no watch. On a busy site it ends early if visitors fare well.",
      ),
    judge: z
      .union([z.literal("off"), judge])
      .optional()
      .describe(
        "When a release is taken back because its visitors' requests fail or became slow: the keys below, or `off`: see [the judge](../agent/judge/README.md).",
      ),
    exclude: z
      .array(plain(1024))
      .max(256)
      .default([])
      .describe(
        "What not to pack, as in .gitignore. `.git`, caches and virtual environments are left out too, unless a leading `!` includes one again.",
      ),
  })
  .superRefine((config, context) => {
    const places = [
      ...config.static.flatMap(({ url, except }, index) => [
        { url, path: ["static", index, "url"] },
        ...except.map((one, at) => ({ url: one, path: ["static", index, "except", at] })),
      ]),
      ...config.shared.flatMap(({ url }, index) =>
        url === undefined ? [] : [{ url, path: ["shared", index, "url"] }],
      ),
    ];
    const urls = places.map(({ url }) => url);
    for (const [index, { url, path }] of places.entries()) {
      if (urls.indexOf(url) !== index) context.addIssue({ code: "custom", path, message: `${url} is given twice` });
    }
    for (const fault of linkFaults(config)) context.addIssue({ code: "custom", ...fault });
  });

/** A link can neither lie in what another link replaces, nor in a folder of static files, which is a link too. */
function linkFaults(config: { shared: Shared[]; static: { from: string }[] }): { path: YamlPath; message: string }[] {
  const folders = config.static.map(({ from }) => from.replace(/^\.\//, "").replace(/\/*$/, "/"));
  return config.shared.flatMap(({ path }, index) => {
    if (path === undefined) return [];
    const own = `${path.replace(/\/$/, "")}/`;
    const others = config.shared.flatMap((other, at) =>
      at === index || other.path === undefined ? [] : [`${other.path.replace(/\/$/, "")}/`],
    );
    const above = [...folders, ...others].find((other) => own.startsWith(other) || other.startsWith(own));
    if (above === undefined) return [];
    return [{ path: ["shared", index, "path"], message: `overlaps ${above.slice(0, -1)}, which is a link too` }];
  });
}

export type Config = z.output<typeof configSchema>;

/** The site's options. With `site: none` the server block is not cutover's, but the upstream still has these defaults. */
export function siteOf({ site }: Pick<Config, "site">): Site {
  return site === "none" ? siteSchema.parse({}) : site;
}

/** Whether a status is among those that `health.expect` names. */
export function statusExpected(expect: string, status: number): boolean {
  const [low, high] = expect.split("-").map(Number);
  return low !== undefined && status >= low && status <= (high ?? low);
}
