import { existsSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import { CutoverError } from "../../../shared/errors.ts";
import { contextOf, newCommand } from "../context.ts";
import type { Terminal } from "../terminal/terminal.ts";

/** `drain on`, `drain off`, `drain status`: what a load balancer hears from this host. It asks no agent. */
export function drainCommand(terminal: Terminal): Command {
  return newCommand("drain", "tell a load balancer to send visitors to other hosts", "cutover drain on")
    .addCommand(
      stepCommand(terminal, "on", "from now on `drain_path` answers 503; visitors who come are served", (file) =>
        writeFile(file, "", { mode: 0o644 }),
      ),
    )
    .addCommand(stepCommand(terminal, "off", "`drain_path` answers 200 again", (file) => rm(file, { force: true })))
    .addCommand(stepCommand(terminal, "status", "show what the load balancer hears", async () => {}));
}

function stepCommand(terminal: Terminal, name: string, what: string, step: (file: string) => Promise<void>): Command {
  return newCommand(name, what, `cutover drain ${name}`).action(async (_options, command: Command) => {
    const context = contextOf(command, terminal);
    const file = join(context.places.config, "leaves");
    await step(file).catch((cause: Error) => {
      throw new CutoverError("host_settings_invalid", `${file} cannot be changed: ${cause.message}.`, {
        unchanged: "The load balancer hears what it heard before.",
        fix: "Run it as root.",
        cause,
      });
    });
    const leaves = existsSync(file);
    context.show({ leaves }, () =>
      leaves
        ? `This host leaves: each \`drain_path\` answers 503, and visitors who come are served. \`cutover drain off\` ends that.`
        : "This host takes visitors: each `drain_path` answers 200, unless its site is closed for maintenance.",
    );
  });
}
