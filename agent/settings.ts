import { availableParallelism } from "node:os";
import { z } from "zod";
import { peer } from "../shared/config-site.ts";
import { listenAddress, plain, port, serverAddress, serverName } from "../shared/config-values.ts";
import { manifestLimits } from "../shared/manifest.ts";
import { trusted } from "./settings-trust.ts";
import {
  access,
  acme,
  githubDotCom,
  githubIssuer,
  hostPath,
  isLoopback,
  network,
  networkAddress,
  portRange,
  publicPage,
  tlsFile,
  tlsFiles,
  userName,
  webhook,
} from "./settings-values.ts";

/** As a URL has it between // and the path, in lower case: another text is no caller's name for this agent. */
function isAuthority(name: string): boolean {
  return ["http", "https"].some((scheme) => URL.parse(`${scheme}://${name}`)?.host === name);
}

const authorityForm = "a host name or address with its port as in the URL, such as web1.example.com:7070";

/** agent.yml: what the host's owner says about the agent. Everything has a default for a Debian host. */
const agentSettings = z.strictObject({
  listen: z
    .string()
    .regex(networkAddress, "address:port")
    .default("127.0.0.1:7070")
    .describe("Where the agent listens for the Action and curl."),
  names: z.array(z.string().min(1).refine(isAuthority, authorityForm)).default([]).meta({
    description: "The names by which callers know this agent, as in their URL. A token names one of them.",
    absent: "the `listen` address",
  }),
  tls: z
    .strictObject({
      certificate: tlsFile.describe(
        "The certificate with its chain: a PEM file, or the name of a systemd credential. See [the way to the agent](http/README.md#the-way-to-the-agent).",
      ),
      key: tlsFile.describe("Its key, likewise. Without both the agent speaks plain HTTP."),
    })
    .optional(),
  insecure: z.boolean().default(false).describe("Allow plain HTTP on addresses beyond this host."),
  allow: z.array(network).default([]).meta({
    description: "From where connections to `listen` are accepted: addresses and networks such as `10.0.0.0/8`.",
    absent: "from everywhere",
  }),
  trusted_proxies: z.array(network).max(256).default([]).meta({
    description:
      "What stands in front of nginx, such as a load balancer: `[10.0.0.5, 10.1.0.0/16]`. What these say of a visitor's address and protocol is believed: see [behind a load balancer](host/nginx/README.md#behind-a-load-balancer).",
    absent: "none: what visitors say of themselves reaches no app",
  }),
  proxy_protocol: z.array(port).max(64).default([]).meta({
    description: "The ports of nginx at which they speak the PROXY protocol (version 1 or 2): `[80, 443]`.",
    absent: "none",
  }),
  data: z
    .string()
    .default("/var/lib/cutover")
    .describe(
      "The directory of releases, environments and state: no link, and on a file system with access control lists.",
    ),
  socket: z.string().default("/run/cutover/agent.sock").describe("The admin socket, for commands on this host."),
  helper: z
    .string()
    .default("/run/cutover-helper.sock")
    .describe("The helper's socket, for an agent that is not root: see [two processes](#two-processes)."),
  agent_user: userName
    .default("cutover-agent")
    .describe("The user that the agent runs as when there is a helper. The helper answers only this user and root."),
  build_user: userName
    .default("cutover-build")
    .describe(
      "The user that builds run as where there is no systemd, which makes one for each build. Nothing else may run as this user.",
    ),
  supervisor: z
    .strictObject({
      socket: z.string().default("/run/supervisor.sock").describe("supervisord's socket."),
      conf_dir: z
        .string()
        .default("/etc/supervisor/conf.d")
        .describe("A directory that supervisord's configuration includes."),
    })
    .prefault({}),
  nginx: z
    .strictObject({
      binary: z.string().default("nginx").describe("nginx, or another build of it such as OpenResty."),
      conf_dir: z.string().default("/etc/nginx/conf.d").describe("A directory that nginx's configuration includes."),
      conf: z.string().optional().meta({ description: "The main configuration file.", absent: "the binary's own" }),
      prefix: z.string().optional().meta({
        description: "The prefix: where relative paths in the configuration start.",
        absent: "the binary's own",
      }),
      log_dir: hostPath
        .default("/var/log/nginx")
        .describe("Where each app gets its access log and its error log. It must exist."),
      group: z.string().default("www-data").describe("The group of nginx's workers, which must reach the sockets."),
      http3: z
        .boolean()
        .default(false)
        .describe(
          "Sites with TLS speak HTTP/3 as well, if nginx does: see [HTTP/3](host/nginx/README.md#http3) for what the host needs.",
        ),
    })
    .prefault({}),
  python_path: z
    .array(z.string())
    .default(["/usr/local/bin", "/usr/bin", "/bin"])
    .describe("Where python3 and python3.X are looked for, in this order."),
  limits: z
    .strictObject({
      bundle: z
        .int()
        .min(1)
        .default(4 * 1024 ** 3)
        .describe("Bytes of a bundle's files together."),
      manifest: z
        .int()
        .min(1)
        .max(manifestLimits.bytes)
        .default(20 * 1024 ** 2)
        .describe(
          "Bytes of a bundle's list of files: some 170 for each. The agent needs several times as much memory.",
        ),
      free: z
        .int()
        .min(0)
        .default(256 * 1024 ** 2)
        .describe("Bytes of disk that stay free after unpacking. A build that leaves less than half of them is ended."),
      jobs: z.int().min(1).default(availableParallelism()).meta({
        description: "Processes that compile bytecode at the same time.",
        absent: "the number of processors",
      }),
      connections: z.int().min(1).default(512).describe("Connections from the network at the same time."),
      connections_per_address: z.int().min(1).default(128).describe("The same from one address."),
      calls_per_address: z
        .int()
        .min(1)
        .default(50)
        .describe("Calls a second from one address, on average; twice as many at once."),
      refusals_per_address: z
        .int()
        .min(1)
        .default(20)
        .describe("Refused tokens a minute from one address. After that its calls with a token are refused unread."),
      step_memory: z
        .int()
        .min(64 * 1024 ** 2)
        .default(4 * 1024 ** 3)
        .describe("Bytes of memory that a process of a build step or a release command may fill."),
      step_tasks: z
        .int()
        .min(16)
        .default(4096)
        .describe(
          "Processes and threads that a build step may have, or the app's user while a release command runs, including its instances.",
        ),
      step_file: z
        .int()
        .min(1024 ** 2)
        .default(4 * 1024 ** 3)
        .describe("Bytes of the largest file that a step may write."),
      environment: z
        .int()
        .min(1024 ** 2)
        .default(16 * 1024 ** 3)
        .describe("Bytes of a Python environment's files together."),
      environment_files: z.int().min(1000).default(500_000).describe("Files and directories of a Python environment."),
    })
    .prefault({}),
  acme: acme.prefault({}),
  github: z.array(githubIssuer).prefault([githubDotCom]).meta({
    description: "Which GitHubs sign tokens that count; the first one if an app's trust names none.",
    absent: "github.com",
  }),
  metrics: z
    .union([z.boolean(), z.string().regex(networkAddress, "true, false or address:port")])
    .default(false)
    .describe(
      "Where `GET /metrics` answers, in addition to the admin socket. `true`: with the other calls; address:port: at an address of its own. See [metrics](observe/README.md#metrics).",
    ),
  public_page: publicPage.optional(),
  webhooks: z
    .array(webhook)
    .default([])
    .describe("Who gets a message at the end of every app's deployments: see [webhooks](observe/README.md#webhooks)."),
  log_level: z.enum(["debug", "info", "warn", "error"]).default("info").describe("`debug`, `info`, `warn` or `error`."),
});

