import { realpathSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { type Command, Option } from "commander";
import { setUp } from "../../install/setup.ts";
import { contextOf, newCommand } from "../context.ts";
import { print, type Terminal } from "../terminal/terminal.ts";

/** `setup`: installs the agent as a service on a host without the Debian package. */
export function setupCommand(terminal: Terminal): Command {
  return (
    newCommand(
      "setup",
      "install the agent as a service on this host, without the Debian package",
      "cutover setup --dry-run",
    )
      .option("--dry-run", "only print the steps")
      // Earlier releases needed nginx's group here.
      .addOption(new Option("--web-group <group>").hideHelp())
      .action(async ({ dryRun = false }: { dryRun?: boolean }, command: Command) => {
        const context = contextOf(command, terminal);
        const programs = dirname(realpathSync(fileURLToPath(import.meta.url)));
        const installation = { node: realpathSync(process.execPath), programs };
        const done: string[] = [];
        const say = (line: string) => {
          done.push(line);
          if (!context.json) print(terminal, line);
        };
        await setUp({ installation, dryRun, say });
        if (context.json) context.show({ done }, () => "");
        else
          print(terminal, dryRun ? "Nothing was done." : "The agent runs. Next: `cutover app add`, `cutover doctor`.");
      })
  );
}
