import { open, readlink, stat } from "node:fs/promises";
import { basename } from "node:path";
import { CutoverError } from "../../../shared/errors.ts";

/** The error for a configuration that nginx refuses. @param output nginx's messages @param own the paths of the app's files */
export function refusedConfig(output: string, own: string[]): CutoverError {
  const messages = output.split("\n").filter((line) => line.includes("[emerg]") || line.includes("[crit]"));
  const message = (messages[0] ?? output.trim().split("\n")[0] ?? "")
    .replace(/^.*?\[(?:emerg|crit)\] /, "")
    .replace(/^\d+#\d+: /, "");
  const [, file, line] = / in (\S+):(\d+)$/.exec(message) ?? [];
  const foreign = file !== undefined && !own.some((path) => basename(path) === basename(file));
  const place = file === undefined ? "" : `Look at ${file}:${line}. `;
  const whose = foreign
    ? "This file is not the app's. Until it is correct, nginx reloads for no site, and would not start. "
    : "";
  return new CutoverError("nginx_config_broken", `nginx refuses its configuration: ${message}`, {
    unchanged: "nginx keeps its present configuration; the site's file was not changed.",
    fix: `${place}${whose}${fixFor(message)}`,
    evidence: [{ source: "nginx", text: output.trim().slice(-4000) }],
  });
}

function fixFor(message: string): string {
  if (message.includes("bind()"))
    return "Another program listens on this address. Stop it, or choose another `listen`.";
  if (message.includes("duplicate default server")) {
    return "Give the app a domain in its settings, or remove the other default server (on Debian: sites-enabled/default).";
  }
  if (/open\(\) "[^"]+\.log" failed/.test(message)) {
    return "Create the directory, or set nginx.log_dir in agent.yml to the directory of nginx's logs.";
  }
  return "Correct it, check it with `nginx -t`, and deploy again.";
}

/** The error for an nginx that does not run, or cannot be signalled. */
export function unreachable(message: string, cause?: unknown): CutoverError {
  return new CutoverError("nginx_unreachable", message, {
    unchanged: "The site's file was not changed.",
    fix: "Start nginx (`systemctl start nginx`), read its error log, and check that the agent may signal it.",
    cause,
  });
}

/** Finds what a running master says against a configuration that passed its test, such as an address in use. */
export class ErrorLog {
  readonly #path: string;
  readonly #start: number;

  private constructor(path: string, start: number) {
    this.#path = path;
    this.#start = start;
  }

  /** From its present end on. nginx's standard error is its error log; undefined if that is no file. */
  static async at(master: number): Promise<ErrorLog | undefined> {
    const path = await readlink(`/proc/${master}/fd/2`).catch(() => "");
    const status = await stat(path).catch(() => undefined);
    return status?.isFile() ? new ErrorLog(path, status.size) : undefined;
  }

  /** What nginx has logged since then against its configuration; undefined if nothing, or if it still tries. */
  async complaint(): Promise<string | undefined> {
    const file = await open(this.#path, "r");
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(65_536), 0, 65_536, this.#start);
      const lines = buffer.toString("utf8", 0, bytesRead).split("\n");
      // nginx tries to bind five times, half a second apart, before it gives up.
      return lines.some((line) => line.includes("still could not bind()"))
        ? lines.filter((line) => line.includes("[emerg]")).join("\n")
        : lines.find((line) => line.includes("[emerg]") && !line.includes("bind()"));
    } finally {
      await file.close();
    }
  }
}
