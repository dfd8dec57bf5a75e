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
    url: webhookUrl.optional(),
    /** A file that holds the address, for one that is a secret. */
    url_file: hostPath.optional(),
    kind: z.enum(["json", "slack"]).default("json"),
    events: z
      .array(z.enum(["succeeded", "staged", "failed", "aborted"]))
      .min(1)
      // The Action stages each release before it activates it, which is of interest to few.
      .default(["succeeded", "failed", "aborted"]),
    /** A file with the secret that signs what is sent. */
    secret_file: hostPath.optional(),
    /** Plain http also beyond this host. */
    insecure: z.boolean().default(false),
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
  /** `iss` of its tokens, exactly. GHES: https://HOST/_services/token; GHE.com: https://token.actions.SUBDOMAIN.ghe.com */
  issuer: trustedUrl,
  /** Where its public keys are. Default: `/.well-known/jwks` below the issuer. */
  jwks: trustedUrl.optional(),
  /** Where a run's page is, for people. */
  server: trustedUrl,
  /** How long its keys are believed while it cannot be asked for them. */
  keys_age: duration.default("3d"),
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
  /** Where the agent listens for the Action and curl. */
  listen: z.string().regex(networkAddress, "address:port").default("127.0.0.1:7070"),
  /** The authorities by which callers know this agent, as in their URL; a token names one of them. */
  names: z.array(z.string().min(1)).default([]),
  /** Certificate and key, PEM files. Without them the agent speaks plain HTTP, behind something that ends TLS. */
  tls: z.strictObject({ certificate: tlsFile, key: tlsFile }).optional(),
  /** Plain HTTP also beyond this host. */
  insecure: z.boolean().default(false),
  /** From where connections to `listen` are taken. Without any: from everywhere. */
  allow: z.array(network).default([]),
  data: z.string().default("/var/lib/cutover"),
  socket: z.string().default("/run/cutover/agent.sock"),
  /** Where the helper answers an agent that is not root. */
  helper: z.string().default("/run/cutover/helper.sock"),
  /** The user that the agent runs as beside a helper: the only one but root that the helper answers. */
  agent_user: userName.default("cutover-agent"),
  supervisor: z
    .strictObject({
      socket: z.string().default("/run/supervisor.sock"),
      conf_dir: z.string().default("/etc/supervisor/conf.d"),
    })
    .prefault({}),
  nginx: z
    .strictObject({
      binary: z.string().default("nginx"),
      conf_dir: z.string().default("/etc/nginx/conf.d"),
      /** Another main configuration than the binary's own. */
      conf: z.string().optional(),
      /** Another prefix than the binary's own: what relative paths in its configuration start from. */
      prefix: z.string().optional(),
      /** Where each app gets its access log and its error log. */
      log_dir: hostPath.default("/var/log/nginx"),
      /** The group of nginx's workers, which must reach the sockets. */
      group: z.string().default("www-data"),
    })
    .prefault({}),
  /** Where python3 and python3.X are looked for, in this order. */
  python_path: z.array(z.string()).default(["/usr/local/bin", "/usr/bin", "/bin"]),
  limits: z
    .strictObject({
      /** Bytes of a bundle's files together. */
      bundle: z
        .int()
        .min(1)
        .default(4 * 1024 ** 3),
      /** Free bytes that must remain after unpacking. */
      free: z
        .int()
        .min(0)
        .default(256 * 1024 ** 2),
      /** Processes that compile bytecode at the same time. */
      jobs: z.int().min(1).default(availableParallelism()),
      /** Connections from the network at the same time, in all and from one address. */
      connections: z.int().min(1).default(512),
      connections_per_address: z.int().min(1).default(128),
      /** Calls a second from one address, on average. */
      calls_per_address: z.int().min(1).default(50),
      /** Refused tokens a minute from one address; after that its calls with a token are refused unread. */
      refusals_per_address: z.int().min(1).default(20),
      /** Bytes of memory that a process of a build step or a release command may fill. */
      step_memory: z
        .int()
        .min(64 * 1024 ** 2)
        .default(4 * 1024 ** 3),
      /** Processes and threads that the app's user may have while a step runs, its instances among them. */
      step_tasks: z.int().min(16).default(4096),
      /** Bytes of the largest file that a step may write. */
      step_file: z
        .int()
        .min(1024 ** 2)
        .default(4 * 1024 ** 3),
    })
    .prefault({}),
  /** Whose ID tokens count, beside keys; the first where an app's trust names none. */
  github: z.array(githubIssuer).prefault([githubDotCom]),
  /** Where `GET /metrics` answers beside the admin socket: with the calls of `listen`, or at an address of its own. */
  metrics: z.union([z.boolean(), z.string().regex(networkAddress, "true, false or address:port")]).default(false),
  /** Told of every app's deployments. */
  webhooks: z.array(webhook).default([]),
  log_level: z.enum(["debug", "info", "warn", "error"]).default("info"),
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
    repository: z.string().regex(/^[A-Za-z0-9-]{1,64}\/[A-Za-z0-9._-]{1,100}$/, "owner/name"),
    /** Learnt at the first call that is accepted, unless given. */
    repository_id: githubId.optional(),
    owner_id: githubId.optional(),
    environment: z.string().min(1).max(255).optional(),
    ref: z
      .string()
      .regex(/^refs\/(?:heads|tags)\/[^\s*?[\]\\^~:]{1,250}$/, "a whole ref without patterns, such as refs/heads/main")
      .optional(),
    /** Every branch, tag and environment of the repository. */
    any_ref: z.boolean().default(false),
    /** Events that may start it. Unless given, all but pull_request and its kin. */
    events: z
      .array(z.string().regex(/^[a-z_]{1,40}$/, "an event such as push"))
      .min(1)
      .optional(),
    /** One of agent.yml's `github`; the first unless given. */
    issuer: trustedUrl.optional(),
  })
  .refine(({ environment, ref, any_ref }) => any_ref !== (environment !== undefined || ref !== undefined), {
    error: "needs environment or ref, or `any_ref: true` for every branch of the repository",
  });
