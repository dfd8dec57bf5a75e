import { readFile, writeFile } from "node:fs/promises";
import { text as readAll } from "node:stream/consumers";
import type { Command } from "commander";
import { formatAudience, type Operation, parseAudience } from "../../../shared/audience.ts";
import { CutoverError } from "../../../shared/errors.ts";
import { generateKey, importPrivateKey, signToken } from "../../../shared/key.ts";
import { digest } from "../../../shared/names.ts";
import { bundleDigest } from "../bundle-digest.ts";
import { contextOf, newCommand, usageError } from "../context.ts";
import type { Terminal } from "../terminal/terminal.ts";

/** `keygen` and `token`: make a key, and sign tokens with it. Neither needs an agent. */
export function keyCommands(terminal: Terminal): Command[] {
  return [keygenCommand(terminal), tokenCommand(terminal)];
}

function keygenCommand(terminal: Terminal): Command {
  return newCommand("keygen", "make a signing key, for a workflow's secret or for curl", "cutover keygen shop.key")
    .argument("[file]", "the file for the private key; must not exist", "cutover.key")
    .action(async (file: string, _options, command: Command) => {
      const { privatePem, publicLine } = await generateKey();
      await writeExclusive(file, privatePem);
      contextOf(command, terminal).show({ file, public: publicLine }, () => renderNewKey(file, publicLine));
    });
}

function renderNewKey(file: string, publicLine: string): string {
  return `${publicLine}

The line above is the public key. To let an app on a host trust it, run there:
  cutover app add shop --key ${publicLine}
or add it under \`trust\` in the app's settings file.

${file} is the private key. Store the whole file as the workflow's secret, then delete it:
  gh secret set CUTOVER_SIGNING_KEY < ${file}
`;
}

async function writeExclusive(file: string, text: string): Promise<void> {
  try {
    await writeFile(file, text, { flag: "wx", mode: 0o600 });
  } catch (cause) {
    const exists = (cause as NodeJS.ErrnoException).code === "EEXIST";
    const why = exists ? "the file exists already" : (cause as Error).message;
    throw new CutoverError("request_invalid", `The key cannot be written to ${file}: ${why}.`, {
      unchanged: "No key was made.",
      fix: exists
        ? "Give another file: a key is never overwritten."
        : "Give a file in a directory that you may write to.",
      cause,
    });
  }
}

interface TokenOptions {
  key: string;
  host: string;
  app: string;
  header?: boolean;
  subject?: string;
}

const operations =
  "deploy <digest or bundle>, activate <release>, redeploy [release], rollback, abort <deployment>, read";

function tokenCommand(terminal: Terminal): Command {
  return newCommand(
    "token",
    "make a token for one call, for curl",
    "curl -X POST https://web1.example.com:7070/v1/apps/shop/rollback \\\n" +
      '      -H "$(cutover token rollback --header --app shop \\\n' +
      '            --key shop.key --host web1.example.com:7070)"',
  )
    .argument("<operation>", operations)
    .argument("[argument]", "the digest, bundle, release or deployment of the operation")
    .requiredOption("--key <file>", "the private key that `cutover keygen` wrote; - for standard input")
    .requiredOption("--host <authority>", "the host and port in the URL of the call")
    .requiredOption("--app <app>", "the app")
    .option("--header", "print the whole header line")
    .option("--subject <text>", "who makes the call, for the host's log")
    .action(async (name: string, argument: string | undefined, options: TokenOptions, command: Command) => {
      const audience = formatAudience({ ...options, operation: await operationOf(name, argument) });
      if (parseAudience(audience) === undefined)
        throw usageError(`No call has the audience ${audience}. Operations: ${operations}.`);
      const signer = await importPrivateKey(await readKey(options.key, terminal));
      const subject = options.subject ?? terminal.env.USER ?? "cutover token";
      const token = await signToken(signer, audience, { sub: subject }, terminal.now());
      const line = options.header === true ? `Authorization: Bearer ${token}` : token;
      contextOf(command, terminal).show({ audience, token }, () => line);
    });
}

async function operationOf(name: string, argument: string | undefined): Promise<Operation> {
  switch (name) {
    case "deploy":
      if (argument === undefined) throw usageError("deploy needs a digest or a bundle.");
      return { name, digest: digest.safeParse(argument).success ? argument : await bundleDigest(argument) };
    case "activate":
      if (argument === undefined) throw usageError("activate needs a release.");
      return { name, release: argument };
    case "redeploy":
      return { name, release: argument ?? "live" };
    case "abort":
      if (argument === undefined) throw usageError("abort needs a deployment.");
      return { name, deployment: argument };
    case "rollback":
    case "read":
      if (argument !== undefined) throw usageError(`${name} takes no argument.`);
      return { name };
    default:
      throw usageError(`There is no operation ${name}. Operations: ${operations}.`);
  }
}

async function readKey(file: string, terminal: Terminal): Promise<string> {
  if (file === "-") return readAll(terminal.stdin);
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    throw new CutoverError("signing_key_invalid", `The key file ${file} cannot be read.`, {
      unchanged: "No token was made.",
      fix: "Give the file that `cutover keygen` wrote.",
      cause,
    });
  }
}
