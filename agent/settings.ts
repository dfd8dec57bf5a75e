import { BlockList, isIP } from "node:net";
import { availableParallelism } from "node:os";
import { z } from "zod";
import { listenAddress, serverAddress, serverName } from "../shared/config-values.ts";
import { duration } from "../shared/duration.ts";

/** A file or a directory of the host that nginx is told. */
const hostPath = z
  .string()
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused here
  .regex(/^\/[^\u0000-\u001f\u007f$"'\\]*$/, "an absolute path without $, quotes and backslashes");

/** On the network where the agent listens: `address:port`. */
const networkAddress = /^(?:\[[0-9a-f:]+\]|[^:\s]+):\d{1,5}$/;

export function isLoopback({ hostname }: URL): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

/** Never shown in a message: a chat's address is all that it takes to write there. */
const webhookUrl = z.string().refine((text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol), {
  error: "an https:// address",
});

/** Who is told how deployments ended. */
const webhook = z
  .strictObject({
    url: webhookUrl.optional().describe("The address: https, and plain http only to this host."),
    url_file: hostPath
      .optional()
      .describe(
        "Instead of `url`: the absolute path of a file that holds the address. For an address that is a secret.",
      ),
    kind: z
      .enum(["json", "slack"])
      .default("json")
      .describe('`json`: the deployment; `slack`: a message as `{"text"}`.'),
    events: z
      .array(z.enum(["succeeded", "staged", "failed", "aborted"]))
      .min(1)
      // The Action stages each release before it activates it, which is of interest to few.
      .default(["succeeded", "failed", "aborted"])
      .describe("Which ends of a deployment are sent: of those and `staged`."),
    secret_file: hostPath
      .optional()
      .describe("The absolute path of a file with a secret. What is sent is signed with it."),
    insecure: z.boolean().default(false).describe("Plain http to other hosts too."),
  })
  .refine(({ url, url_file }) => (url === undefined) !== (url_file === undefined), {
    error: "needs either url or url_file",
  })
  .refine(({ url, insecure }) => url === undefined || insecure || !isPlain(url), {
    path: ["url"],
    error: "plain http goes only to this host itself, unless `insecure: true` says otherwise",
  });
export type Webhook = z.output<typeof webhook>;

function isPlain(url: string): boolean {
  return URL.canParse(url) && new URL(url).protocol === "http:" && !isLoopback(new URL(url));
}

/** An address whose answer is believed: nobody on the way may change it, unless there is no way. */
const trustedUrl = z.string().refine((text) => URL.canParse(text) && isTrusted(new URL(text), text), {
  error: "an https:// address without user, query and slash at its end; plain http only to this host itself",
});

function isTrusted(url: URL, text: string): boolean {
  const secure = url.protocol === "https:" || (url.protocol === "http:" && isLoopback(url));
  return secure && url.username === "" && url.password === "" && !/[?#]|\/$/.test(text);
}

/** A GitHub whose ID tokens count where an app trusts one of its repositories. A token never says where its keys are. */
const githubIssuer = z.strictObject({
  issuer: trustedUrl.describe(
    "`iss` of its tokens, exactly. GHES: `https://HOST/_services/token`; GHE.com: `https://token.actions.SUBDOMAIN.ghe.com`.",
  ),
  jwks: trustedUrl
    .optional()
    .meta({ description: "Where its public keys are.", absent: "the issuer with `/.well-known/jwks`" }),
  server: trustedUrl.describe("Where a run's page is, for people."),
  keys_age: duration.default("3d").describe("How long its keys are used while the issuer cannot be reached."),
});
export type GithubIssuer = z.output<typeof githubIssuer>;

const githubDotCom = { issuer: "https://token.actions.githubusercontent.com", server: "https://github.com" } as const;
const userName = z.string().regex(/^[a-z_][a-z0-9_-]{0,31}$/, "a user of this host");
/** An absolute path, or the name of a credential that systemd gives to the agent's unit. */
const tlsFile = z
  .string()
  .regex(/^(?:\/.+|[A-Za-z0-9._-]{1,255})$/, "an absolute path, or the name of a systemd credential of the unit")
  .refine((text) => text !== "." && text !== "..", { error: "the name of a file" });

/** An address or a network, as `10.0.0.0/8` and `2001:db8::/32`. */
const network = z.string().refine((text) => networkOf(text) !== undefined, {
  error: "an IPv4 or IPv6 address, or a network such as 10.0.0.0/8",
});

function networkOf(text: string): { address: string; prefix: number; family: "ipv4" | "ipv6" } | undefined {
  const [, address = "", length] = /^([0-9a-fA-F:.]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const version = isIP(address);
  const longest = version === 4 ? 32 : 128;
  const prefix = length === undefined ? longest : Number(length);
  if (version === 0 || prefix > longest) return undefined;
  return { address, prefix, family: version === 4 ? "ipv4" : "ipv6" };
}

/** Tells whether an address may reach the agent; every one may where the list is empty. */
export function allowedAddresses(allow: readonly string[]): (address: string) => boolean {
  if (allow.length === 0) return () => true;
  const listed = new BlockList();
  for (const text of allow) {
    const found = networkOf(text);
    if (found !== undefined) listed.addSubnet(found.address, found.prefix, found.family);
  }
  return (address) => listed.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");
}

/** agent.yml: what the host's owner says about the agent. Everything has a default for a Debian host. */
const agentSettings = z.strictObject({
  listen: z
    .string()
    .regex(networkAddress, "address:port")
    .default("127.0.0.1:7070")
    .describe("Where the agent listens for the Action and curl."),
  names: z.array(z.string().min(1)).default([]).meta({
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
  data: z.string().default("/var/lib/cutover").describe("The directory of releases, environments and state."),
  socket: z.string().default("/run/cutover/agent.sock").describe("The admin socket, for commands on this host."),
  helper: z
    .string()
    .default("/run/cutover/helper.sock")
    .describe("The helper's socket, for an agent that is not root: see [two processes](#two-processes)."),
  agent_user: userName
    .default("cutover-agent")
    .describe("The user that the agent runs as when there is a helper. The helper answers only this user and root."),
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
      free: z
        .int()
        .min(0)
        .default(256 * 1024 ** 2)
        .describe("Bytes of disk that stay free after unpacking."),
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
        .describe("Processes and threads that the app's user may have while a step runs, including its instances."),
      step_file: z
        .int()
        .min(1024 ** 2)
        .default(4 * 1024 ** 3)
        .describe("Bytes of the largest file that a step may write."),
    })
    .prefault({}),
  github: z.array(githubIssuer).prefault([githubDotCom]).meta({
    description: "Which GitHubs sign tokens that count; the first one if an app's trust names none.",
    absent: "github.com",
  }),
  metrics: z
    .union([z.boolean(), z.string().regex(networkAddress, "true, false or address:port")])
    .default(false)
    .describe(
      "Where `GET /metrics` answers besides the admin socket. `true`: with the other calls; address:port: at an address of its own. See [metrics](observe/README.md#metrics).",
    ),
  webhooks: z
    .array(webhook)
    .default([])
    .describe("Who gets a message at the end of every app's deployments: see [webhooks](observe/README.md#webhooks)."),
  log_level: z.enum(["debug", "info", "warn", "error"]).default("info").describe("`debug`, `info`, `warn` or `error`."),
});

export const agentSettingsSchema = agentSettings.refine(
  ({ listen, tls, insecure }) => tls !== undefined || insecure || isLoopback(new URL(`http://${listen}`)),
  {
    path: ["listen"],
    error:
      "plain HTTP goes only to this host itself: write `tls`, or listen on 127.0.0.1 behind nginx; `insecure: true` says otherwise",
  },
);
export type AgentSettings = z.output<typeof agentSettingsSchema>;

export const grant = z.enum(["deploy", "activate", "redeploy", "rollback", "abort", "read"]);
export type Grant = z.output<typeof grant>;

/** Never reused, other than names. */
const githubId = z
  .string({ error: 'an id in quotes, such as "1296269"' })
  .regex(/^\d{1,20}$/, 'an id of digits, such as "1296269"');

/** One repository of GitHub, and from where in it. Everything that is named must be equal; nothing is a pattern. */
const githubTrust = z
  .strictObject({
    repository: z
      .string()
      .regex(/^[A-Za-z0-9-]{1,64}\/[A-Za-z0-9._-]{1,100}$/, "owner/name")
      .describe("`owner/name`, letter by letter as GitHub writes it."),
    repository_id: githubId.optional().meta({
      description: "GitHub's id of the repository. Ids outlive a name and are never given again.",
      absent: "learnt at the first accepted call",
    }),
    owner_id: githubId
      .optional()
      .meta({ description: "GitHub's id of its owner.", absent: "learnt at the first accepted call" }),
    environment: z.string().min(1).max(255).optional().describe("Only jobs of this environment."),
    ref: z
      .string()
      .regex(/^refs\/(?:heads|tags)\/[^\s*?[\]\\^~:]{1,250}$/, "a whole ref without patterns, such as refs/heads/main")
      .optional()
      .describe("Only this branch or tag, such as `refs/heads/main`. With `environment` both must match."),
    any_ref: z
      .boolean()
      .default(false)
      .describe("Every branch, tag and environment. Otherwise one of the two above is required."),
    events: z
      .array(z.string().regex(/^[a-z_]{1,40}$/, "an event such as push"))
      .min(1)
      .optional()
      .meta({
        description: "The events that may start the workflow, such as `[push, workflow_dispatch]`.",
        absent: "all but `pull_request` and its variants",
      }),
    issuer: trustedUrl
      .optional()
      .meta({ description: "Which GitHub: one of agent.yml's `github`.", absent: "the first of them" }),
  })
  .refine(({ environment, ref, any_ref }) => any_ref !== (environment !== undefined || ref !== undefined), {
    error: "needs environment or ref, or `any_ref: true` for every branch of the repository",
  });
export type GithubTrust = z.output<typeof githubTrust>;

/** Whose tokens count for an app, and for what. */
const trusted = z
  .strictObject({
    key: z
      .string()
      .regex(/^ed25519:[A-Za-z0-9_-]{43}$/, "ed25519: and 43 characters, as `cutover keygen` prints")
      .optional()
      .describe("The public line that `cutover keygen` printed. An entry has either `github` or `key`."),
    github: githubTrust.optional(),
    comment: z.string().max(200).optional().describe("A note for people."),
    allow: z.array(grant).min(1).default(["deploy", "activate", "redeploy", "rollback", "abort", "read"]).meta({
      description: "What its tokens may do: of `deploy`, `activate`, `redeploy`, `rollback`, `abort`, `read`.",
      absent: "everything",
    }),
  })
  .refine(({ key, github }) => (key === undefined) !== (github === undefined), { error: "needs either key or github" });
export type Trusted = z.output<typeof trusted>;

/** A range of ports, both ends in it. Below 1024 only root may listen. */
const portRange = z
  .string({ error: 'a range in quotes, such as "9000-9099"' })
  .regex(/^\d{4,5}-\d{4,5}$/, 'a range such as "9000-9099"')
  .refine((text) => {
    const { first, last } = parsePortRange(text);
    return first >= 1024 && first <= last && last <= 65535;
  }, "a range of ports from 1024 to 65535, the lower one first");

export function parsePortRange(text: string): { first: number; last: number } {
  const [first = Number.NaN, last = Number.NaN] = text.split("-").map(Number);
  return { first, last };
}

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
  tls: z
    .strictObject({
      certificate: hostPath.describe("The certificate with its chain, for addresses with ssl: a PEM file."),
      key: hostPath.describe("Its key: a PEM file."),
    })
    .optional(),
  acme_challenge: hostPath
    .optional()
    .describe(
      "The directory that is certbot's webroot. What lies in it under `.well-known/acme-challenge/` is served over plain HTTP, also if all else is sent to https, and during maintenance.",
    ),
  preview: z
    .array(listenAddress)
    .default([])
    .meta({ description: "Addresses that a preview may have: `[12001]`.", absent: "none" }),
  peers: z
    .array(serverAddress)
    .default([])
    .meta({ description: 'Servers that the app may pass requests to: `["10.0.0.11:8000"]`.', absent: "none" }),
  env_file: z.string().optional().meta({
    description: "The app's secrets, relative to this file: lines `NAME=value`, which override `env` of cutover.yml.",
    absent: "`<app>.env`",
  }),
  webhooks: z.array(webhook).default([]).describe("As in agent.yml, for this app's deployments."),
});
export type AppSettings = z.output<typeof appSettingsSchema> & { app: string; file: string };
