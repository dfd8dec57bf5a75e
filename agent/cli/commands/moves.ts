import type { Command } from "commander";
import { CutoverError } from "../../../shared/errors.ts";
import { releaseId, releaseOfRun } from "../../../shared/names.ts";
import { type Accepted, calls, type DeploymentView, maxWaitSeconds } from "../../../shared/protocol.ts";
import { commandsSince, notUndone } from "../../../shared/release-commands.ts";
import type { AgentClient } from "../client.ts";
import { type Context, contextOf, newCommand, noRelease, type SetExit, usageError } from "../context.ts";
import { renderEvent } from "../terminal/events.ts";
import { confirm } from "../terminal/questions.ts";
import { print, printError, printJson, type Terminal } from "../terminal/terminal.ts";

/** `rollback`, `redeploy`, `activate` and `abort`: the commands that move traffic. */
export function moveCommands(terminal: Terminal, setExit: SetExit): Command[] {
  return [
    movingCommand(terminal, setExit, {
      name: "rollback",
      description: "go back to the last good release before the live one",
      example: "cutover rollback shop",
      begin: (client, { app, wait }) => client.call(calls.rollback, { app }, { query: { wait } }),
      before: confirmRollback,
    }),
    movingCommand(terminal, setExit, {
      name: "redeploy",
      description: "start a release again on fresh instances: for new secrets, or if it hangs",
      example: "cutover redeploy shop",
      release: "[release]",
      begin: (client, { app, release, wait }) =>
        client.call(calls.redeploy, { app }, { query: { wait }, body: release === undefined ? {} : { release } }),
      before: confirmRedeploy,
    }),
    movingCommand(terminal, setExit, {
      name: "activate",
      description: "move the traffic to a staged or an earlier release",
      example: "cutover activate shop 20261121T103000Z-3f2c1ab --weight 25",
      release: "<release>",
      weight: true,
      begin: (client, { app, release = "", weight = 100, wait }) =>
        client.call(calls.activate, { app, release }, { query: { wait }, body: { weight } }),
    }),
    abortCommand(terminal, setExit),
    healCommand(terminal, setExit),
  ];
}

/** For all apps, since an upgrade of the distribution changes the Python of all. */
function healCommand(terminal: Terminal, setExit: SetExit): Command {
  const text =
    "build the environment of live releases again whose Python is gone or changed, and start fresh instances";
  return newCommand("heal", text, "cutover heal")
    .argument("[app]", "the app (default: all)")
    .action(async (given: string | undefined, _options, command: Command) => {
      const context = contextOf(command, terminal);
      const client = await context.client();
      const names = given === undefined ? (await client.call(calls.apps, {})).apps : [given];
      const views = await Promise.all(names.map((app) => client.call(calls.app, { app })));
      const sick = views.filter(({ unbuilt }) => unbuilt === true).map(({ app }) => app);
      if (sick.length === 0) context.show({ healed: [] }, () => "The environment of each live release is there.");
      const codes: number[] = [];
      for (const app of sick) {
        if (!context.json) print(terminal, app);
        codes.push(await follow(context, client, await client.call(calls.redeploy, { app }, { body: {} })));
      }
      setExit(Math.max(0, ...codes));
    });
}

interface Moving {
  name: string;
  description: string;
  example: string;
  release?: "[release]" | "<release>";
  weight?: boolean;
  /** Makes the call. */
  begin(client: AgentClient, asked: Asked): Promise<Accepted>;
  /** Asks a person to confirm; a command with it has --yes. @returns false if they say no */
  before?(context: Context, app: string, options: MovingOptions): Promise<boolean>;
}

interface Asked {
  app: string;
  release?: string | undefined;
  /** In percent. */
  weight?: number | undefined;
  /** In seconds. */
  wait?: number | undefined;
}

interface MovingOptions {
  wait?: number;
  weight?: number;
  follow: boolean;
  yes?: boolean;
}

function movingCommand(terminal: Terminal, setExit: SetExit, moving: Moving): Command {
  const command = newCommand(moving.name, moving.description, moving.example)
    .argument("<app>", "the app")
    .option("--wait <seconds>", "how long to wait for another deployment of the app", secondsOf)
    .option("--no-follow", "return as soon as the deployment has begun");
  if (moving.release !== undefined) command.argument(moving.release, "the release, as `cutover releases` lists it");
  if (moving.weight === true) {
    const text = "make a staged release a canary with this share of the traffic, in percent; `cutover abort` undoes it";
    command.option("--weight <percent>", text, percentOf);
  }
  if (moving.before !== undefined) command.option("--yes", "do not ask");
  return command.action(async (app: string, ...rest: unknown[]) => {
    const release = moving.release !== undefined && typeof rest[0] === "string" ? rest[0] : undefined;
    if (release !== undefined && !releaseId.safeParse(release).success) throw usageError(noRelease(release, app));
    const context = contextOf(command, terminal);
    const options = command.opts<MovingOptions>();
    if ((await moving.before?.(context, app, options)) === false) {
      context.show({ app, begun: false }, () => "Nothing was changed.");
      return;
    }
    setExit(await move(context, moving, { app, release, ...options }));
  });
}

