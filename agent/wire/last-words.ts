import { asCutoverError, type CutoverError } from "../../shared/errors.ts";
import { settingsStatus } from "../contracts/exit-status.ts";
import { AnotherAgent } from "../http/admin-server.ts";
import { isJournal } from "../logger.ts";

/** Faults of the system that pass: after a boot the old program still has the address, or the network is not up yet. */
const passing = new Set(["EADDRINUSE", "EADDRNOTAVAIL", "ENOTFOUND", "EAI_AGAIN", "EMFILE", "ENFILE", "ENOMEM", "EIO"]);

/** The agent's exit status, and what it says to who reads the journal or the terminal. */
export function lastWords(thrown: unknown, env: NodeJS.ProcessEnv = process.env): { status: number; text: string } {
  const error = asCutoverError(thrown);
  const status = isOfSettings(error) ? settingsStatus : 1;
  const lines = [`cutover-agent: ${error.message} [${error.code}]`, error.unchanged, error.fix];
  if (status === settingsStatus && env.INVOCATION_ID !== undefined)
    lines.push("systemd does not start the agent again before that. Then run `systemctl restart cutover-agent`.");
  const said = lines.filter((line) => line !== undefined).flatMap((line) => line.split("\n"));
  // The priority of sd-daemon(3) for errors: `journalctl -p err` finds these lines.
  const mark = isJournal(env) ? "<3>" : "";
  return { status, text: said.map((line) => `${mark}${line}\n`).join("") };
}

function isOfSettings(error: CutoverError): boolean {
  if (error instanceof AnotherAgent) return false;
  if (error.code !== "host_settings_invalid" && error.code !== "socket_path_too_long") return false;
  const { code } = (error.cause ?? {}) as NodeJS.ErrnoException;
  return code === undefined || !passing.has(code);
}
