import { createReadStream } from "node:fs";
import { readlink, stat } from "node:fs/promises";
import { basename } from "node:path";
import { createInterface } from "node:readline";
import { CutoverError } from "../../../shared/errors.ts";

const unexplained = "it goes on with the one that it has, and its error log does not say why";

/** The error for a configuration that nginx refuses. @param output nginx's messages @param own the paths of the app's files */
export function refusedConfig(output: string, own: string[]): CutoverError {
  const messages = output.split("\n").filter((line) => line.includes("[emerg]") || line.includes("[crit]"));
  const message = (messages[0] ?? (output.trim().split("\n")[0] || unexplained))
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
  const hash = neededHash(message);
  if (hash !== undefined) {
    return `A name of the site is too long for nginx's table. Write \`${hash}\` into the http block of nginx.conf, reload nginx, and deploy again.`;
  }
  if (/open\(\) "[^"]+\.log" failed/.test(message)) {
    return "Create the directory, or set nginx.log_dir in agent.yml to the directory of nginx's logs.";
  }
  return "Correct it, check it with `nginx -t`, and deploy again.";
}

/** The directive by which nginx has room for a long name, such as a domain of 47 characters or more, or that of a variable. */
export function neededHash(message: string): string | undefined {
  const [, name, size] =
    /could not build (?:the )?(\w+_hash), you should increase (?:either \w+: \d+ or )?\w+: (\d+)/.exec(message) ?? [];
  // The next sizes that nginx takes: whole lines of the processor's cache.
  return name === undefined ? undefined : `${name}_bucket_size ${Math.max(128, 2 * Number(size))};`;
}

/** The error for an nginx that does not run, or cannot be signalled. */
export function unreachable(message: string, cause?: unknown): CutoverError {
  return new CutoverError("nginx_unreachable", message, {
    unchanged: "The site's file was not changed.",
    fix: "Start nginx (`systemctl start nginx`), read its error log, and check that the agent may signal it.",
    cause,
  });
}

/** What a running master says against a configuration that passed its test, such as an address in use. */
export class ErrorLog {
  readonly #path: string;
  readonly #start: number;
  readonly #master: number;

  private constructor(path: string, start: number, master: number) {
    this.#path = path;
    this.#start = start;
    this.#master = master;
  }

  /** From its present end on. nginx's standard error is its error log; undefined if that is no file. */
  static async at(master: number): Promise<ErrorLog | undefined> {
    const path = await readlink(`/proc/${master}/fd/2`).catch(() => "");
    const status = await stat(path).catch(() => undefined);
    return status?.isFile() ? new ErrorLog(path, status.size, master) : undefined;
  }

  /**
   * The lines in which this master has complained since then. Its workers, other masters and tests of the configuration write
   * to the same file.
   */
  async complaints(): Promise<string> {
    const found: string[] = [];
    const lines = createInterface(createReadStream(this.#path, { start: this.#start }));
    try {
      for await (const line of lines) {
        if (/ \[(?:emerg|crit)\] /.test(line) && line.includes(`] ${this.#master}#`)) found.push(line);
        if (found.length === mostComplaints) break;
      }
    } catch {
      // The file may have been rotated. It only explains; it decides nothing.
    }
    return found.join("\n");
  }
}

const mostComplaints = 50;