/** A rollback moves code, not data: it does not undo what a release command did to a database. */
async function confirmRollback(context: Context, app: string, { yes }: MovingOptions): Promise<boolean> {
  const { terminal } = context;
  const client = await context.client();
  const { releases, live, previous } = await client.call(calls.app, { app });
  if (live === null || previous === null) return true;
  const over = commandsSince(releases.toReversed(), previous, releaseOfRun(live));
  for (const release of over) printError(terminal, `Note: ${notUndone(release)}.\n`);
  if (over.length === 0 || yes === true || context.json || terminal.stdin.isTTY !== true) return true;
  return confirm(terminal, `Roll ${app} back to ${previous}?`);
}

/** A redeploy takes the place of what is staged. */
async function confirmRedeploy(context: Context, app: string, { yes }: MovingOptions): Promise<boolean> {
  const { terminal } = context;
  const client = await context.client();
  const { staged, weight } = await client.call(calls.app, { app });
  if (staged === null) return true;
  const part = weight > 0 ? `, with ${weight} % of the traffic` : "";
  printError(terminal, `Note: ${staged} is staged${part}, and a redeploy removes it.\n`);
  if (yes === true || context.json || terminal.stdin.isTTY !== true) return true;
  return confirm(terminal, `Redeploy ${app}, and remove what is staged?`);
}

async function move(context: Context, { begin }: Moving, asked: Asked & MovingOptions): Promise<number> {
  const client = await context.client();
  const begun = await begin(client, asked);
  if (asked.follow) return follow(context, client, begun);
  context.show(begun, () => `The deployment of ${begun.release} has begun (${begun.deployment}).`);
  return 0;
}

/** Shows a deployment's events as they happen. @returns the exit code: 1 if it failed or was aborted */
async function follow(context: Context, client: AgentClient, { deployment }: Accepted): Promise<number> {
  let end: DeploymentView | undefined;
  for await (const event of client.events(deployment)) {
    if (event.type === "end") end = event.deployment;
    if (!context.json) print(context.terminal, renderEvent(event, { style: context.style }));
  }
  if (context.json && end !== undefined) printJson(context.terminal, end);
  return end?.outcome === "succeeded" || end?.outcome === "staged" ? 0 : 1;
}

function abortCommand(terminal: Terminal, setExit: SetExit): Command {
  const text = "undo a deployment before its cutover, also a staged release or a canary";
  return newCommand("abort", text, "cutover abort shop")
    .argument("<app or deployment>", "the app (what it has running or staged), or a deployment's id")
    .action(async (named: string, _options, command: Command) => {
      const context = contextOf(command, terminal);
      const client = await context.client();
      const deployment = await deploymentOf(client, named);
      const view = await client.call(calls.abort, { id: deployment });
      const { staged_by } = await client.call(calls.app, { app: view.app });
      context.show(view, () => aborted(view, staged_by));
      setExit(view.outcome === "succeeded" ? 1 : 0);
    });
}

/** @param stagedBy the deployment whose release the app still has staged */
function aborted({ id, app, outcome }: DeploymentView, stagedBy: string | null): string {
  if (outcome === "running") return `The deployment of ${app} is being undone.`;
  if (id !== stagedBy) return `The deployment of ${app} is ${outcome}.`;
  return (
    `The deployment of ${app} is ${outcome}, but not undone to the end yet: \`cutover status ${app}\` shows what does not answer. ` +
    "The agent does the rest by itself as soon as it can."
  );
}

/** The deployment of an app that runs or has staged its release; another name is taken as a deployment's id. */
async function deploymentOf(client: AgentClient, named: string): Promise<string> {
  const { apps } = await client.call(calls.apps, {});
  if (!apps.includes(named)) return named;
  const { app, deployment, staged_by } = await client.call(calls.app, { app: named });
  const id = deployment?.outcome === "running" ? deployment.id : staged_by;
  if (id !== null) return id;
  throw new CutoverError("deployment_not_found", `${app} has no running deployment and no staged release.`, {
    unchanged: "Nothing was changed.",
    fix: "To go back to the previous release, run `cutover rollback`.",
  });
}

function percentOf(text: string): number {
  if (!/^(?:100|[1-9]\d?)$/.test(text)) throw usageError("1 to 100 percent.");
  return Number(text);
}

function secondsOf(text: string): number {
  if (!/^\d{1,4}$/.test(text) || Number(text) > maxWaitSeconds) throw usageError(`0 to ${maxWaitSeconds} seconds.`);
  return Number(text);
}
