import { BlockList, isIP } from "node:net";
import { z } from "zod";
import { duration } from "../shared/duration.ts";
import { appName } from "../shared/names.ts";

/** The kinds of value that agent.yml and the files of apps are made of, each with the one grammar that it has everywhere. */

/** A file or a directory of the host that nginx's configuration names. */
export const hostPath = z
  .string()
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused here
  .regex(/^\/[^\u0000-\u001f\u007f$"'\\]*$/, "an absolute path without $, quotes and backslashes");

/** A certificate with its key, as PEM files of the host that nginx reads. */
export const tlsFiles = z.strictObject({
  certificate: hostPath.describe("The certificate with its chain, for addresses with ssl: a PEM file."),
  key: hostPath.describe("Its key: a PEM file."),
});
export type TlsFiles = z.output<typeof tlsFiles>;

/** On the network where the agent listens: `address:port`. */
export const networkAddress = /^(?:\[[0-9a-f:]+\]|[^:\s]+):\d{1,5}$/;

export function isLoopback({ hostname }: URL): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

/** Never shown in a message: whoever has a chat's address can write there. */
const webhookUrl = z.string().refine((text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol), {
  error: "an https:// address",
});

const ownAddress = "an address of this host itself, such as 127.0.0.1:7081: your nginx publishes it";

/** Which apps everybody may look at. Each is named, so that none is published because somebody added it. */
export const publicPage = z.strictObject({
  listen: z
    .string()
    .regex(networkAddress, ownAddress)
    .refine((text) => URL.canParse(`http://${text}`) && isLoopback(new URL(`http://${text}`)), ownAddress)
    .describe(
      "For a page that anybody may read, behind your nginx: an address of this host itself, such as `127.0.0.1:7081`. See [for everybody](ui/README.md#for-everybody-read-only).",
    ),
  apps: z
    .array(appName)
    .min(1)
    .max(100)
    .refine((apps) => new Set(apps).size === apps.length, "each app once")
    .describe("The apps that it shows: `[shop]`."),
});

/** Who gets a message when a deployment has ended. */
export const webhook = z
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
      .array(
        z.enum(["succeeded", "staged", "failed", "aborted", "instances_down", "instances_up", "certificate_failed"]),
      )
      .min(1)
      // The Action stages each release before it activates it, which is of interest to few.
      .default(["succeeded", "failed", "aborted", "instances_down", "instances_up", "certificate_failed"])
      .describe(
        "What is sent: how deployments end (of those and `staged`), and when live instances do not run (`instances_down`) and run again (`instances_up`); and that `tls: auto` got no certificate (`certificate_failed`).",
      ),
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

/** An address whose answer is trusted: nobody between here and there may change it. */
export const trustedUrl = z.string().refine((text) => URL.canParse(text) && isTrusted(new URL(text), text), {
  error: "an https:// address without user, query and slash at its end; plain http only to this host itself",
});

function isTrusted(url: URL, text: string): boolean {
  const secure = url.protocol === "https:" || (url.protocol === "http:" && isLoopback(url));
  return secure && url.username === "" && url.password === "" && !/[?#]|\/$/.test(text);
}

/** A GitHub whose ID tokens count if an app trusts one of its repositories. A token never says where its keys are. */
export const githubIssuer = z.strictObject({
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

/** The certificate authority for `tls: auto`. */
export const acme = z.strictObject({
  directory: trustedUrl
    .default("https://acme-v02.api.letsencrypt.org/directory")
    .describe("The authority's directory (RFC 8555). `tls: auto` agrees to its terms of service."),
  email: z.email().optional().describe("Where the authority may write to about a new account."),
  ca: hostPath.optional().meta({
    description: "For a private authority: a PEM file with the root of its own https.",
    absent: "public roots",
  }),
});
export type AcmeSettings = z.output<typeof acme>;

export const githubDotCom = {
  issuer: "https://token.actions.githubusercontent.com",
  server: "https://github.com",
} as const;
export const userName = z.string().regex(/^[a-z_][a-z0-9_-]{0,31}$/, "a user of this host");
/** An absolute path, or the name of a credential that systemd gives to the agent's unit. */
export const tlsFile = z
  .string()
  .regex(/^(?:\/.+|[A-Za-z0-9._-]{1,255})$/, "an absolute path, or the name of a systemd credential of the unit")
  .refine((text) => text !== "." && text !== "..", { error: "the name of a file" });

/** An address or a network, as `10.0.0.0/8` and `2001:db8::/32`. */
export const network = z.string().refine((text) => networkOf(text) !== undefined, {
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

/** Tells whether an address may reach the agent; every address may if the list is empty. */
export function allowedAddresses(allow: readonly string[]): (address: string) => boolean {
  if (allow.length === 0) return () => true;
  const listed = new BlockList();
  for (const text of allow) {
    const found = networkOf(text);
    if (found !== undefined) listed.addSubnet(found.address, found.prefix, found.family);
  }
  return (address) => listed.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");
}

/** A range of ports, both ends in it. Below 1024 only root may listen. */
export const portRange = z
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

/** Who may see a site, for example one for staging. */
export const access = z
  .strictObject({
    password_file: hostPath
      .optional()
      .describe(
        "Names and passwords, as `htpasswd` writes them. nginx's workers must be able to read it, and nobody else should. It lies where only root may write.",
      ),
    realm: z
      .string()
      .regex(/^[A-Za-z0-9 ._-]{1,64}$/, "letters, digits, spaces and ._-")
      .default("Restricted")
      .describe("What browsers show when they ask for a password."),
    allow: z
      .array(network)
      .max(256)
      .default([])
      .describe("Addresses and networks that may come, and no others: `[10.0.0.0/8]`."),
    deny: z.array(network).max(256).default([]).describe("Addresses and networks that may not."),
    satisfy: z
      .enum(["all", "any"])
      .default("all")
      .describe("With `password_file` and addresses: whether both are asked for, or one is enough."),
  })
  .refine(({ password_file: file, allow, deny }) => file !== undefined || allow.length + deny.length > 0, {
    error: "needs `password_file`, `allow` or `deny`",
  });
