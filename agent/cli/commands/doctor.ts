import type { Command } from "commander";
import { asCutoverError } from "../../../shared/errors.ts";
import { calls } from "../../../shared/protocol.ts";
import { examine } from "../../doctor/doctor.ts";
import type { AgentFacts } from "../../doctor/facts/facts.ts";
import type { Finding } from "../../doctor/finding.ts";
import { AgentClient } from "../client.ts";
import { contextOf, newCommand, type SetExit } from "../context.ts";

import type { GlobalOptions } from "../host-files/places.ts";
import { type Style, safe, type Terminal } from "../terminal/terminal.ts";

/** `doctor`: finds what would make a deploy or a site fail on this host. It works without the agent, and changes nothing. */
export function doctorCommand(terminal: Terminal, setExit: SetExit, version: string): Command {
  return newCommand("doctor", "find what is wrong with this host, and how to fix it", "cutover doctor").action(
    async (_options, command: Command) => {
      const context = contextOf(command, terminal);
      const { socket: given } = command.optsWithGlobals<GlobalOptions>();
      const findings = await examine({
        config: context.places.config,
        version,
        now: terminal.now(),
        askAgent: (socket) => askAgent(given ?? socket),
      });
      const ok = findings.every(({ severity }) => severity !== "error");
      context.show({ ok, findings }, () => render(findings, context.style));
      setExit(ok ? 0 : 1);
    },
  );
}

async function askAgent(socket: string): Promise<AgentFacts> {
  try {
    const { version } = await new AgentClient(socket).call(calls.health, {});
    return { socket, version };
  } catch (thrown) {
    return { socket, failure: asCutoverError(thrown).message };
  }
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
