import { setTimeout as sleep } from "node:timers/promises";
import { type Command, Option } from "commander";
import { calls } from "../../../shared/protocol.ts";
import type { AgentClient } from "../client.ts";
import { contextOf, newCommand, usageError } from "../context.ts";
import { type AppRequests, renderTop } from "../terminal/requests.ts";
import { redraw, type Terminal } from "../terminal/terminal.ts";

interface TopOptions {
  seconds: number;
  once?: true;
}

/** How often the screen is drawn, in milliseconds. */
const everyMs = 2000;

/** `top`: what visitors see, as it happens. */
export function topCommand(terminal: Terminal): Command {
  return newCommand("top", "show what visitors see, by release, as it happens", "cutover top shop")
    .argument("[app]", "the app (default: all)")
    .addOption(new Option("--seconds <n>", "how far to look back, from 1 to 3600").default(10).argParser(secondCount))
    .option("--once", "show it once, as without a terminal")
    .action(async (app: string | undefined, { seconds, once }: TopOptions, command: Command) => {
      const context = contextOf(command, terminal);
      const client = await context.client();
      const look = async () => lookAt(client, app, seconds);
      if (context.json || once || terminal.stdout.isTTY !== true) {
        const apps = await look();
        const view = apps.map(({ app: name, view: requests }) => ({ app: name, ...(requests && { requests }) }));
        context.show(view, () => renderTop(apps, context.view()));
        return;
      }
      for (let first = true; ; first = false) {
        const { rows } = terminal.stdout as { rows?: number };
        redraw(terminal, renderTop(await look(), { ...context.view(), height: rows || undefined }), { first });
        await sleep(everyMs);
      }
    });
}

async function lookAt(client: AgentClient, app: string | undefined, seconds: number): Promise<AppRequests[]> {
  const names = app === undefined ? (await client.call(calls.apps, {})).apps : [app];
  return Promise.all(
    names.map(async (name) => ({
      app: name,
      view: await client.call(calls.requests, { app: name }, { query: { seconds } }),
    })),
  );
}

function secondCount(text: string): number {
  if (!/^\d{1,4}$/.test(text) || Number(text) < 1 || Number(text) > 3600) throw usageError("1 to 3600 seconds.");
  return Number(text);
}
