import type { Command } from "commander";
import { calls } from "../../../shared/protocol.ts";
import { contextOf, newCommand } from "../context.ts";
import { renderApps, renderReleases, renderStatus } from "../terminal/status.ts";
import type { Terminal } from "../terminal/terminal.ts";

/** `status` and `releases`: show what this host has of an app. */
export function statusCommands(terminal: Terminal): Command[] {
  return [statusCommand(terminal), releasesCommand(terminal)];
}

function statusCommand(terminal: Terminal): Command {
  return newCommand("status", "show what is live, staged and running", "cutover status shop")
    .argument("[app]", "the app (default: all)")
    .action(async (app: string | undefined, _options, command: Command) => {
      const context = contextOf(command, terminal);
      const client = await context.client();
      const view = (name: string) => client.call(calls.app, { app: name });
      if (app !== undefined) {
        const one = await view(app);
        context.show(one, () => renderStatus(one, context.view()));
        return;
      }
      const { apps } = await client.call(calls.apps, {});
      const all = await Promise.all(apps.map(view));
      context.show(all, () =>
        all.length === 0
          ? renderApps([], context.view())
          : all.map((one) => renderStatus(one, context.view())).join("\n"),
      );
    });
}

function releasesCommand(terminal: Terminal): Command {
  return newCommand("releases", "list the releases of an app on this host", "cutover releases shop")
    .argument("<app>", "the app")
    .action(async (app: string, _options, command: Command) => {
      const context = contextOf(command, terminal);
      const client = await context.client();
      const view = await client.call(calls.app, { app });
      context.show(view.releases, () =>
        view.releases.length === 0 ? `${app} has no releases yet.` : renderReleases(view, context.view()),
      );
    });
}
