import type { Command } from "commander";
import { asCutoverError } from "../../../shared/errors.ts";
import { calls, type VerifyView } from "../../../shared/protocol.ts";
import { examine } from "../../doctor/doctor.ts";
import type { AgentFacts } from "../../doctor/facts/facts.ts";
import type { Finding } from "../../doctor/finding.ts";
import { AgentClient } from "../client.ts";
import { type Context, contextOf, newCommand, type SetExit } from "../context.ts";

import type { GlobalOptions } from "../host-files/places.ts";
import { type Style, safe, type Terminal } from "../terminal/terminal.ts";
import { mendAll } from "./doctor-fix.ts";

interface Options {
  verify?: boolean;
  upgrade?: boolean;
  check?: string;
  fix?: boolean;
  yes?: boolean;
}

/** `doctor`: finds what would make a deploy or a site fail on this host. It works without the agent, and changes nothing but with --fix. */
export function doctorCommand(terminal: Terminal, setExit: SetExit, version: string): Command {
  return newCommand("doctor", "find what is wrong with this host, and how to fix it", "cutover doctor --fix")
    .option("--verify", "also hash all files of all releases again, as `cutover verify` does")
    .option("--upgrade", "also what an upgrade of the distribution would do to each app")
    .option("--check <name>", "only what this check finds, such as units")
    .option("--fix", "do what can be done without a risk to others, after a question for each")
    .option("--yes", "with --fix: do not ask")
    .action(async (options: Options, command: Command) => {
      const context = contextOf(command, terminal);
      const { socket: given } = command.optsWithGlobals<GlobalOptions>();
      const look = async () => {
        const findings = await findingsOf(context, {
          version,
          verify: options.verify === true,
          upgrade: options.upgrade === true,
          ...(given !== undefined && { socket: given }),
        });
        return findings.filter(({ check }) => options.check === undefined || check === options.check);
      };
      let findings = await look();
      if (options.fix === true && (await mendAll(context, findings, options.yes === true))) findings = await look();
      const ok = findings.every(({ severity }) => severity !== "error");
      const shown = findings.map(({ mend, ...finding }) => finding);
      context.show({ ok, findings: shown }, () => render(findings, context.style));
      setExit(ok ? 0 : 1);
    });
}

export interface Look {
  version: string;
  /** Another socket than that of agent.yml. */
  socket?: string;
  /** Also hash all files of all releases again. */
  verify?: boolean;
  /** Also what an upgrade of the distribution would do to each app. */
  upgrade?: boolean;
}

/** What is wrong with this host. */
export function findingsOf({ places, terminal }: Context, look: Look): Promise<Finding[]> {
  const { version, socket: given, verify = false, upgrade = false } = look;
  return examine({
    config: places.config,
    version,
    now: terminal.now(),
    upgrade,
    askAgent: (socket) => askAgent(given ?? socket, verify),
  });
}

async function askAgent(socket: string, verify: boolean): Promise<AgentFacts> {
  try {
    const client = new AgentClient(socket);
    const { version } = await client.call(calls.health, {});
    return { socket, version, ...(verify && { verified: await verifiedBy(client) }) };
  } catch (thrown) {
    return { socket, failure: asCutoverError(thrown).message };
  }
}

async function verifiedBy(client: AgentClient): Promise<VerifyView[]> {
  const { apps } = await client.call(calls.apps, {});
  const views: VerifyView[] = [];
  for (const app of apps) views.push(await client.call(calls.verify, { app }));
  return views;
}

function render(findings: Finding[], style: Style): string {
  const texts = findings.map(({ severity, what, why, fix }) => {
    const head = style(severity === "error" ? "red" : "yellow", severity.padEnd(7));
    return `${head}  ${safe(what)}\n         ${style("dim", safe(why))}\n         ${style("bold", "fix:")} ${safe(fix)}\n`;
  });
  const errors = findings.filter(({ severity }) => severity === "error").length;
  const warnings = findings.length - errors;
  const count = (number: number, word: string) => `${number} ${word}${number === 1 ? "" : "s"}`;
  const end =
    findings.length === 0
      ? style("green", "Nothing found: this host is ready.")
      : `${count(errors, "error")}, ${count(warnings, "warning")}.`;
  return [...texts, end].join("\n");
}