/** Also of what is no address: that has a fault of its own, and is no reason to name this one. */
const isOwnAddress = (listen: string) => !URL.canParse(`http://${listen}`) || isLoopback(new URL(`http://${listen}`));

export const agentSettingsSchema = agentSettings
  .refine(({ trusted_proxies, proxy_protocol }) => proxy_protocol.length === 0 || trusted_proxies.length > 0, {
    path: ["proxy_protocol"],
    error: "anybody could name any address: write in `trusted_proxies` who speaks the PROXY protocol",
  })
  .refine(({ listen, tls, insecure }) => tls !== undefined || insecure || isOwnAddress(listen), {
    path: ["listen"],
    error:
      "plain HTTP goes only to this host itself: write `tls`, or listen on 127.0.0.1 behind nginx; `insecure: true` says otherwise",
  });
export type AgentSettings = z.output<typeof agentSettingsSchema>;

/** apps/<app>.yml: what the host's owner says about one app. */
export const appSettingsSchema = z.strictObject({
  user: userName
    .optional()
    .describe(
      "The user that the app's processes, build steps and release commands run as. An agent that has neither root nor a helper does not use it.",
    ),
  trust: z.array(trusted).default([]).describe("Who may deploy the app: see [who may deploy](#who-may-deploy)."),
  listen: z
    .array(listenAddress)
    .min(1)
    .default([80])
    .describe(
      'Addresses that the app may listen on, and does unless its cutover.yml chooses: `[80, "443 ssl", "[::]:80"]`.',
    ),
  domains: z
    .array(z.union([serverName, z.literal("*")]))
    .default([])
    .meta({
      description: "Names that it may serve; `*.example.com` covers subdomains, `*` everything.",
      absent: "none: the default server",
    }),
  ports: z
    .union([portRange, z.array(portRange).min(1).max(16)])
    .optional()
    .meta({
      description:
        'Ports of 127.0.0.1 for instances with `bind: port`: a range such as `"9000-9099"`, or a list of ranges. See [sockets or ports](host/README.md#sockets-or-ports).',
      absent: "none: sockets only",
    }),
  listen_outside: z
    .enum(["warn", "refuse"])
    .default("warn")
    .describe(
      "What happens to a release whose instances, with `bind: port`, listen to the network and not only to this host, where visitors pass nginx by: `warn`, or `refuse`.",
    ),
  tls: z
    .union([z.literal("auto"), tlsFiles], { error: "auto, or the files `certificate` and `key`" })
    .optional()
    .meta({
      description:
        "The certificate for addresses with ssl: `auto`, or two files. See [certificates](#certificates-by-themselves).",
      absent: "none",
    }),
  acme_challenge: hostPath
    .optional()
    .describe(
      "certbot's webroot directory. Files in it under `.well-known/acme-challenge/` are served over plain HTTP, even if everything else is redirected to https, and during maintenance.",
    ),
  access: access.optional(),
  preview: z
    .array(listenAddress)
    .default([])
    .meta({ description: "Addresses that a preview may have: `[12001]`.", absent: "none" }),
  peers: z
    .array(serverAddress)
    .default([])
    .meta({ description: 'Servers that the app may pass requests to: `["10.0.0.11:8000"]`.', absent: "none" }),
  drain_path: plain(255)
    .regex(
      /^\/(?:(?!\.{1,2}(?:\/|$))[A-Za-z0-9._~-]+\/)*[A-Za-z0-9_~][A-Za-z0-9._~-]*$/,
      "a URL path such as /balancer",
    )
    .optional()
    .describe(
      "A URL path for a load balancer: 200, and 503 while the site is closed for maintenance or the host leaves (`cutover drain on`), so that it sends visitors elsewhere.",
    ),
  pass_to: z.array(peer).max(32).optional().meta({
    description:
      "Other hosts of the app to which this host's nginx passes requests as well: see [several hosts](host/nginx/README.md#several-hosts).",
    absent: "`site.peers` of cutover.yml",
  }),
  weight: z.int().min(1).max(100).optional().meta({
    description: "The weight of this host's own instances together, next to those of `pass_to`.",
    absent: "`site.weight` of cutover.yml",
  }),
  env_file: z.string().optional().meta({
    description: "The app's secrets, relative to this file: lines `NAME=value`, which override `env` of cutover.yml.",
    absent: "`<app>.env`",
  }),
  webhooks: z.array(webhook).default([]).describe("As in agent.yml, for this app's deployments."),
});
export type AppSettings = z.output<typeof appSettingsSchema> & { app: string; file: string };
