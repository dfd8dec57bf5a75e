import { z } from "zod";

/** The kinds of value that cutover.yml and the host's files are made of, each with the one grammar that it has everywhere. */

/** Half of a surrogate pair has no bytes of its own: what would arrive is another character. */
const wellFormed = (text: string) => text.isWellFormed();

/** One line of text, without control characters. */
export const plain = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused here
    .regex(/^[^\u0000-\u001f\u007f]*$/, "no newline or other control character")
    .refine(wellFormed, "no half of a Unicode pair");

/** Split into words as a shell would, but never given to a shell. The words of a list stay as they are. */
export const command = z.union([plain(4096), z.array(plain(4096)).min(1).max(256)]);
export type Command = z.output<typeof command>;

export const relativePath = plain(1024).regex(
  /^(?!\/)(?!.*(?:^|\/)\.\.(?:\/|$))(?!.*\\).*$/,
  "a path inside the project, without ..",
);

/** A file that only the Action reads: it may lie above the project, in the same repository. */
export const projectOrAbove = plain(1024).regex(
  /^(?:\.\.\/){0,3}(?!\/)(?!\.\.(?:\/|$))(?!.*\/\.\.(?:\/|$))(?!.*\\).*$/,
  "a path inside the project, or at most three folders above it, as ../requirements.txt",
);

/** As it is sent: other characters are written as %XX. */
export const urlPath = plain(1024).regex(
  /^\/(?:(?![\s"'\\$;{}<>#])[!-~])*$/,
  "a URL path that starts with /, with other than plain characters as %XX",
);

/** The URL of a location that files are served below. */
export const folderUrl = plain(255).regex(
  /^\/(?:(?!\.{1,2}\/)[A-Za-z0-9._~-]+\/)+$/,
  "a URL path such as /static/, with a slash at both ends and no .. in it",
);

/** The URL of static files: a folder, the top, or one file. */
export const staticUrl = plain(255).regex(
  /^\/(?:(?!\.{1,2}\/)[A-Za-z0-9._~-]+\/)*(?:(?!\.{1,2}$)[A-Za-z0-9._~-]+)?$/,
  "a URL path such as /static/, /favicon.ico or /",
);

/** How long a browser may keep a file, in the words of nginx's `expires`. */
export const expires = z
  .string()
  .regex(/^(?:\d{1,6}(?:ms|s|m|h|d)|max|off)$/, "a duration such as 24h, or max, or off");

/**
 * One package as pip takes it, such as `gunicorn>=20` or `uvicorn[standard]`: no option, no address, no path. Each text can be
 * read in one way only: the agent checks manifests by this pattern, and a second way for `==` doubled its time with each version.
 */
export const packageRequirement = plain(255).regex(
  /^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?(?:\[[A-Za-z0-9._, -]+\])?(?: ?(?:[<>!~]=?|={1,3})[A-Za-z0-9.*+!-]+(?:, ?(?:[<>!~]=?|={1,3})[A-Za-z0-9.*+!-]+)*)?$/,
  "a package, such as gunicorn or gunicorn>=20, without options and addresses",
);

/** A host name as nginx's server_name takes it, without its regular expressions and variables. */
export const serverName = z
  .string()
  .max(253)
  .regex(
    /^(?:_|(?:\*\.)?[a-z0-9-]+(?:\.[a-z0-9-]+)*)$/,
    "a host name in lower case, or *.example.com, without https:// and without a path",
  );

export const port = z.int().min(1).max(65535);

const portText = "(?:[1-9]\\d{0,3}|[1-5]\\d{4}|6[0-4]\\d{3}|65[0-4]\\d{2}|655[0-2]\\d|6553[0-5])";
const hostAndPort = `(?:(?:\\d{1,3}(?:\\.\\d{1,3}){3}|\\[[0-9a-f:]+\\]|localhost):)?${portText}`;

/** A port, or address:port; with `ssl` after it if nginx ends TLS there. The words are those of nginx's listen. */
export const listenAddress = z.union([
  port,
  z
    .string()
    .regex(new RegExp(`^${hostAndPort}(?: ssl)?$`), 'a port, address:port, or either with ssl, such as "443 ssl"'),
]);
export type ListenAddress = z.output<typeof listenAddress>;

/** Another host's server as nginx's upstream takes it: name or address, and port. */
export const serverAddress = z
  .string()
  .max(255)
  .regex(
    new RegExp(`^(?:[a-z0-9-]+(?:\\.[a-z0-9-]+)*|\\[[0-9a-f:]+\\]):${portText}$`),
    "host:port, such as 10.0.0.11:8000",
  );

/** nginx's size: bytes, or with k, m or g after it. 0 is no limit. */
export const size = z.string().regex(/^\d{1,6}[kKmMgG]?$/, "a size such as 50m");

export const environmentName = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "letters, digits and _, and no digit first");

export const environmentValue = z
  .string({ error: "a text; put numbers and yes/no in quotes" })
  .max(65536)
  .refine((value) => !value.includes("\0"), "no NUL character")
  .refine(wellFormed, "no half of a Unicode pair");