export type GithubTrust = z.output<typeof githubTrust>;

/** Whose tokens count for an app, and for what. */
const trusted = z
  .strictObject({
    /** The public line that `cutover keygen` printed. */
    key: z
      .string()
      .regex(/^ed25519:[A-Za-z0-9_-]{43}$/, "ed25519: and 43 characters, as `cutover keygen` prints")
      .optional(),
    github: githubTrust.optional(),
    comment: z.string().max(200).optional(),
    /** What its tokens may do; everything unless given. */
    allow: z.array(grant).min(1).default(["deploy", "activate", "redeploy", "rollback", "abort", "read"]),
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
  /** The user that the app's processes, build steps and release commands run as. Not used by an agent without root. */
  user: userName.optional(),
  trust: z.array(trusted).default([]),
  /** Addresses that the app's site may listen on, and does unless cutover.yml chooses among them. */
  listen: z.array(listenAddress).min(1).default([80]),
  /** Domains that the app may serve; *.example.com covers its subdomains, * everything. Without any: the default server. */
  domains: z.array(z.union([serverName, z.literal("*")])).default([]),
  /** Ports of 127.0.0.1 for instances with `bind: port`: a range or several. Without it the app has sockets alone. */
  ports: z.union([portRange, z.array(portRange).min(1).max(16)]).optional(),
  /** The certificate, with its chain, and the key of addresses with ssl: PEM files. */
  tls: z.strictObject({ certificate: hostPath, key: hostPath }).optional(),
  /** The directory in which an ACME client leaves its answers: what certbot calls its webroot. */
  acme_challenge: hostPath.optional(),
  /** Addresses that a preview of the staged release may have for itself. */
  preview: z.array(listenAddress).default([]),
  /** Servers of other hosts that the app may pass requests to. */
  peers: z.array(serverAddress).default([]),
  /** NAME=value lines, above the environment of cutover.yml. Default: <app>.env beside this file. */
  env_file: z.string().optional(),
  /** Told of this app's deployments, beside those of agent.yml. */
  webhooks: z.array(webhook).default([]),
});
export type AppSettings = z.output<typeof appSettingsSchema> & { app: string; file: string };
