import type { Command } from "commander";

/** What a person reads of a wrong command line, in commander's words and ours. */

const again = "`cutover redeploy APP` starts the live release on fresh instances.";
const workflow =
  "A deploy comes from the app's workflow: push, or run it again (`gh workflow run`). `cutover init` writes one. " +
  "To start the live release again: `cutover redeploy APP`.";
const closed = "`cutover maintenance` closes a site to visitors, and `cutover app remove` stops an app and deletes it.";

/** Commands that people know from other tools, and what does the same here. */
const meant: Record<string, string> = {
  ...{ deploy: workflow, push: workflow, up: workflow, release: workflow, stage: workflow },
  ...{ restart: again, reload: again, start: again },
  ...{ stop: closed, down: closed, kill: closed },
  ...{
    list: "`cutover status` shows all apps.",
    ls: "`cutover status` shows all apps.",
    ps: "`cutover status` shows all apps.",
  },
  ...{ config: "`cutover app show APP` shows its settings.", ssh: "`cutover exec APP COMMAND` runs a command there." },
  secrets: "`cutover env list APP` and `cutover env set APP NAME`.",
};

/** @param text of commander, with its `error: ` and the line's end */
export function usageFault(text: string, command: Command): string {
  const unknown = /unknown command '([^']*)'/.exec(text)?.[1];
  if (unknown !== undefined) {
    const own = Object.hasOwn(meant, unknown) && command.parent === null ? meant[unknown] : undefined;
    // A word that is only spelt alike would do another thing.
    if (own !== undefined) return `error: unknown command '${unknown}'\n${own}\n`;
    return /Did you mean/.test(text) ? text : `${text}\`${nameOf(command)} --help\` lists the commands.\n`;
  }
  if (!/missing required argument|too many arguments/.test(text)) return text;
  return `${text}Usage: ${nameOf(command)} ${command.usage()}\n`;
}

function nameOf(command: Command): string {
  return command.parent === null ? command.name() : `${nameOf(command.parent)} ${command.name()}`;
}
