import type { Command } from "commander";
import { environmentName } from "../../../shared/config-values.ts";
import { nameFault, parseEnvFile, valueFault } from "../../../shared/env-file.ts";
import { CutoverError } from "../../../shared/errors.ts";
import { type Context, contextOf, newCommand, usageError } from "../context.ts";
import { envFileOf, readEnvFile, updateEnvFile } from "../host-files/env-file.ts";
import { askSecrets, readSecret } from "../terminal/questions.ts";
import type { Terminal } from "../terminal/terminal.ts";

/** `env set`, `env unset`, `env list`: an app's secrets on this host. No command ever shows a value. */
export function envCommand(terminal: Terminal): Command {
  return newCommand("env", "set, unset or list an app's secrets on this host", "cutover env list shop")
    .addCommand(setCommand(terminal))
    .addCommand(unsetCommand(terminal))
    .addCommand(listCommand(terminal));
}

interface SetOptions {
  stdin?: boolean;
  exact?: boolean;
}

function setCommand(terminal: Terminal): Command {
  return newCommand(
    "set",
    "set secrets: NAME=value, or NAME, whose value is then asked for or read from standard input",
    "cutover env set shop DB_PASSWORD\n  $ cutover env set shop TLS_KEY --stdin --exact < key.pem",
  )
    .argument("<app>", "the app")
    .argument("<variables...>", "NAME=value (other users can see it in the process list), or NAME")
    .option("--stdin", "read the value from standard input, without its last newline")
    .option("--exact", "with --stdin: keep the last newline")
    .action(async (app: string, words: string[], options: SetOptions, command: Command) => {
      const context = contextOf(command, terminal);
      const file = await envFileOf(context.places, app);
      const values = await valuesOf(words, options, terminal);
      await updateEnvFile(file, values);
      const names = Object.keys(values);
      context.show(
        { app, file: file.path, set: names },
        () => `Set ${names.join(", ")} in ${file.path}.\n${redeployHint(app)}`,
      );
    });
}

function redeployHint(app: string): string {
  return `Running instances keep their values until \`cutover redeploy ${app}\` or the next deploy.\n`;
}

async function valuesOf(words: string[], options: SetOptions, terminal: Terminal): Promise<Record<string, string>> {
  const names = words.map((word) => word.split("=", 1)[0] ?? "");
  const open = words.filter((word) => !word.includes("="));
  checkUsage(names, open, options, terminal);
  refuseFaults(names.flatMap(nameFaults));
  const given = open.length === 0 ? [] : await openValues(open, options, terminal);
  const values = words.map((word, index): [name: string, value: string] => {
    const name = names[index] ?? "";
    return [name, word.includes("=") ? word.slice(name.length + 1) : (given[open.indexOf(word)] ?? "")];
  });
  refuseFaults(values.flatMap(valueFaults));
  return Object.fromEntries(values);
}

/** @throws CutoverError if the words do not go with one another, with the options or with standard input */
function checkUsage(names: string[], open: string[], { stdin }: SetOptions, terminal: Terminal): void {
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw usageError(`${twice} is given twice.`);
  if (open.length > 1 && (stdin === true || terminal.stdin.isTTY !== true)) {
    throw usageError("Standard input has one value: give one variable without a value.");
  }
  if (open.length === 0 && stdin === true) throw usageError("With --stdin, give one variable without a value.");
}

/** A word that is not a name may be a value without its name, so the message does not repeat it. */
function nameFaults(name: string, index: number): string[] {
  const fault = nameFault(name);
  if (fault === undefined) return [];
  return [`${environmentName.safeParse(name).success ? name : `Variable ${index + 1}`} ${fault}.`];
}

function valueFaults([name, value]: [name: string, value: string]): string[] {
  const fault = valueFault(value);
  return fault === undefined ? [] : [`The value of ${name} ${fault}.`];
}

async function openValues(names: string[], { stdin, exact = false }: SetOptions, terminal: Terminal) {
  if (stdin === true || terminal.stdin.isTTY !== true) return [await readSecret(terminal, exact)];
  return askSecrets(
    terminal,
    names.map((name) => `Value of ${name} (not shown): `),
  );
}

function refuseFaults(faults: string[]): void {
  if (faults.length === 0) return;
  throw new CutoverError("environment_invalid", faults.join("\n"), {
    unchanged: "Nothing was changed.",
    fix: "Choose another name or value. Encode a value that is binary or has every kind of quote in base64.",
  });
}

function unsetCommand(terminal: Terminal): Command {
  return newCommand("unset", "remove secrets", "cutover env unset shop OLD_PASSWORD")
    .argument("<app>", "the app")
    .argument("<names...>", "the variables")
    .action(async (app: string, names: string[], _options, command: Command) => {
      const context = contextOf(command, terminal);
      const file = await envFileOf(context.places, app);
      const there = parseEnvFile(await readEnvFile(file));
      if (names.some((name) => !environmentName.safeParse(name).success))
        throw usageError("Give only the names of the variables.");
      const absent = names.filter((name) => !Object.hasOwn(there, name));
      if (absent.length > 0) {
        throw new CutoverError("environment_invalid", `${file.path} does not set ${absent.join(", ")}.`, {
          unchanged: "Nothing was changed.",
          fix: `\`cutover env list ${app}\` lists the names.`,
        });
      }
      await updateEnvFile(file, Object.fromEntries(names.map((name) => [name, undefined])));
      context.show(
        { app, file: file.path, unset: names },
        () => `Removed ${names.join(", ")} from ${file.path}.\n${redeployHint(app)}`,
      );
    });
}

function listCommand(terminal: Terminal): Command {
  return newCommand("list", "list the names of an app's secrets, without their values", "cutover env list shop")
    .argument("<app>", "the app")
    .action(async (app: string, _options, command: Command) => {
      const context: Context = contextOf(command, terminal);
      const file = await envFileOf(context.places, app);
      const names = Object.keys(parseEnvFile(await readEnvFile(file))).toSorted();
      context.show({ app, file: file.path, names }, () =>
        names.length === 0 ? `${file.path} sets nothing.\n` : names.map((name) => `${name}\n`).join(""),
      );
    });
}
