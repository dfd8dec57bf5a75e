import { open, readlink, stat } from "node:fs/promises";
import { basename } from "node:path";
import { CutoverError } from "../../../shared/errors.ts";

/** @param own the app's files: a fault in another one is somebody else's to mend */
export function refusedConfig(output: string, own: string[]): CutoverError {
  const messages = output.split("\n").filter((line) => line.includes("[emerg]") || line.includes("[crit]"));
  const message = (messages[0] ?? output.trim().split("\n")[0] ?? "")
    .replace(/^.*?\[(?:emerg|crit)\] /, "")
    .replace(/^\d+#\d+: /, "");
  const [, file, line] = / in (\S+):(\d+)$/.exec(message) ?? [];
  const foreign = file !== undefined && !own.some((path) => basename(path) === basename(file));
  const place = file === undefined ? "" : `Look at ${file}:${line}. `;
  const whose = foreign
    ? "This file is not the app's: until it is right, nginx reloads for no site, nor would it start. "
    : "";
  return new CutoverError("nginx_config_broken", `nginx refuses its configuration: ${message}`, {
    unchanged: "nginx goes on with the configuration that it has; the site's file is as it was.",
    fix: `${place}${whose}${fixFor(message)}`,
    evidence: [{ source: "nginx", text: output.trim().slice(-4000) }],
  });
}

function fixFor(message: string): string {
  if (message.includes("bind()")) return "Another program has this address: stop it, or choose another `listen`.";
  if (message.includes("duplicate default server")) {
    return "Give the app a domain in its settings, or take the other default server out (on Debian: sites-enabled/default).";
  }
  if (/open\(\) "[^"]+\.log" failed/.test(message)) {
    return "Make the directory, or set nginx.log_dir in agent.yml to the one of nginx's logs.";
  }
  return "Correct it, check with `nginx -t`, and deploy again.";
}

export function unreachable(message: string, cause?: unknown): CutoverError {
  return new CutoverError("nginx_unreachable", message, {
    unchanged: "The site's file is as it was.",
    fix: "Start nginx (`systemctl start nginx`), look at its error log, and see that the agent may signal it.",
    cause,
  });
}

/** What a running master says about a configuration that it tested well but cannot use, such as an address in use. */
export class ErrorLog {
  readonly #path: string;
  readonly #start: number;

  private constructor(path: string, start: number) {
    this.#path = path;
    this.#start = start;
  }

  /** nginx points its standard error at its error log; undefined where that is no file. */
  static async at(master: number): Promise<ErrorLog | undefined> {
    const path = await readlink(`/proc/${master}/fd/2`).catch(() => "");
    const status = await stat(path).catch(() => undefined);
    return status?.isFile() ? new ErrorLog(path, status.size) : undefined;
  }

  async complaint(): Promise<string | undefined> {
    const file = await open(this.#path, "r");
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(65_536), 0, 65_536, this.#start);
      const lines = buffer.toString("utf8", 0, bytesRead).split("\n");
      // It tries five times, half a second apart, before it gives up.
      return lines.some((line) => line.includes("still could not bind()"))
        ? lines.filter((line) => line.includes("[emerg]")).join("\n")
        : lines.find((line) => line.includes("[emerg]") && !line.includes("bind()"));
    } finally {
      await file.close();
    }
  }
}
